"""What is measured, in a process of its own, so that memory and threads are its own."""

import multiprocessing
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from typing import Any, Protocol, runtime_checkable

from model.errors import InputError


@runtime_checkable
class Contender(Protocol):
    """What can be measured again and again."""

    def facts(self) -> dict[str, Any]:
        """What is known of it, after an update: its `peak_memory_bytes`, and what else there is."""
        ...

    def update(self) -> float:
        """Does its work once; returns the seconds that took."""
        ...


class OutOfMemoryError(Exception):
    """What was to be measured does not fit into the memory of the device."""


class Worker:
    """Builds something in another process and asks it, until closed.

    Args:
        make: builds it, there; must be found by its name in a module, as `pickle` wants.

    Raises:
        OutOfMemoryError: there is too little memory for it.
        InputError: a mistake of the user's, or the process has died.
    """

    def __init__(self, make: Callable[[], Contender]):
        # Not a fork: the threads of JAX and torch would not live on in it.
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(make, theirs), daemon=True)
        self._process.start()
        theirs.close()
        try:
            self._answer()
        except BaseException:
            self.close()
            raise

    def facts(self) -> dict[str, Any]:
        return self._ask("facts")

    def update(self) -> float:
        return self._ask("update")

    def close(self) -> None:
        self._pipe.close()
        self._process.join()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, method: str) -> Any:
        self._pipe.send(method)
        return self._answer()

    def _answer(self) -> Any:
        try:
            answer = self._pipe.recv()
        except EOFError:
            self._process.join()
            raise InputError(
                f"the process that was measured ended (status {self._process.exitcode}): with "
                "status -9 main memory was short, and a smaller --batch-size may fit"
            ) from None
        if isinstance(answer, Exception):
            raise answer
        return answer


def _serve(make: Callable[[], Contender], pipe: Connection) -> None:
    try:
        contender = make()
        contender.update()  # compiles, and reaches the peak of memory
        pipe.send(None)
        while True:
            pipe.send(getattr(contender, pipe.recv())())
    except (EOFError, KeyboardInterrupt):
        pass  # nobody asks any more
    except InputError as error:
        pipe.send(error)
    except Exception as error:
        # jax.errors.JaxRuntimeError and torch.OutOfMemoryError, told apart without importing both.
        if "RESOURCE_EXHAUSTED" in str(error) or "out of memory" in str(error).lower():
            pipe.send(OutOfMemoryError(str(error).partition("\n")[0]))
            return
        pipe.send(RuntimeError(f"{type(error).__name__}: {error}"))
        raise


def ask_once(function: Callable[[], Any]) -> Any:
    """What a function returns in a process of its own, which then ends.

    Raises:
        InputError: a mistake of the user's, or the process has died.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(function).result()
        except BrokenProcessPool:
            raise InputError(
                "the process that was measured ended: main memory may have been short, and a "
                "smaller --batch-size may fit"
            ) from None


def by_turns(
    contenders: Mapping[str, Contender], repeats: int
) -> tuple[dict[str, list[float]], dict[str, dict[str, Any]]]:
    """The times of each, asked by turns so that all meet the same disturbances; and their facts."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, contender in contenders.items():
            seconds[name].append(contender.update())
    return seconds, {name: contender.facts() for name, contender in contenders.items()}
