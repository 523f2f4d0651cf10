"""The settings of the training text and of the sequences made from it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from data.corpora.heldout import HeldOutPart
from data.storage.mirror import default_cache
from model.errors import InputError
from model.ranges import Range, Share

SequenceMode = Literal["packed", "lines"]


@dataclass(frozen=True)
class DataConfig:
    """The text, and the sequences made from it."""

    tokenizer: str | None = None
    """A folder, a vocab.txt, a tokenizer.json, a hub name, or `wordpiece:SIZE` to learn one from
    the corpus; by default the tokenizer of the model that is loaded."""
    corpus: tuple[str, ...] = ("pydocs",)
    """`pydocs`, a file or folder (txt, md, jsonl, csv, parquet, WikiText's tokens and raw, each
    also .gz), or a hub name `owner/name[:config][@revision]`; several are mixed."""
    size_exponent: Share = 1.0
    """Several corpora are read in proportion to size^this: 1 as they are; 0.7 as in multilingual
    BERT, small ones more than once and large ones in part; 0 equally much of each."""
    heldout: tuple[str, ...] = ()
    """Text to evaluate on, named like the corpus; by default whole documents of the corpus."""
    heldout_share: Annotated[float, Range(0, 0.5, above=True)] = 0.02
    """The share of documents held out when `heldout` is empty and the corpus brings none."""
    heldout_part: HeldOutPart = "all"
    """The part of the held-out text to evaluate on: all, or one of two halves that share no
    document (or block of lines, where documents are few): `selection` to choose settings by, and
    `reporting` to measure what was chosen."""
    text_field: str = "text"
    """The field that holds the text in jsonl, csv, parquet and hub rows."""
    mode: SequenceMode = "packed"
    """`packed`: documents joined and cut to full length. `lines`: each text for itself, as in the
    original."""
    pack_lines: bool = True
    """In `lines` mode several texts share a training sequence, and none sees another; without, each
    has a sequence of its own, and the rest of it is padding."""
    join: tuple[str, ...] = ()
    """Those corpora whose neighbouring rows are joined in `lines` mode into texts of up to
    `sequence_length` tokens: for rows that are sentences of books. Documents that are rows, such as
    Wikipedia's articles, would be joined too: do not name them."""
    sequence_length: Annotated[int, Range(3, 65536)] = 128
    """Tokens in a sequence, [CLS] and [SEP] included."""
    cache: Path = field(default_factory=default_cache)
    """The folder that keeps prepared text and sequences."""

    @property
    def shares_sequences(self) -> bool:
        """True if a training sequence holds several texts, of which none sees another."""
        return self.mode == "lines" and self.pack_lines

    @property
    def has_padding(self) -> bool:
        """True if a training sequence is one text, however short."""
        return self.mode == "lines" and not self.pack_lines

    def check_length(self, positions: int, model: str) -> None:
        """Raises InputError for sequences that are longer than the positions of this model."""
        if self.sequence_length > positions:
            raise InputError(
                f"--data.sequence-length {self.sequence_length} is above the {positions} positions "
                f"of {model}"
            )
