"""Halves of the held-out text: together it is all of it, and no document is in both."""

from pathlib import Path

import pytest

from data.config import DataConfig
from data.corpora.heldout import part_of
from data.corpora.text import Text
from data.open import open_data
from model.errors import InputError


def halves(texts: list[Text]) -> tuple[list[Text], list[Text]]:
    selection, reporting = (
        list(part_of(lambda: iter(texts), part, "book")) for part in ("selection", "reporting")
    )
    assert sorted(selection + reporting) == sorted(texts)
    assert list(part_of(lambda: iter(texts), "all", "book")) == texts
    return selection, reporting


def test_every_second_document_is_in_each_half():
    texts = [Text(f"{n}.{line}", f"{n}") for n in range(31) for line in range(1 + n % 3)]
    selection, reporting = ({text.document for text in half} for half in halves(texts))
    assert not selection & reporting
    assert selection == {str(n) for n in range(0, 31, 2)}


def test_of_few_documents_every_second_block_of_lines_is():
    texts = [Text(str(n), "whole") for n in range(100)]
    selection, reporting = ([int(text.text) // 5 for text in half] for half in halves(texts))
    assert set(selection) == {*range(0, 20, 2)} and set(reporting) == {*range(1, 20, 2)}


def test_one_line_cannot_be_divided():
    with pytest.raises(InputError, match="the held-out text of book holds one line of text"):
        list(part_of(lambda: iter([Text("alone", "a")]), "selection", "book"))


def test_the_halves_have_sequences_of_their_own_and_share_those_of_training(tmp_path: Path):
    for number in range(100):
        (tmp_path / f"{number}.txt").write_text(f"{number} has words and {number % 7} more words\n")
    opened = {
        part: open_data(
            DataConfig(
                corpus=(str(tmp_path),),
                heldout_share=0.4,
                heldout_part=part,
                tokenizer="wordpiece:60",
                sequence_length=8,
                cache=tmp_path / ".cache",
            )
        )
        for part in ("all", "selection", "reporting")
    }
    assert len({data.train.fingerprint for data in opened.values()}) == 1
    assert len({data.heldout.fingerprint for data in opened.values()}) == 3
    counts = {part: data.heldout.stats["documents"] for part, data in opened.items()}
    assert counts["selection"] + counts["reporting"] == counts["all"] >= 20
    assert abs(counts["selection"] - counts["reporting"]) <= 1
