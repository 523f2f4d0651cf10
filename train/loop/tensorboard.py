"""TensorBoard event files."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def _without_torch() -> Iterator[None]:
    """Makes `import torch` fail as where it is not installed, unless it has happened already."""
    hidden = "torch" not in sys.modules
    if hidden:
        sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if hidden:
            del sys.modules["torch"]


# tensorboardX imports torch wherever that is installed, only to recognise its tensors: seconds at
# the start and memory throughout.
with _without_torch():
    from tensorboardX import RecordWriter

    # Protocol buffer classes are made at import time, where type checkers do not see them.
    from tensorboardX.proto.event_pb2 import Event, SessionLog  # pyright: ignore
    from tensorboardX.proto.summary_pb2 import Summary  # pyright: ignore


class EventLog:
    """Scalars for TensorBoard, all of a step in one event; what is after `start_step` is forgotten.

    tensorboardX's SummaryWriter sends every scalar through a queue to a thread; should that thread
    die of a full disk, the queue fills and training hangs. Writing its records directly is faster,
    lets errors come through, and keeps the machine's name out of the file's.
    """

    def __init__(self, folder: Path, *, start_step: int) -> None:
        folder.mkdir(exist_ok=True)
        # A file holds only steps after the one in its name; TensorBoard reads them by name.
        path = folder / f"events.out.tfevents.{start_step:010d}"
        for later in folder.glob("events.out.tfevents.*"):
            if later.name >= path.name:
                later.unlink()
        self._records = RecordWriter(str(path))
        self._add(file_version="brain.Event:2")
        # Tells TensorBoard to forget what earlier files have from this step on.
        self._add(step=start_step + 1, session_log=SessionLog(status=SessionLog.START))

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
        self._add(step=step, summary=Summary(value=values))

    def _add(self, **fields: Any) -> None:
        self._records.write(Event(wall_time=time.time(), **fields).SerializeToString())

    def flush(self) -> None:
        """Brings everything to the disk."""
        self._records.flush()

    def close(self) -> None:
        self._records.close()
