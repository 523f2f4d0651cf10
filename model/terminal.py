"""Lines for the terminal, in which text of others is shown and never obeyed.

A corpus, a file or a class may have any name: an escape sequence in it would otherwise colour,
overwrite or close what the reader sees, and a line break would look like a message of its own.
"""

import json
import logging
import re
import sys
from typing import Any

# Control characters but for the tab, ends of lines, marks that reverse the direction of text, and
# halves of surrogate pairs, which no terminal can be sent.
_UNSEEN = re.compile(
    "[\x00-\x08\n-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_SHORT = {"\n": "\\n", "\r": "\\r"}


def visible(text: str) -> str:
    r"""The text in one line; what cannot be seen stands there as in JSON and in Python: \u001b."""
    return _UNSEEN.sub(lambda found: _SHORT.get(found[0], f"\\u{ord(found[0]):04x}"), text)


def say(*lines: str, error: bool = False) -> None:
    """Prints lines, whatever they hold; to stderr if they are of an `error`."""
    for line in lines:
        print(visible(line), file=sys.stderr if error else sys.stdout, flush=True)


def say_json(value: Any) -> None:
    """Prints a value as JSON in one line, for programs; in ASCII where the output is not UTF-8."""
    say(json.dumps(value, ensure_ascii=sys.stdout.encoding.lower() != "utf-8"))


class VisibleFormatter(logging.Formatter):
    """Messages of the log, whose lines are as `say` would print them."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(visible, super().format(record).split("\n")))
