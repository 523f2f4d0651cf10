from itertools import chain

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from tasks.reading import Reading
from tasks.words.encode import encode_words
from tasks.words.examples import TaggedExample
from tasks.words.kind import PlainTags
from tasks.words.tags import Entity, entity_f1, f1_without_o, find_entities, word_tags
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


def test_f1_of_plain_tags_is_that_of_scikit_learn():
    dice = np.random.default_rng(0)
    gold, guess = (
        [dice.choice(["O", "O", "COMMA", "PERIOD"], n).tolist() for n in (9, 0, 30)] for _ in "ab"
    )
    flat = [list(chain(*tags)) for tags in (gold, guess)]
    micro = f1_score(*flat, labels=["COMMA", "PERIOD"], average="micro")
    assert f1_without_o(gold, guess) == pytest.approx(micro)
    labels = ("PERIOD", "O", "COMMA")
    scored = [{"gold": g, "prediction": p} for g, p in zip(gold, guess, strict=True)]
    assert PlainTags().breakdown(labels, scored) == {"f1_without_o": pytest.approx(micro)}
    assert f1_without_o([["O"]], [["O"]]) == 0
    assert PlainTags().breakdown(("A", "B"), [{"gold": ["A"], "prediction": ["B"]}]) == {}
    names = ("accuracy", "macro_f1")
    assert PlainTags().measure(names, labels, gold, guess) == {
        "accuracy": pytest.approx(accuracy_score(*flat)),
        "macro_f1": pytest.approx(f1_score(*flat, average="macro")),
        "collapsed": 0,
    }
    same = [["O"] * len(tags) for tags in gold]
    assert PlainTags().measure(names, labels, gold, same)["collapsed"] == 1


def test_plain_tags_without_o_have_one_for_every_word():
    examples = [TaggedExample("0", ("a", "\x01"))]
    windows = encode_words(examples, speller(), ("ADJ", "NOUN"), 8, Reading())
    logits = [np.tile(np.array([0, 1], np.float32), (len(windows.input_ids[0]), 1))]
    assert word_tags(logits, windows, [2], ("ADJ", "NOUN")) == [["NOUN", "ADJ"]]
