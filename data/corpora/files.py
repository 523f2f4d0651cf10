"""Text in local files and folders: which files, whether they are sound, what is held out."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from data.corpora import wikitext
from data.corpora.heldout import Division, Split, choose_division
from data.corpora.text import Text
from data.rows import cell_text, read_rows, table_suffix
from data.storage.lines import UTF16_MARKS, conversion, opened, read_lines
from model.errors import InputError, first_of

_WIKITEXT = (".tokens", ".raw")
_ROWS = (".jsonl", ".csv", ".parquet")
TEXT_SUFFIXES = (".txt", ".md", *_WIKITEXT, *_ROWS)


@dataclass(frozen=True)
class Files:
    """A file, or the files below a folder, links followed, in the order of their names.

    In txt and md each line that is not blank is a text and the file a document; in jsonl, csv and
    parquet each row is both; WikiText's .tokens and .raw files hold many documents.
    """

    root: Path
    files: tuple[Path, ...]
    sha256: str
    """Of the names below `root` and of the contents."""
    text_field: str
    heldout_share: float
    notes: tuple[str, ...] = ()
    """Sentences on files below `root` that are passed over."""

    own_heldout = False

    @property
    def name(self) -> str:
        return str(self.root)

    @property
    def fingerprint(self) -> str:
        return f"{self.sha256} {self.text_field} {self.heldout_share}"

    @property
    def manifest(self) -> dict[str, Any]:
        return {"files": len(self.files), "sha256": self.sha256}

    def texts(self, split: Split | None) -> Iterator[Text]:
        """The texts of a split, or all of them."""
        if split is None:
            return self._read()
        return self._division.texts(self._read(), split)

    @cached_property
    def _division(self) -> Division:
        return choose_division(self._read, self.heldout_share, self.name)

    def _read(self) -> Iterator[Text]:
        for file in self.files:
            document, suffix = _name(file, self.root), table_suffix(file)
            if suffix in _ROWS:
                yield from self._rows(file, document)
            elif suffix in _WIKITEXT:
                yield from wikitext.articles(read_lines(file), document)
            else:
                lines = map(str.strip, read_lines(file))
                yield from (Text(line, document) for line in lines if line)

    def _rows(self, file: Path, document: str) -> Iterator[Text]:
        for row in read_rows(file, only=self.text_field):
            if row.problem:
                raise InputError(f"{row.place}, {row.problem}")
            text = cell_text(row, (self.text_field,), "--data.text-field").strip()
            if text:
                yield Text(text, f"{document}:{row.number}")


def open_files(root: Path, text_field: str, heldout_share: float) -> Files:
    """The text at a path, every file of it read once for its fingerprint and checked.

    Raises:
        InputError: no file of text, or one that is empty, binary, not UTF-8 or damaged.
    """
    if root.is_file() and table_suffix(root) not in TEXT_SUFFIXES:
        raise InputError(
            f"{root} is no kind of text that is read here: its name should end in "
            f"{', '.join(TEXT_SUFFIXES)}, or one of these and .gz"
        )
    files, notes = ((root,), ()) if root.is_file() else _below(root)
    if not files:
        raise InputError(
            f"the folder {root} holds no text: no file whose name ends in "
            f"{', '.join(TEXT_SUFFIXES)}, or one of these and .gz"
        )
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{_name(file, root)}\0".encode())
        _check(file, digest)
    return Files(root, files, digest.hexdigest(), text_field, heldout_share, notes)


def _below(root: Path) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """The files of text below a folder, each once, and sentences on those passed over."""
    files, seen, passed_over = [], set(), defaultdict(list)
    folders, links = [root], []
    while folders or links:
        folder = (folders or links).pop()  # a folder by its own name, if it is here, comes first
        if folder.resolve() in seen:
            passed_over["already read under another name"].append(folder)
            continue
        seen.add(folder.resolve())
        for path in sorted(_entries(folder), key=lambda path: (path.is_symlink(), path)):
            if path.name.startswith("."):
                passed_over["hidden"].append(path)
            elif path.is_dir():
                (links if path.is_symlink() else folders).append(path)
            elif not path.is_file():
                passed_over["not a file"].append(path)
            elif table_suffix(path) not in TEXT_SUFFIXES:
                passed_over[f"not {', '.join(TEXT_SUFFIXES)} or one of these and .gz"].append(path)
            elif path.resolve() in seen:
                passed_over["already read under another name"].append(path)
            else:
                seen.add(path.resolve())
                files.append(path)
    notes = (
        f"{root}: passed over {first_of(sorted(_name(p, root) for p in paths), 5)}, which "
        f"{'is' if len(paths) == 1 else 'are'} {why}"
        for why, paths in passed_over.items()
    )
    return tuple(sorted(files)), tuple(notes)


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise InputError(f"the folder {folder} cannot be read: {error.strerror}") from None


def _check(file: Path, digest: "hashlib._Hash") -> None:
    """Reads all of a file into the digest; raises InputError unless it holds sound text."""
    empty = True
    with opened(file) as stream:
        for number, line in enumerate(stream, 1):
            digest.update(line)
            if table_suffix(file) == ".parquet":
                empty = False
                continue
            try:
                empty &= not line.decode("utf-8-sig").strip()
            except UnicodeDecodeError as error:
                if b"\0" in line and not line.startswith(UTF16_MARKS):
                    raise InputError(
                        f"{file} is binary (line {number}, byte {error.start + 1}): give text"
                    ) from None
                raise InputError(
                    f"{file} is not UTF-8 text (line {number}, byte {error.start + 1}): "
                    f"{conversion(file)}"
                ) from None
            if b"\0" in line:
                raise InputError(f"{file} is binary (a zero byte in line {number}): give text")
    if empty:
        raise InputError(f"{file} is empty: give a file with text, or remove it from the folder")


def _name(file: Path, root: Path) -> str:
    """Independent of where the corpus lies, so that moving it changes neither split nor cache."""
    return file.name if file == root else file.relative_to(root).as_posix()
