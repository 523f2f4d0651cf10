"""The fine-tunings of a model: run folders by task and seed."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from data.storage.run_folder import CONFIG, read_run_record
from model.errors import InputError
from report.tables import listed
from tasks.catalogue import TASKS

Runs = Mapping[str, Mapping[int, Path]]
"""By task and seed."""


def common_tasks(folders: Sequence[Path]) -> tuple[str, ...]:
    """The tasks of which all folders hold a fine-tuning, in the order of the catalogue.

    Raises:
        InputError: there is none.
    """
    found = [task for task in TASKS if all((folder / task).is_dir() for folder in folders)]
    if not found:
        raise InputError(
            f"{listed([str(folder) for folder in folders])} have no task in common: each must hold "
            "fine-tunings in folders named after their tasks, as sst2"
        )
    return tuple(found)


def fine_tunings(folder: Path, task: str) -> dict[int, Path]:
    """The run folders of a model's fine-tunings on a task, by seed.

    Raises:
        InputError: there is none, or one is not done.
    """
    place = folder / task
    runs = [place] if (place / CONFIG).is_file() else sorted(place.glob(f"seed-*/{CONFIG}"))
    found = {}
    for run in (path.parent if path.name == CONFIG else path for path in runs):
        record = read_run_record(run)
        if record.kind != "finetune" or record.task != task:
            raise InputError(f"{run} is no fine-tuning on {task}")
        if not (run / "model").is_dir():
            raise InputError(f"{run} is not done: it has no model; run its command again")
        found[record.seed] = run
    if not found:
        raise InputError(
            f"{folder} has no fine-tuning on {task}: it would be in {place} (--output of "
            "train.finetune)"
        )
    return found


def check_seeds(teacher: Runs, name: Path, students: Mapping[Path, Runs]) -> None:
    """Raises InputError unless the teacher was fine-tuned with every seed of the students.

    And each student with the same seeds on all tasks.
    """
    for folder, runs in students.items():
        first, *others = runs
        for task in others:
            if runs[task].keys() != runs[first].keys():
                raise InputError(
                    f"{folder}: the seeds of {task} are {_seeds(runs[task])}, and those of {first} "
                    f"{_seeds(runs[first])}: they must be the same"
                )
        for task, own in runs.items():
            if missing := own.keys() - teacher[task].keys():
                raise InputError(
                    f"{name} was not fine-tuned on {task} with seed {_seeds(missing)}, as {folder} "
                    "was: give train.finetune --seed and --seeds that have it"
                )


def _seeds(seeds: Iterable[int]) -> str:
    return listed([str(seed) for seed in sorted(seeds)])
