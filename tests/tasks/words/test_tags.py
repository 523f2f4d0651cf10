import numpy as np
import pytest

from model.errors import InputError
from tasks.reading import Reading
from tasks.words.encode import encode_words
from tasks.words.examples import TaggedExample
from tasks.words.tags import (
    Entity,
    entity_f1,
    find_entities,
    word_tags,
)
from tests.spelling import speller

LABELS = ("I-x", "O", "B-x")


def logits_of(windows, tags: list[list[str]], length: int = 0) -> list[np.ndarray]:
    """Logits that say `tags` at predicted first pieces and the first label anywhere else."""
    logits = []
    for word, example in zip(windows.notes["word"], windows.example, strict=True):
        tagged = [0 if w < 0 else LABELS.index(tags[example][w]) for w in word]
        scores = np.eye(len(LABELS), dtype=np.float32)[tagged]
        logits.append(np.pad(scores, [(0, max(0, length - len(scores))), (0, 0)]))
    return logits


@pytest.mark.parametrize("length", [0, 30])
def test_tags_come_back_from_windows(length):
    long = ("abc", "de", "f", "ghij", "kl", "m", "n", "op")
    words = [long, ("a", "\x01", "b"), (), ("\x01",)]
    long_tags = ["B-x", "I-x", "O", "B-x", "B-x", "I-x", "O", "B-x"]
    tags = [long_tags, ["B-x", "I-x", "I-x"], [], ["B-x"]]
    examples = [TaggedExample(str(i), w) for i, w in enumerate(words)]
    windows = encode_words(examples, speller(), LABELS, 8, Reading())
    assert len(windows) > len(examples)
    counts = [len(w) for w in words]
    found = word_tags(logits_of(windows, tags, length), windows, counts, LABELS)
    # Words without pieces, at whatever place, are O.
    assert found == [tags[0], ["B-x", "O", "I-x"], [], ["O"]]


def test_scores_by_hand():
    gold = [["B-x", "I-x", "O", "B-y"], ["B-x", "O"]]
    guess = [["B-x", "I-x", "O", "B-x"], ["B-x", "I-x"]]
    # One of three found is right (its type and both borders), and one of three there is found.
    assert entity_f1(gold, guess) == pytest.approx(1 / 3)
    guess = [["B-x", "I-x", "O", "O"], ["O", "O"]]
    assert entity_f1(gold, guess) == pytest.approx(1 / 2)  # precision 1, recall 1/3
    assert entity_f1(gold, gold) == 1.0
    assert entity_f1([["O"], []], [["B-x"], []]) == 0
    assert entity_f1([["O"]], [["O"]]) == 0


def test_the_mode_is_that_of_conlleval():
    # An I- that continues nothing starts an entity; so does one of another type.
    assert entity_f1([["B-x", "I-x", "O"]], [["I-x", "I-x", "O"]]) == 1.0
    assert entity_f1([["B-x", "B-y"]], [["B-x", "I-y"]]) == 1.0
    # Sentences end entities.
    assert entity_f1([["B-x"], ["B-x"]], [["B-x"], ["I-x"]]) == 1.0


def test_entities_have_their_place_in_the_text():
    text = "Ann  Lee met Bo."
    words = [(0, 3), (5, 8), (9, 12), (13, 15), (15, 16)]
    tags = ["B-per", "I-per", "O", "I-org-x", "O"]
    assert find_entities(text, words, tags) == [
        Entity("per", "Ann  Lee", 0, 8),
        Entity("org-x", "Bo", 13, 15),
    ]
    assert find_entities("", [], []) == []


@pytest.mark.parametrize("tag", ["NN", "person", "B-", "b-x", "", "X-y"])
def test_tags_that_name_no_entities(tag):
    with pytest.raises(InputError, match=f"the tag {tag} names no entity"):
        entity_f1([[tag, "O"]], [["O", "O"]])
