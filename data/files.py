"""Text in local files and folders."""

import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from data import split as splitting
from data.text import Text
from model.errors import InputError

_LINES = (".txt", ".md")


@dataclass(frozen=True)
class Files:
    """Files as one source; those of a folder in the order of their names."""

    root: Path
    files: tuple[Path, ...]
    heldout_share: float
    digest: str

    @property
    def name(self) -> str:
        return str(self.root)

    @property
    def fingerprint(self) -> str:
        return f"{self.digest} {self.heldout_share}"

    @property
    def manifest(self) -> dict[str, Any]:
        return {"files": len(self.files), "sha256": self.digest}

    @cached_property
    def _heldout(self) -> splitting.HeldOut:
        return splitting.choose(self._read, self.heldout_share, self.name)

    def texts(self, split: Literal["train", "heldout"]) -> Iterator[Text]:
        return self._heldout.split(self._read(), heldout=split == "heldout")

    def _read(self) -> Iterator[Text]:
        for file in self.files:
            document = file.relative_to(self.root).as_posix() if file != self.root else file.name
            with _open(file) as lines:
                for line in lines:
                    text = line.decode("utf-8-sig").strip()
                    if text:
                        yield Text(text, document)


def open_files(root: Path, heldout_share: float) -> Files:
    """The text files under `root`, checked."""
    files = (root,) if root.is_file() else tuple(sorted(_below(root)))
    if not files:
        raise InputError(f"{root} holds no file of text ({', '.join(_LINES)}, also .gz)")
    digest = hashlib.sha256()
    for file in files:
        _check(file, digest)
    return Files(root, files, heldout_share, digest.hexdigest())


def _below(root: Path) -> Iterator[Path]:
    for path in root.rglob("*"):
        if path.is_file() and path.name.removesuffix(".gz").endswith(_LINES):
            yield path


def _open(file: Path):
    return gzip.open(file) if file.suffix == ".gz" else file.open("rb")


def _check(file: Path, digest: "hashlib._Hash") -> None:
    number, anything = 0, False
    with _open(file) as lines:
        for number, line in enumerate(lines, 1):
            digest.update(line)
            try:
                anything |= bool(line.decode("utf-8-sig").strip())
            except UnicodeDecodeError:
                raise InputError(f"{file}, line {number}, is not UTF-8 text: convert it") from None
    if not anything:
        raise InputError(f"{file} is empty: give a file with text")
