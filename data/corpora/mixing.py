"""Several corpora mixed by a power of their sizes, as multilingual BERT mixes its languages.

A language with the share P of all text is read with a probability proportional to P^0.7: a large
one in part, a small one several times ("Data Source and Sampling" in multilingual.md of
google-research/bert). So it is here, and the amount of text stays what it was.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from data.corpora.files import Files
from data.corpora.heldout import Split, position
from data.corpora.hub import HubSet
from data.corpora.pydocs import Pydocs
from data.corpora.text import Text
from data.storage.atomic import write_text
from data.storage.cache import make_once
from model.hf.config import read_settings

SIZE = "size.json"
_BLOCK = 20  # lines that are left out together; a longer document is read in part


TextSource = Pydocs | Files | HubSet
"""Each has a `name`; a `fingerprint` of the text and of the settings of its split; a `manifest` for
readers of the results; `own_heldout`, true if it has a held-out part, so that none is taken from
its training text; and `texts(split)`, which with None yields all text to train on."""


@dataclass(frozen=True)
class Repeated:
    """A source that is read several times: 2.3 is twice, and then three tenths of it."""

    source: TextSource
    times: float

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def fingerprint(self) -> str:
        return f"{self.times} times {self.source.fingerprint}"

    @property
    def manifest(self) -> dict[str, Any]:
        return {**self.source.manifest, "times_read": self.times}

    @property
    def own_heldout(self) -> bool:
        return self.source.own_heldout

    def texts(self, split: Split | None) -> Iterator[Text]:
        whole, part = divmod(self.times, 1)
        for _ in range(int(whole)):
            yield from self.source.texts(split)
        if part:
            yield from _part(self.source.texts(split), part)


def _part(texts: Iterator[Text], share: float) -> Iterator[Text]:
    """A share of the texts, always the same ones: documents, or of long ones blocks of lines."""
    for document, lines in groupby(texts, key=lambda text: text.document):
        for number, text in enumerate(lines):
            if position(f"again {document} {number // _BLOCK}") < share:
                yield text


def repeated(
    sources: Sequence[tuple[TextSource, Split | None]], exponent: float, cache: Path
) -> list[tuple[Repeated, Split | None]]:
    """The sources, each as often as makes its share of the text proportional to size^exponent.

    Sizes are those of the parts that are trained on, in bytes, counted once and kept in `cache`.
    """
    sizes = [_size(source, part, cache) for source, part in sources]
    powers = [size**exponent for size in sizes]
    shares = [power / sum(powers) for power in powers]
    return [
        (Repeated(source, share * sum(sizes) / size), part)
        for (source, part), share, size in zip(sources, shares, sizes, strict=True)
    ]


def _size(source: TextSource, part: Split | None, cache: Path) -> int:
    def make(folder: Path) -> None:
        size = sum(len(text.text.encode("utf-8", "ignore")) for text in source.texts(part))
        write_text(folder / SIZE, json.dumps({"bytes": size}))

    key = hashlib.sha256(repr((source.fingerprint, part)).encode()).hexdigest()
    folder = make_once(cache / "sizes" / key[:24], make)
    return max(1, read_settings(folder / SIZE)["bytes"])
