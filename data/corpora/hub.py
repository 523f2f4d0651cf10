"""Text in data sets of the Hugging Face hub, streamed: nothing is stored, so any size works."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from data.corpora import wikitext
from data.corpora.heldout import Division, Split, choose_division
from data.corpora.text import Text
from data.rows import Row, cell_text
from model.errors import InputError, first_line

HUB_NAME = re.compile(r"([\w.-]+/[\w.-]+)(?::([\w.-]+))?(?:@([\w./-]+))?")
# The hub's parquet copy of data sets that were published as a Python script.
_PARQUET_COPY = "refs/convert/parquet"
_SECONDS_TO_ANSWER = 20


@dataclass(frozen=True)
class HubSet:
    """A data set at one commit. Each row is a text and a document, except in WikiText.

    Its `validation` split (or `test`) is held out; without either a share of `train` is.
    """

    name: str
    commit: str
    splits: Mapping[str, Any]
    """Streams of rows (`datasets.IterableDataset`) by the names of the set's splits."""
    text_field: str
    heldout_share: float

    @property
    def own_heldout(self) -> bool:
        return self._heldout_name is not None

    @property
    def fingerprint(self) -> str:
        return f"{self.name} {self.commit} {self.text_field} {self.heldout_share}"

    @property
    def manifest(self) -> dict[str, Any]:
        return {"commit": self.commit, "heldout": self._heldout_name or "a share of train"}

    def texts(self, split: Split | None) -> Iterator[Text]:
        """The texts of a split; with None all of the set's `train`."""
        if split == "heldout" and self._heldout_name:
            return self._read(self._heldout_name)
        if split is None or self._heldout_name:
            return self._read("train")
        return self._division.texts(self._read("train"), split)

    @property
    def _heldout_name(self) -> str | None:
        return next((name for name in ("validation", "test") if name in self.splits), None)

    @cached_property
    def _division(self) -> Division:
        return choose_division(lambda: self._read("train"), self.heldout_share, self.name)

    def _read(self, split: str) -> Iterator[Text]:
        lines = self._rows(split)
        if "wikitext" in self.name.lower():
            yield from wikitext.articles(lines, split)
        else:
            yield from (Text(text, f"{split}:{n}") for n, text in enumerate(lines) if text)

    def _rows(self, split: str) -> Iterator[str]:
        number = 0
        try:
            for number, row in enumerate(self.splits[split], 1):
                where = f"{self.name}, {split} row {number}"
                yield cell_text(Row(where, row), (self.text_field,), "--data.text-field").strip()
        except OSError as error:  # network errors included
            raise InputError(
                f"reading {self.name} stopped after row {number} of {split} ({first_line(error)}): "
                "check the connection and start again"
            ) from None


def open_hub(name: str, text_field: str, heldout_share: float) -> HubSet:
    """The data set called `owner/name[:config][@revision]`, at its current commit.

    Raises:
        InputError: no network, no such set, revision or config, or a set that needs a script.
    """
    commit, splits = load_splits(name, streaming=True, instead="give text on this machine")
    if "train" not in splits:
        raise InputError(f"{name} has no split `train`, only {', '.join(map(str, splits))}")
    return HubSet(name, commit, splits, text_field, heldout_share)


def load_splits(name: str, *, streaming: bool, instead: str) -> tuple[str, dict[str, Any]]:
    """The current commit of `owner/name[:config][@revision]`, and its splits by name.

    Args:
        name: of the data set.
        streaming: yields splits as streams; otherwise they are stored in the hub's cache.
        instead: another way to give the data, for the message where there is no network.

    Raises:
        InputError: no network, no such set, revision or config, or a set that needs a script.
    """
    # Imported here because it takes two seconds, which local text does not need.
    import datasets
    from datasets.exceptions import DatasetsError
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    match = HUB_NAME.fullmatch(name)
    assert match is not None, name
    repository, config, revision = match.groups()
    # Asked for first, because reading retries for minutes.
    try:
        info = HfApi().dataset_info(repository, revision=revision, timeout=_SECONDS_TO_ANSWER)
    except RevisionNotFoundError:
        raise InputError(f"{repository} has no revision {revision!r} on the hub") from None
    except RepositoryNotFoundError:
        raise InputError(
            f"{repository} is neither a file or folder here nor a public data set on the hub: "
            "check the name, or log in if it is private (hf auth login)"
        ) from None
    except Exception as error:  # the types depend on the HTTP library that the hub's client uses
        raise InputError(
            f"{name} is no file or folder here, and the hub cannot be reached to look there "
            f"({first_line(error)}): check the connection, or {instead}"
        ) from None
    try:
        splits = datasets.load_dataset(repository, config, revision=info.sha, streaming=streaming)
    except RuntimeError as error:
        if "scripts are no longer supported" not in str(error):
            raise
        raise InputError(
            f"{name} is made by a script, which is not run: give {repository}@{_PARQUET_COPY}, "
            "the hub's own copy of its rows"
        ) from None
    except (OSError, ValueError, DatasetsError) as error:
        raise InputError(f"{name} cannot be read from the hub: {first_line(error)}") from None
    return str(info.sha), {str(split): rows_of for split, rows_of in splits.items()}
