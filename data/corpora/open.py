"""Corpora by name: the embedded one, local files, hub data sets, or several of them."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from data.config import DataConfig
from data.corpora.files import TEXT_SUFFIXES, Files, open_files
from data.corpora.heldout import HeldOutPart, Split, part_of
from data.corpora.hub import HUB_NAME, open_hub
from data.corpora.mixing import Repeated, TextSource, repeated
from data.corpora.pydocs import open_pydocs
from data.corpora.text import Text
from data.rows import table_suffix
from model.errors import InputError
from model.ranges import check_settings

Parts = tuple[tuple[TextSource | Repeated, Split | None], ...]
"""Sources, and the part of each that is read; None: all of it."""


@dataclass(frozen=True)
class Corpus:
    """The training and held-out text of one or several sources.

    Sources follow each other; they are mixed when prepared sequences are shuffled.
    """

    name: str
    fingerprint: str
    """A hexadecimal digest of the text and of all settings of the split."""
    manifest: dict[str, dict[str, Any]]
    """The manifest of each source."""
    parts: dict[Split, Parts]
    """The sources of each split."""
    notes: tuple[str, ...] = ()
    """Sentences on files that are passed over, and on how often each source is read."""
    joined: tuple[str, ...] = ()
    """The names of sources whose neighbouring rows are joined (`data.tokenise.join_neighbours`)."""
    heldout_part: HeldOutPart = "all"
    """The part of the held-out text that is read; the fingerprint is of all of it."""

    def texts(self, split: Split) -> Iterator[Text]:
        """The texts of a split, always in the same order; those of a document are adjacent."""
        for texts, _ in self.streams(split):
            yield from texts

    def streams(self, split: Split) -> Iterator[tuple[Iterator[Text], bool]]:
        """The texts of each source, and whether its neighbouring rows are to be joined."""
        for source, part in self.parts[split]:
            texts = source.texts(part)
            if split == "heldout":
                read = partial(source.texts, part)
                texts = part_of(read, self.heldout_part, source.name)
            yield texts, source.name in self.joined


def open_corpus(config: DataConfig) -> Corpus:
    """The corpus that `config` names. Local files are checked at once, before other work.

    Raises:
        InputError: a setting is out of range, a name is unknown, a file or hub data set cannot be
            read, or nothing can be held out.
    """
    check_settings(config, "--data.")
    for name in config.join:
        if name not in config.corpus:
            raise InputError(
                f"--data.join {name} is not among --data.corpus, which are "
                f"{', '.join(config.corpus)}: name one of them"
            )
    if config.join and config.mode != "lines":
        raise InputError(
            f"--data.join joins rows in lines mode, and --data.mode is {config.mode}, which joins "
            "all text: leave it out"
        )
    sources = {name: _open(name, config) for name in (*config.corpus, *config.heldout)}
    for name in config.heldout:
        if name in config.corpus and not sources[name].own_heldout:
            raise InputError(
                f"{name} is both --data.corpus and --data.heldout: leave out --data.heldout, "
                "and a part of it is held out"
            )
    whole: Split | None = None if config.heldout else "train"
    given: list[tuple[TextSource, Split | None]] = [
        (sources[name], "train" if name in config.heldout else whole) for name in config.corpus
    ]
    train: Parts = tuple(given)
    heldout: Parts = tuple(
        (sources[name], "heldout" if sources[name].own_heldout or not config.heldout else None)
        for name in config.heldout or config.corpus
    )
    notes = tuple(n for s in sources.values() if isinstance(s, Files) for n in s.notes)
    if config.size_exponent != 1:
        if len(given) == 1:
            raise InputError(
                "--data.size-exponent says how several corpora are mixed, and there is one: leave "
                "it out"
            )
        mixed = repeated(given, config.size_exponent, config.cache)
        train = tuple(mixed)
        times = ", ".join(f"{source.name} {source.times:.2f} times" for source, _ in mixed)
        notes += (f"in proportion to size^{config.size_exponent:g} corpora are read: {times}",)
    parts: dict[Split, Parts] = {"train": train, "heldout": heldout}
    content = [(split, s.fingerprint, p) for split, of in parts.items() for s, p in of]
    joined = tuple(sources[name].name for name in config.join)
    if joined:
        content.append(("joined", repr(joined), None))
    return Corpus(
        name=" + ".join(config.corpus),
        fingerprint=hashlib.sha256(repr(content).encode()).hexdigest(),
        manifest={
            **{name: source.manifest for name, source in sources.items()},
            **{name: s.manifest for name, (s, _) in zip(config.corpus, train, strict=True)},
        },
        parts=parts,
        notes=notes,
        joined=joined,
        heldout_part=config.heldout_part,
    )


def _open(name: str, config: DataConfig) -> TextSource:
    path = Path(name).expanduser()
    if name == "pydocs":
        return open_pydocs(config.cache, config.heldout_share)
    if path.exists():
        return open_files(path, config.text_field, config.heldout_share)
    if HUB_NAME.fullmatch(name) and table_suffix(path) not in TEXT_SUFFIXES:
        return open_hub(name, config.text_field, config.heldout_share)
    raise InputError(
        f"{name} does not exist: a corpus is `pydocs`, a file, a folder, or the name of a hub data "
        "set, owner/name[:config][@revision]"
    )
