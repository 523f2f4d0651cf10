"""Published files of a data set, and where they are in a folder that a user has."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from model.errors import InputError
from tasks.formats.rows import Format


@dataclass(frozen=True)
class PublishedFiles:
    """The files of a set as its authors gave them out."""

    folders: tuple[str, ...]
    """What the set's folder may be called in one with several sets."""
    files: Mapping[str, tuple[str, ...]]
    """The file (or folder, or archive) of each split: patterns, the first that is there counts.
    Each may also end in .gz."""
    rows: Format

    def find(self, root: Path, split: str) -> Path | None:
        """The file of a split; `root` is the set's folder or one that holds it.

        Raises:
            InputError: several files fit a pattern.
        """
        for folder in (*(root / name for name in self.folders), root):
            for pattern in self.files[split]:
                for suffix in ("", ".gz"):
                    found = sorted(folder.glob(pattern + suffix))
                    if len(found) > 1:
                        names = ", ".join(file.name for file in found)
                        raise InputError(
                            f"{folder}: which of {names} holds the {split} split? Leave one there"
                        )
                    if found:
                        return found[0]
        return None

    def looked_for(self, split: str) -> str:
        """In words, for messages."""
        return f"{' or '.join(self.files[split])} (or .gz), there or in {' or '.join(self.folders)}"
