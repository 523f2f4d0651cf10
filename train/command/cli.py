"""The command line of all commands: a recipe by name, flags over it, mistakes in one sentence."""

import atexit
import inspect
import io
import logging
import os
import re
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, NoReturn, TypeVar

import jax
import tyro

from data.storage.mirror import mirror
from model.errors import InputError, did_you_mean
from model.terminal import VisibleFormatter, say
from train.command.compiled import keep_compiled
from train.command.elsewhere import check_flags
from train.command.help import count_flags, short_help, whole_help
from train.command.length import for_flags
from train.command.signals import Stopped, listening
from train.command.supervisor import on_all_hosts
from train.config import TextConfig, TrainConfig

ALL_FLAGS = "--help-all"
FLAGS_AT_ONCE = 20  # of a command with more `--help` shows a part

Config = TypeVar("Config")


def choose(
    recipes: Mapping[str, Callable[[], Config]],
    command: str,
    argv: Sequence[str],
    *,
    about: str | None = None,
    what: str = "recipe",
) -> Config:
    """The configuration that `argv` asks for: a recipe's name, then flags that change its fields.

    `about` is the help of `command`, its module's docstring; `what` is the word for a recipe in
    messages, such as "task" or "study".

    Raises:
        InputError: there is no such recipe, a flag has another name here, or two flags exclude
            each other.
    """
    if not argv or argv[0] in ("-h", "--help", ALL_FLAGS):
        usage = f"usage: python -m {command} {what.upper()} [--flag value ...]"
        hint = (
            f"python -m {command} {what.upper()} --help shows what it sets and the flags that are "
            "used most, --help-all all flags."
        )
        width = max(map(len, recipes)) + 2
        lines = {name: (recipes[name].__doc__ or "").strip().split("\n")[0] for name in recipes}
        listing = "\n".join(f"  {name:<{width}}{lines[name]}" for name in sorted(recipes))
        text = "\n\n".join(filter(None, [usage, (about or "").strip(), listing, hint]))
        say(*text.split("\n"))
        raise SystemExit(0 if argv else 2)
    name, *flags = argv
    if name not in recipes:
        hint = did_you_mean(name, sorted(recipes))
        raise InputError(f"there is no {what} {name!r} for {command}: {hint}")
    check_flags(flags)
    recipe = for_flags(recipes[name], flags)
    prog, description = f"python -m {command} {name}", inspect.cleandoc(recipe.__doc__ or "")
    if {"-h", "--help"} & {*flags}:
        whole = whole_help(type(recipe()), recipe(), prog)
        say(*short_help(whole, prog, description, used=True).split("\n"))
        raise SystemExit(0)
    config = tyro.cli(
        type(recipe()),
        default=recipe(),
        args=_for_tyro(flags),
        prog=prog,
        description=description,
    )
    return with_mirrors(config)


def parse(kind: Any, *, prog: str, description: str | None) -> Any:
    """The settings that the command line of a command without recipes asks for.

    `--help` shows the most used flags where there are many, and `--help-all` all.
    """
    words = sys.argv[1:]
    if {"-h", "--help"} & {*words}:
        whole = whole_help(kind, None, prog)
        if count_flags(whole) > FLAGS_AT_ONCE:
            say(*short_help(whole, prog, description or "", used=False).split("\n"))
            raise SystemExit(0)
    return tyro.cli(kind, args=_for_tyro(words), prog=prog, description=description)


def _for_tyro(words: Sequence[str]) -> list[str]:
    """A command line in tyro's words, whose --help shows all flags."""
    return ["--help" if word == ALL_FLAGS else word for word in words]


def with_mirrors(config: Config) -> Config:
    """The configuration with local mirrors of the folders that it has in object storage."""
    if isinstance(config, TrainConfig):
        config = replace(config, output=mirror(config.output))
    if isinstance(config, TextConfig):
        config = replace(config, data=replace(config.data, cache=mirror(config.data.cache)))
    return config


def main(run: Callable[[], object], *, hosts: bool = False) -> NoReturn:
    """Runs a command; a mistake or a signal ends it with a sentence and a status, no traceback.

    With `hosts` several processes may run it together.
    """
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        keep_compiled()

    def listened() -> None:
        with listening():
            run()

    def work() -> int:
        # Libraries have set a longer format; set here, as work on several hosts has its own stderr.
        handler = logging.StreamHandler()
        handler.setFormatter(VisibleFormatter())
        logging.basicConfig(handlers=[handler], force=True)
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # a terminal may not know all characters
                stream.reconfigure(errors="backslashreplace")
        return _status(listened)

    _end(_status(lambda: _end(on_all_hosts(work))) if hosts else work())


def _end(status: int) -> NoReturn:
    """Ends the process; after a signal without Python's own end.

    That takes down libraries whose threads may still work, and crashed in one of a few such ends.
    """
    if status in (128 + signal.SIGINT, 128 + signal.SIGTERM):
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status)
    sys.exit(status)


def _status(run: Callable[[], object]) -> int:
    try:
        try:
            _check_words(sys.argv)
            run()
        except (RuntimeError, AssertionError) as error:  # both come from JAX without a device
            if _device_is_missing():
                raise InputError(
                    f"JAX_PLATFORMS is {os.environ['JAX_PLATFORMS']!r}, and JAX finds no such "
                    "device here: unset it to use what there is, or set it to cpu, or to cuda or "
                    "tpu on a machine with one (pip install -e '.[cuda]' or '.[tpu]')"
                ) from error
            raise
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # The reader, such as `head`, has gone; what is left would fail once more at the very end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except InputError as error:
        say(f"error: {error}", error=True)
        return 2
    except Stopped as stopped:
        say(str(stopped), error=True)
        return stopped.exit_status
    except KeyboardInterrupt:
        say("interrupted", error=True)
        return 130
    return 0


def _check_words(argv: Sequence[str]) -> None:
    """Raises InputError for an empty word, which as a path would mean the current folder."""
    for before, word in pairwise(argv):
        if not word or re.fullmatch(r"--[\w.-]+=", word):
            flag = word.rstrip("=") or before
            raise InputError(f"there is an empty value after {flag}: give one, or leave it out")


def _device_is_missing() -> bool:
    """True if JAX cannot start on the devices that the environment asks for."""
    if not os.environ.get("JAX_PLATFORMS"):
        return False
    try:
        jax.devices()
    except (RuntimeError, AssertionError):
        return True
    return False
