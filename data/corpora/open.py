"""Text by name: the embedded corpus, local files, hub data sets, or several of them."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.config import DataConfig
from data.corpora.files import SUFFIXES, Files, open_files
from data.corpora.heldout import Split
from data.corpora.hub import HUB_NAME, HubSet, open_hub
from data.corpora.pydocs import Pydocs, open_pydocs
from data.corpora.text import Text
from model.errors import InputError

# What each of them has: a `name`; a `fingerprint` of the text and of what decides about its split;
# a `manifest` with what a reader of the results should know; `own_heldout`, whether it brings a
# held-out part, so that none is taken from its training text; and `texts(split)`, which with None
# gives all that may be trained on when nothing is held out.
Source = Pydocs | Files | HubSet


@dataclass(frozen=True)
class Corpus:
    """Training and held-out text of one or several sources.

    Several follow each other: sequences are shuffled after preparation, and that mixes them.
    """

    name: str
    fingerprint: str
    """Hexadecimal; of the text and of everything that decides about the split."""
    manifest: dict[str, dict[str, Any]]
    """What each source says of itself."""
    parts: dict[Split, tuple[tuple[Source, Split | None], ...]]

    def texts(self, split: Split) -> Iterator[Text]:
        """The texts of a split, always in the same order; those of a document are adjacent."""
        for source, part in self.parts[split]:
            yield from source.texts(part)


def open_corpus(config: DataConfig) -> Corpus:
    """The corpus that `config` names; local files are checked here, before any work on them.

    Raises:
        InputError: a name means nothing, a file or hub data set cannot be read, or nothing can be
            held out.
    """
    if not 0 < config.heldout_share <= 0.5:
        raise InputError(
            f"--data.heldout-share is {config.heldout_share}; it should be in (0, 0.5]"
        )
    sources = {name: _open(name, config) for name in (*config.corpus, *config.heldout)}
    for name in config.heldout:
        if name in config.corpus and not sources[name].own_heldout:
            raise InputError(
                f"{name} is both --data.corpus and --data.heldout: leave --data.heldout away to "
                "hold out a part of it"
            )
    whole: Split | None = None if config.heldout else "train"
    parts: dict[Split, tuple[tuple[Source, Split | None], ...]] = {
        "train": tuple(
            (sources[name], "train" if name in config.heldout else whole) for name in config.corpus
        ),
        "heldout": tuple(
            (sources[name], "heldout" if sources[name].own_heldout or not config.heldout else None)
            for name in config.heldout or config.corpus
        ),
    }
    content = [(split, s.fingerprint, p) for split, of in parts.items() for s, p in of]
    return Corpus(
        name=" + ".join(config.corpus),
        fingerprint=hashlib.sha256(repr(content).encode()).hexdigest(),
        manifest={name: source.manifest for name, source in sources.items()},
        parts=parts,
    )


def _open(name: str, config: DataConfig) -> Source:
    path = Path(name).expanduser()
    if name == "pydocs":
        return open_pydocs(config.cache, config.heldout_share)
    if path.exists():
        return open_files(path, config.text_field, config.heldout_share)
    if HUB_NAME.fullmatch(name) and not name.removesuffix(".gz").endswith(SUFFIXES):
        return open_hub(name, config.text_field, config.heldout_share)
    raise InputError(
        f"{name} does not exist: a corpus is `pydocs`, a file, a folder, or the name of a hub data "
        "set, owner/name[:config][@revision]"
    )
