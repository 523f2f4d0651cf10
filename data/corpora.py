"""Text by name: the embedded corpus, local files, hub data sets, or several of them."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from data.config import DataConfig
from data.files import open_files
from data.pydocs import open_pydocs
from data.text import Text
from model.errors import InputError

Split = Literal["train", "heldout"]


class Source(Protocol):
    """One named text, divided into training and held-out."""

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str: ...

    @property
    def manifest(self) -> dict[str, Any]: ...

    def texts(self, split: Split) -> Iterator[Text]: ...


@dataclass(frozen=True)
class Corpus:
    """Training and held-out text. Several sources follow each other: batches shuffle later."""

    name: str
    fingerprint: str
    """Hexadecimal; of the text and of everything that decides about the split."""
    manifest: dict[str, Any]
    """What each source says of itself, by its name."""
    training: tuple[tuple[Source, Split], ...]
    heldout: tuple[tuple[Source, Split], ...]

    def texts(self, split: Split) -> Iterator[Text]:
        """The texts of a split, always in the same order; those of a document are adjacent."""
        for source, part in self.training if split == "train" else self.heldout:
            yield from source.texts(part)


def open_corpus(config: DataConfig) -> Corpus:
    """The corpus that `config` names.

    Raises:
        InputError: a name means nothing, or a file or hub data set cannot be read.
    """
    sources = [_open(name, config) for name in config.corpus]
    training = tuple((source, part) for source in sources for part in _parts(config))
    heldout = tuple((source, "heldout") for source in sources)
    digest = hashlib.sha256(repr([source.fingerprint for source in sources]).encode())
    return Corpus(
        name=" + ".join(config.corpus),
        fingerprint=digest.hexdigest(),
        manifest={source.name: source.manifest for source in sources},
        training=training,
        heldout=heldout,
    )


def _parts(config: DataConfig) -> tuple[Split, ...]:
    return ("train", "heldout") if config.heldout else ("train",)


def _open(name: str, config: DataConfig) -> Source:
    if name == "pydocs":
        return open_pydocs(config.cache, config.heldout_share)
    if Path(name).expanduser().exists():
        return open_files(Path(name).expanduser(), config.heldout_share)
    raise InputError(f"{name} is neither `pydocs` nor an existing file or folder")
