"""English prose from docstrings and documentation files.

Documentation is written in half a dozen markups, with code, tables and signatures between the
sentences. Here such a text becomes paragraphs of plain prose. Blocks that are not prose are
recognised by their markup and removed, the rest loses its markup, and a paragraph is kept only if
it reads as English by rules like those of Rae et al. 2021, appendix A.1.1 (words, their length,
stop words).
"""

import inspect
import re
from collections.abc import Iterator

# Lines that open a block of something else, to which more deeply indented lines belong.
_PROSE_DIRECTIVE = r"note|warning|tip|important|seealso|deprecated|version\w+"
_BLOCK = re.compile(rf"\s*\.\. (?!({_PROSE_DIRECTIVE})::)\S.*|.*::\s*$")
_FENCE = re.compile(r"\s*(```|~~~)")
_PROMPTS = (">>>", "$ ", "In [", "Out[")
# A line under a title or around a table, and a row of a table, which has wide gaps.
_RULE = re.compile(r"\s*([-=~^#*+_\"'.:`]{3,}|[-=+| ]{3,})\s*$|.*\|.*\|.*\||.*[^.\s] {3,}\S")
_TITLE = re.compile(r"[^.!?]{0,60}:?$")

# The start of a new paragraph that is not part of its first sentence.
_ITEM = r"\*{0,2}`{0,2}[\w.]+`{0,2}\*{0,2}(, [\w.]+)*"
_OPENING = re.compile(
    r"\s*("
    r"([-*+•]|\d{1,2}[.)]|#\.)\s+"  # - bullet
    rf"|:(param|arg|key|keyword|returns?|raises?|ivar|var|cvar)\b[^:]*:\s*"  # :param x: reST
    rf"|\.\. ({_PROSE_DIRECTIVE})::\s*[\d.]*\s*"
    rf"|{_ITEM}\s*\([^()]*\)\s*:\s+(?=\S)"  # x (int, optional): Google's style
    rf"|{_ITEM}\s*(:|--)\s+(?=\S+ \S+ \S)"  # x: what it is; numpy.sum : See Also
    r")"
)
_OTHER_FIELD = re.compile(r"\s*:[\w ~.]+:(\s|$)")

_INLINE = (
    (re.compile(r":[\w:+.-]+:`[^`<]*<([^`>]*)>`"), r"\1"),  # :ref:`title <target>`
    (re.compile(r":[\w:+.-]+:`[~!]?([^`]*)`"), r"\1"),  # :class:`~module.Name`
    (re.compile(r"`([^`<]+?)\s*<[^`>]*>`__?"), r"\1"),  # `title <address>`_
    (re.compile(r"!?\[([^\[\]]*)\](\([^()\s]*\))"), r"\1"),  # [title](address)
    (re.compile(r"\[`([^`]*)`\]"), r"\1"),  # [`module.Name`]
    (re.compile(r"\s?\[[\w#*]{1,12}\]_"), ""),  # [1]_
    (re.compile(r"</?[a-zA-Z!][^<>]*>"), ""),  # html
    (re.compile(r"\|(\w+)\|"), r"\1"),
    (re.compile(r"`+([^`]*)`+_{0,2}"), r"\1"),
    (re.compile(r"\*\*(?=\S)(.+?)(?<=\S)\*\*"), r"\1"),
    (re.compile(r"(?<!\w)\*(?=\w)([^*]+?)(?<=\w)\*(?!\w)"), r"\1"),
    (re.compile(r"\\ ?([*_`|]|s\b)"), r"\1"),
    (re.compile(r"\s+"), " "),
)

_STOP_WORDS = frozenset(
    (
        *("the", "of", "and", "to", "a", "in", "is", "that", "for", "it", "as", "with", "be", "on"),
        *("by", "this", "are", "or", "an", "which", "from", "if", "not", "will", "can", "when"),
        *("at", "its", "has", "have", "was", "but", "all", "you", "any", "may", "should", "use"),
        *("used", "must", "than", "then", "each", "no", "we", "these", "their", "into", "so"),
    )
)
_PUNCTUATION = ".,;:!?()\"'"
_WORD = re.compile(r"[A-Za-z]+(?:['’/-][A-Za-z]+)*")
_PLACEHOLDER = re.compile(r"%\(|%[sdr]\b|\{\w*\}|\\[a-zA-Z]{2}")


def paragraphs(text: str) -> Iterator[str]:
    """The prose in one documentation text, paragraph by paragraph, without markup."""
    block: list[str] = []
    indent, hanging = 0, False
    for line in [*_without_blocks(inspect.cleandoc(text).expandtabs().splitlines()), ""]:
        opening = _OPENING.match(line)
        here = _indent(line)
        moved = here < indent or (here > indent and not hanging)
        if block and (not line.strip() or opening or moved):
            paragraph = _plain(" ".join(block))
            if is_prose(paragraph):
                yield paragraph
            block = []
        if not block or here > indent:
            indent, hanging = here, bool(opening)
        if line.strip():
            block.append(line[opening.end() :] if opening else line.strip())


def is_prose(paragraph: str) -> bool:
    """True if a paragraph reads as English, not as code, a table or a list of names."""
    tokens = paragraph.split()
    words = [token for token in (t.strip(_PUNCTUATION) for t in tokens) if _WORD.fullmatch(token)]
    if len(tokens) < 6 or len(words) < 0.75 * len(tokens) or _PLACEHOLDER.search(paragraph):
        return False
    stops = sum(word.lower() in _STOP_WORDS for word in words)
    mean_length = sum(map(len, words)) / len(words)
    return 3 <= mean_length <= 10 and stops >= max(2, 0.15 * len(words))


def _without_blocks(lines: list[str]) -> Iterator[str]:
    """The lines; those of code, tables, maths, directives, titles and signatures are emptied."""
    fenced, doctest, block_indent = False, False, None
    for number, line in enumerate(lines):
        indent = _indent(line)
        if _FENCE.match(line):
            fenced = not fenced
        elif not line.strip():
            doctest = False
        elif line.lstrip().startswith(_PROMPTS):
            doctest = True  # with its output, up to the next blank line
        elif not (fenced or doctest or (block_indent is not None and indent > block_indent)):
            block_indent = indent if _BLOCK.match(line) else None
            if not _is_markup(lines, number):
                yield line.replace("::", ":") if block_indent is not None else line
                continue
        yield ""


def _is_markup(lines: list[str], number: int) -> bool:
    """True if a line belongs to no sentence: a rule, a title, a signature, a directive."""
    line = lines[number]
    before = lines[number - 1] if number else ""
    after = lines[number + 1] if number + 1 < len(lines) else ""
    if line.lstrip().startswith(".. ") and not _OPENING.match(line):
        return True
    if _RULE.match(line) or line.lstrip().startswith(("#", "@")) or _OTHER_FIELD.match(line):
        return not _OPENING.match(line)
    starts = not before.strip() or _indent(before) != _indent(line)
    if starts and _TITLE.match(line) and (_RULE.match(after) or not after.strip()):
        return True
    # `x : array_like, optional` or `Args:`, its description indented below it.
    is_term = _indent(after) > _indent(line) and bool(re.match(rf"\s*{_ITEM}\s*(:|$)", line))
    return is_term and (":" not in line.strip()[:-1] or " : " in line)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _plain(text: str) -> str:
    for pattern, replacement in _INLINE:
        text = pattern.sub(replacement, text)
    return text.strip()
