"""WikiText (Merity et al. 2016): articles in one stream of lines, in a tokenised form.

Rare words are `<unk>` and some marks stand alone (` @-@ `, ` @,@ `, ` @.@ `), which a WordPiece
vocabulary has never seen: read as they are, they change every number.
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
    """A line with WordPiece's name for the unknown word and the joins undone."""
    return _JOIN.sub(r"\1", line).replace("<unk>", "[UNK]")
