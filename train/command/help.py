"""Short help: the flags that people use, in the width of the terminal; `--help-all` has all."""

import io
import re
import shutil
import textwrap
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from typing import Any, NamedTuple

import tyro

# In this order; a command shows those that it has.
USED = (
    *("output", "model", "teacher", "start", "tokenizer"),
    *("data.corpus", "data.sequence-length", "data.root", "data.train", "data.test"),
    *("reading.max-length", "layers", "student.layers", "student.num-layers", "downstream"),
    *("loss.ce.weight", "loss.ce.temperature", "loss.mlm.weight", "loss.cos.weight"),
    *("steps", "epochs", "batch-size", "micro-batches", "optimizer.learning-rate"),
    *("seed", "seeds", "primary", "controls", "tune", "halving", "report"),
)
MOST_COLUMNS = 100


# A flag, perhaps with its opposite, or an argument, and what follows in the line.
_FLAG = re.compile(r"  (--(?:[a-z][\w.-]*|$)|[A-Z]{2,}(?=  |$))(?:, --no-[\w.-]+)? ?(.*)")


class Flag(NamedTuple):
    """A flag in the help of tyro."""

    name: str
    value: str
    """What it takes, in capitals; "" for none."""
    about: str
    default: str
    """"" for none, and for a flag without a value."""


def short_help(whole: str, prog: str, description: str, *, used: bool) -> str:
    """The help of a command with the flags that are used most.

    Args:
        whole: all of it, as tyro prints it without a terminal.
        prog: the command.
        description: what it does, with examples.
        used: show only flags of `USED`; otherwise also all that are in no table of settings.
    """
    flags = {flag.name.removeprefix("--"): flag for flag in _flags(whole)}
    names = USED if used else (*(name for name in flags if "." not in name), *USED)
    width = min(shutil.get_terminal_size().columns, MOST_COLUMNS)
    parts = [f"usage: {prog} [--flag value ...]", *_paragraphs(description, width)]
    lines = []
    for flag in (flags[name] for name in dict.fromkeys(names) if name in flags):
        sentence = re.split(r"(?<=[^.])[.;:](?:\s|$)", flag.about, maxsplit=1)[0]
        about = f"{sentence} ({flag.default})" if flag.default else sentence
        lines += [f"  {flag.name} {flag.value}".rstrip(), textwrap.fill(about, width, **_INDENT)]
    parts.append("\n".join(lines))
    parts.append(f"{prog} --help-all lists all {len(flags)} flags.")
    return "\n\n".join(parts)


def whole_help(kind: Any, default: Any, prog: str) -> str:
    """The help with every flag, in plain characters; `default` None: of settings without one."""
    printed = io.StringIO()
    options = {} if default is None else {"default": default}
    with redirect_stdout(printed), suppress(SystemExit):
        tyro.cli(kind, args=["--help"], prog=prog, description="", **options)
    return printed.getvalue()


_INDENT: dict[str, Any] = {"initial_indent": " " * 8, "subsequent_indent": " " * 8}


def count_flags(whole: str) -> int:
    """The number of flags in the help of tyro."""
    return sum(1 for _ in _flags(whole))


def _flags(whole: str) -> Iterator[Flag]:
    """The flags, each with its text beside it and below."""
    name, value, about = "", "", ""
    for line in [*whole.splitlines(), "  --"]:
        if found := _FLAG.match(line):
            if name:
                text, _, rest = about.partition(" (default: ")
                default = rest.partition(")")[0]
                yield Flag(name, value, text, "" if default in ("None", "False", "(") else default)
            name = found[1]
            value, _, about = (part.strip() for part in found[2].partition("  "))
        elif name and line.startswith(" " * 8):
            about = f"{about} {line.strip()}".strip()


def _paragraphs(text: str, width: int) -> list[str]:
    """The paragraphs of a docstring, wrapped; what is indented is code, and stays as it is."""
    return [
        part if part.startswith("    ") else textwrap.fill(part, width)
        for part in re.split(r"\n\n+", text.strip())
    ]
