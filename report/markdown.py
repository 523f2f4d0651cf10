"""Text of others in Markdown: it is read as it is, and means nothing to Markdown or HTML.

Names of corpora, files, classes and studies, and the texts themselves, may hold any character. What
looks like a credential does not go into a report, which is made to be passed on.
"""

import re
from collections.abc import Sequence

from data.storage.credentials import without_credentials
from model.terminal import visible
from report.tables import markdown_table

_MEANING = re.compile(
    # A list, a rule, a quotation, a heading: at the start of a line.
    r"^(?:[-+*](?=\s|$)|-(?=[-\s]*$)|[>#]|\d{1,9}[.)](?=\s|$))"
    r"|[\\`_\[\]~]|\*(?=\S)|(?<=\S)\*|\$(?=\S)"  # emphasis, code, links, formulas
    r"|&(?=#?\w+;)|<(?=[A-Za-z/!?])|#(?=#*$)"  # entities, tags, the end of a heading
)
_NOT_IN_CODE = re.compile(r"`|\\\||^\s|\s$|^$")


class Markdown(str):
    """Text that is Markdown already."""


def escaped(text: str) -> Markdown:
    """A text as it is, in one line; Markdown stays what it is."""
    if isinstance(text, Markdown):
        return text
    text = visible(without_credentials(text)).strip()
    return Markdown(_MEANING.sub(lambda found: f"{found[0][:-1]}\\{found[0][-1]}", text))


def code(text: str) -> Markdown:
    """A text as code inside a line, which nothing in it can end."""
    text = visible(without_credentials(text))
    if _NOT_IN_CODE.search(text):
        # Backticks cannot hold these, least of all in a table.
        return Markdown(f"<code>{''.join(map(_entity, text))}</code>")
    return Markdown(f"`{text}`")


def fenced(text: str, language: str = "") -> Markdown:
    """A text as a block of code, between fences longer than all that it holds."""
    lines = [visible(line) for line in without_credentials(text).split("\n")]
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(longest + 1, 3)
    return Markdown("\n".join([fence + language, *lines, fence]))


def text_table(header: Sequence[str], lines: Sequence[Sequence[str]], *, left: int = 1) -> Markdown:
    """A Markdown table of texts as they are, whose first `left` columns are flush left."""
    cells = [[escaped(cell) for cell in line] for line in (header, *lines)]
    return Markdown(markdown_table(cells[0], cells[1:], left=left))


def _entity(character: str) -> str:
    return character if character.isalnum() else f"&#{ord(character)};"
