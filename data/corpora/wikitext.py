"""WikiText (Merity et al. 2016): articles in one stream of lines, already split into tokens.

Rare words are `<unk>`, and hyphens and marks in words and numbers are ` @-@ `, ` @,@ ` and ` @.@ `.
No WordPiece vocabulary knows these forms, so plain text is restored: otherwise every measured
number would change.
"""

import re
from collections.abc import Iterable, Iterator

from data.corpora.text import Text

_TITLE = re.compile(r"= [^=].*[^=] =|= [^=] =")
_JOIN = re.compile(r" @([-,.])@ ")


def articles(lines: Iterable[str], name: str) -> Iterator[Text]:
    """A text for each line that is not blank, a document for each article.

    An article opens with ` = Title = ` between blank lines; ` = = Section = = ` belongs to it.
    """
    number, after_blank = 0, True
    for line in lines:
        line = line.strip()
        number += after_blank and bool(_TITLE.fullmatch(line))
        after_blank = not line
        if line:
            yield Text(plain(line), f"{name}#{number}")


def plain(line: str) -> str:
    """A line in plain spelling, with WordPiece's [UNK] for the unknown word."""
    return _JOIN.sub(r"\1", line).replace("<unk>", "[UNK]")
