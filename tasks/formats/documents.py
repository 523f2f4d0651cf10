"""Sets of documents, a file each: in folders, or in the archive as it was published."""

import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from data.rows import Row
from model.errors import InputError


@dataclass(frozen=True)
class Documents:
    """A format (see `tasks.formats.rows`): <folder of the split>/<label>/<document>.

    Rows have `id` (label/document), `text` and `label`, in the order of their ids. An archive is
    read as it is, and nothing unpacked to disk.
    """

    folder: str = "{split}"
    """The name of a split's folder."""
    encoding: str = "utf-8"
    ignored: tuple[str, ...] = ()
    """Folders beside those of the labels."""
    clean: Callable[[str], str] | None = None
    """Applied to each document."""

    def __call__(self, path: Path, split: str) -> Iterator[Row]:
        """Yields the documents in a split's folder, or of a split in a .tar.gz.

        Raises:
            InputError: the archive is cut short, or a document is not in its encoding.
        """
        files = _folder(path) if path.is_dir() else _archive(path, self.folder.format(split=split))
        for name, content in sorted(files):
            label, _, document = name.partition("/")
            if label in self.ignored or label.startswith(".") or document.startswith("."):
                continue
            try:
                text = content.decode(self.encoding)
            except UnicodeDecodeError:
                raise InputError(f"{path}: {name} is not {self.encoding} text") from None
            cleaned = self.clean(text) if self.clean else text
            yield Row(f"{path}: {name}", {"id": name, "text": cleaned, "label": label})


def _folder(path: Path) -> Iterator[tuple[str, bytes]]:
    for file in path.glob("*/*"):
        if file.is_file():
            yield file.relative_to(path).as_posix(), file.read_bytes()


def _archive(path: Path, folder: str) -> Iterator[tuple[str, bytes]]:
    """Files two levels below the folder, wherever in the archive it is."""
    wanted = re.compile(rf"(?:.*/)?{re.escape(folder)}/([^/]+/[^/]+)")
    try:
        # Not as a stream, r|gz: that takes an archive for whole if it is cut at some places.
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                name = wanted.fullmatch(member.name)
                content = archive.extractfile(member) if name and member.isfile() else None
                if name and content:
                    yield name[1], content.read()
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} is cut short or damaged: {error}") from None


_QUOTED = re.compile(r"^>|^\||^In article|^Quoted from|writes in|writes:|wrote:|says:|said:")


def body(post: str) -> str:
    """The part of a post that its author wrote: it may be empty.

    The header ends with the first blank line. What follows the last line that is blank, or all
    hyphens, is taken for a signature. Lines that quote, or that say who is quoted, are left out.
    """
    text = post.partition("\n\n")[2]
    lines = text.strip().split("\n")
    breaks = [number for number, line in enumerate(lines) if not line.strip().strip("-")]
    if breaks and breaks[-1] > 0:
        text = "\n".join(lines[: breaks[-1]])
    return "\n".join(line for line in text.split("\n") if not _QUOTED.search(line))
