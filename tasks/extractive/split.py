"""The sentences of a running text, by rule: neither a model nor a list of a language is needed."""

import re

from tasks.windows import Span

# A mark that ends sentences, with the quotation marks and brackets behind it, then white space.
_END = re.compile(r"""[.!?…]["'”’)\]]*\s+(?=["'“‘(\[]*[A-Z0-9À-ÖØ-Þ])|[。！？]""")
# What ends with a point and seldom a sentence: titles, single letters, and a few of scholars.
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\[\"“])(?:[A-Z]|(?:[A-Za-z]\.)+[A-Za-z]"
    r"|Mr|Mrs|Ms|Dr|Prof|St|Sr|Jr|Gen|Sen|Rep|Gov|Lt|Col|No|Nos|vs|cf|al|etc|Fig|Figs|Eq|Eqs"
    r"|Sec|Tab|Ref|approx|resp|Inc|Ltd|Co|Corp)$"
)


def sentence_spans(text: str) -> list[Span]:
    """The place of each sentence, `text[start:end]`, without the white space around it.

    A line break always ends a sentence. A point, question mark or exclamation mark ends one if
    white space and a capital letter or a digit follow, unless the point is one of an abbreviation.
    """
    spans, start = [], 0
    for line in re.finditer(r"[^\r\n]+", text):
        start = line.start()
        for end in _END.finditer(text, start, line.end()):
            if text[end.start()] != "." or not _ABBREVIATION.search(text, start, end.start()):
                spans.append((start, end.end()))
                start = end.end()
        spans.append((start, line.end()))
    return [found for span in spans if (found := _stripped(text, span))]


def split_sentences(text: str) -> tuple[str, ...]:
    """The sentences of a text."""
    return tuple(text[start:end] for start, end in sentence_spans(text))


def _stripped(text: str, span: Span) -> Span | None:
    part = text[slice(*span)]
    start = span[0] + len(part) - len(part.lstrip())
    end = start + len(part.strip())
    return (start, end) if end > start else None
