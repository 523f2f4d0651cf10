"""English out of docstrings and documentation files.

Documentation is written in half a dozen markups with code, tables and signatures between the
sentences. What is here turns one such text into paragraphs of plain prose: blocks that are not
prose are cut by their markup, the rest loses its markup, and a paragraph stays only when it reads
as English by the rules of Rae et al. 2021, appendix A.1.1 (letters, word lengths, stop words).
"""

import inspect
import re
from collections.abc import Iterator

# Lines that open a block which is no prose: its more deeply indented lines go with it.
_BLOCK = re.compile(
    r"^\s*\.\. (?!note|warning|tip|important|seealso|deprecated|version)\S.*|.*::\s*$"
)
_DIRECTIVE = re.compile(r"^\s*\.\. [\w-]+::\s*[\d.]*\s*")
_FENCE = re.compile(r"^\s*(```|~~~)")
_RULE = re.compile(r"^\s*([-=~^#*+_\"'.|:]{3,}|[-=+| ]{3,})\s*$")
_HEADING = re.compile(r"^\s*(#+\s.*|[A-Z][\w ]{0,30}:?|@\w+.*)$")
# `x : array_like, optional`, `x: int = 3`, `x (int, optional):` on a line of their own.
_SIGNATURE = re.compile(
    r"^\s*\*{0,2}`{0,2}[\w.*, ]{1,40}`{0,2}\s*(\([^()]*\))?\s*:(\s+[^.]{0,80})?$"
)
_FIELD = re.compile(r"^\s*:(param|arg|key|keyword|return|returns|raises|raise|ivar|var)\b[^:]*:\s*")
_OTHER_FIELD = re.compile(r"^\s*:[\w ~.]+:(\s|$)")
_ARGUMENT = re.compile(r"^\s*\*{0,2}\w+\s*(\([^()]*\))?\s*:\s+(?=\S+ \S+ \S+)")
_BULLET = re.compile(r"^\s*([-*+•]|\d{1,2}[.)]|#\.)\s+")

_INLINE = (
    (re.compile(r":[\w:+.-]+:`[^`<]*<([^`>]*)>`"), r"\1"),  # :ref:`title <target>`
    (re.compile(r":[\w:+.-]+:`[~!]?([^`]*)`"), r"\1"),  # :class:`~module.Name`
    (re.compile(r"`([^`<]+?)\s*<[^`>]*>`__?"), r"\1"),  # `title <address>`_
    (re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*\)"), r"\1"),  # [title](address)
    (re.compile(r"\s?\[[\w#*]{1,12}\]_"), ""),  # [1]_
    (re.compile(r"<[a-zA-Z/!][^<>]*>"), ""),  # html
    (re.compile(r"\|(\w+)\|"), r"\1"),
    (re.compile(r"`+([^`]*)`+_{0,2}"), r"\1"),
    (re.compile(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1"), r"\2"),
    (re.compile(r"(?<!\w)\*(?=\w)([^*]+?)(?<=\w)\*(?!\w)"), r"\1"),
    (re.compile(r"\\([*_`|])"), r"\1"),
    (re.compile(r"\s+"), " "),
)

_STOP_WORDS = frozenset(
    "the of and to a in is that for it as with be on by this are or an which from if not will can "
    "when at its has have was but all you any may should use used must than then".split()
)
_WORD = re.compile(r"[A-Za-z]+(?:['’-][A-Za-z]+)*")


def paragraphs(text: str) -> Iterator[str]:
    """The prose in one documentation text, a paragraph a line, markup removed."""
    lines: list[str] = []
    for line in [*_without_blocks(inspect.cleandoc(text)), ""]:
        bullet = _BULLET.match(line)
        if lines and (bullet or not line.strip()):
            paragraph = _plain(" ".join(lines))
            if is_prose(paragraph):
                yield paragraph
            lines = []
        line = line[bullet.end() :] if bullet else line
        if line.strip():
            lines.append(line.strip())


def is_prose(paragraph: str) -> bool:
    """Whether a paragraph reads as English sentences and not as code, a table or a list of names."""
    tokens = paragraph.split()
    words = [token for token in tokens if _WORD.fullmatch(token.strip(".,;:!?()\"'"))]
    if len(tokens) < 6 or len(words) < 0.75 * len(tokens):
        return False
    if not 3 <= sum(map(len, words)) / len(words) <= 10:
        return False
    stops = sum(word.lower().strip(".,;:!?()\"'") in _STOP_WORDS for word in words)
    return stops >= 2 and stops >= 0.15 * len(words)


def _without_blocks(text: str) -> Iterator[str]:
    """The lines of a text without code, tables, maths, directives and bare signatures."""
    lines = text.expandtabs().splitlines()
    fenced, block_indent, doctest = False, None, False
    for number, line in enumerate(lines):
        blank, indent = not line.strip(), len(line) - len(line.lstrip())
        if _FENCE.match(line):
            fenced = not fenced
            yield ""
        elif fenced:
            continue
        elif blank:
            doctest = False
            yield ""
        elif line.lstrip().startswith((">>>", "$ ", "In [", "Out[")):
            doctest = True  # and what it prints, up to the next blank line
            yield ""
        elif doctest:
            continue
        elif block_indent is not None and indent > block_indent:
            continue
        else:
            block_indent = None
            if _BLOCK.match(line):
                block_indent = indent
                # "as follows::" ends a sentence; ".. math::" does not.
                yield "" if line.lstrip().startswith("..") else line.rstrip().rstrip(":")
            elif _RULE.match(line) or "|" in line and line.count("|") > 2:
                yield ""
            elif _HEADING.match(line) or _SIGNATURE.match(line) or _is_title(lines, number):
                yield ""
            elif _OTHER_FIELD.match(line) and not _FIELD.match(line):
                yield ""
            else:
                opening = _FIELD.match(line) or _ARGUMENT.match(line) or _DIRECTIVE.match(line)
                if opening:
                    yield ""
                    line = line[opening.end() :]
                yield line


def _is_title(lines: list[str], number: int) -> bool:
    return (
        number + 1 < len(lines)
        and re.fullmatch(r"\s*([-=~^*#\"])\1{2,}\s*", lines[number + 1]) is not None
    )


def _plain(text: str) -> str:
    for pattern, replacement in _INLINE:
        text = pattern.sub(replacement, text)
    return text.strip()
