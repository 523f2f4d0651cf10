"""Settings of reading and writing, and which of them mean something to a model."""

import re

import pytest

from model.decoder.settings import GenerationConfig
from model.errors import InputError
from tasks.kinds import KINDS
from tasks.reading import BeamSettings, Reading


@pytest.mark.parametrize(
    ("kind", "reading", "message"),
    [
        ("classification", {"overlap": 3}, "overlap 3 means nothing to --reading.long truncate"),
        ("classification", {"long": "windows", "most_windows": 2}, "most-windows 2 means nothing"),
        ("classification", {"doc_stride": 7}, "doc-stride 7 means nothing to a classifier: leave"),
        ("multilabel", {"max_target": 3}, "--reading.max-target 3 means nothing to a classifier"),
        ("regression", {"max_question": 3}, "--reading.max-question 3 means nothing to"),
        ("answers", {"long": "windows"}, "--reading.long windows means nothing to"),
        ("tags", {"long": "head+tail"}, "--reading.long head+tail means nothing to"),
        ("translation", {"overlap": 0}, "--reading.overlap 0 means nothing to"),
        ("classification", {"long": "windows", "overlap": 0, "max_length": 9}, None),
        ("classification", {"long": "hierarchy", "most_windows": 2, "overlap": 1}, None),
        ("answers", {"doc_stride": 7, "max_question": 3}, None),
        ("translation", {"long": "head+tail", "max_target": 3}, None),
    ],
)  # fmt: skip
def test_what_means_nothing_to_a_model_is_refused(kind, reading, message):
    kind, given = KINDS[kind], Reading(**reading)
    if message is None:
        given.check_means(kind.reads, kind.noun)
        return
    with pytest.raises(InputError, match=re.escape(message)):
        given.check_means(kind.reads, kind.noun)


def test_a_penalty_of_length_needs_several_texts():
    of = GenerationConfig(start=1, end=2, beams=4)
    assert BeamSettings(length_penalty=2.0).of(of).length_penalty == 2.0
    assert BeamSettings(beams=1, length_penalty=1.0).of(of).beams == 1  # as without it
    for search, model in (
        (BeamSettings(beams=1, length_penalty=2.0), of),
        (BeamSettings(length_penalty=0.0), GenerationConfig(start=1, end=2)),
    ):
        with pytest.raises(
            InputError, match=r"^--search\.length-penalty .*: give --search.beams 2"
        ):
            search.of(model)
