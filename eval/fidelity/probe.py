"""Linear probes of word classes in hidden states, with a control task (Hewitt and Liang 2019)."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from data.vocabulary import Vocabulary
from eval.fidelity.states import FIXED_SEED, ChosenTokens, States
from model.errors import InputError
from tasks.formats.conll import conll_rows
from tasks.reading import Reading
from tasks.words.encode import encode_words
from tasks.words.examples import TagColumns

MOST_WORDS = 5_000
"""Words that are read, whole sentences from the beginning of the file."""
EVERY = 5
"""Each fifth sentence is for testing."""


@dataclass(frozen=True)
class TaggedWords:
    """Words with their classes, as chosen tokens of sentences."""

    batches: tuple[ChosenTokens, ...]
    """The first piece of each word."""
    classes: Int[np.ndarray, " words"]
    control: Int[np.ndarray, " words"]
    """A class drawn for each word form, from how often the classes occur."""
    test: np.ndarray
    """True for words of sentences that are for testing."""
    names: tuple[str, ...]

    @property
    def majority(self) -> float:
        """The accuracy of always guessing the most frequent class."""
        commonest = np.bincount(self.classes[~self.test]).argmax()
        return float(np.mean(self.classes[self.test] == commonest))


@dataclass(frozen=True)
class ProbeScores:
    """Accuracies on the test words, a number for each layer; the embeddings come first."""

    classes: tuple[float, ...]
    control: tuple[float, ...]

    @property
    def selectivity(self) -> tuple[float, ...]:
        """Accuracy on the classes minus that on the control task."""
        return tuple(a - b for a, b in zip(self.classes, self.control, strict=True))


def read_tagged(path: Path, vocabulary: Vocabulary, *, length: int, rows: int) -> TaggedWords:
    """The tagged words of a file in the format of CoNLL.

    Raises:
        InputError: the file cannot be read, or has too few sentences or one class only.
    """
    examples, words = [], 0
    for number, row in enumerate(conll_rows(path, "train")):
        if words >= MOST_WORDS:
            break
        examples.append(TagColumns().example(row, number, (), True))
        words += len(examples[-1].words)
    if len(examples) < 2 * EVERY:
        raise InputError(
            f"{path} has {len(examples)} sentences, and a probe is trained and tested on "
            f"{2 * EVERY} at least: give a longer file"
        )
    names = tuple(sorted({tag for example in examples for tag in example.tags or ()}))
    if len(names) < 2:
        raise InputError(f"{path} has only {len(names)} class: a probe needs two at least")
    windows = encode_words(examples, vocabulary, names, length, Reading())
    tags, _ = windows.tokens["tags"]
    batches, classes, forms, sentences = [], [], [], []
    for start in range(0, len(windows), rows):
        part = range(start, min(start + rows, len(windows)))
        ids = np.full((rows, length), vocabulary.special.pad, np.int32)
        mask, where = np.zeros(ids.shape, bool), np.zeros(ids.shape, bool)
        for row, number in enumerate(part):
            own, tag, word = windows.input_ids[number], tags[number], windows.notes["word"][number]
            ids[row, : len(own)], mask[row, : len(own)] = own, True
            where[row, : len(own)] = word >= 0
            sentence = int(windows.example[number])
            classes.extend(tag[word >= 0])
            forms.extend(examples[sentence].words[place] for place in word[word >= 0])
            sentences.extend([sentence] * int((word >= 0).sum()))
        batches.append(ChosenTokens(ids, mask, where))
    found = np.array(classes, np.int64)
    test = np.array(sentences) % EVERY == EVERY - 1
    return TaggedWords(tuple(batches), found, control_classes(forms, found), test, names)


def control_classes(
    forms: Sequence[str], classes: Int[np.ndarray, " words"]
) -> Int[np.ndarray, " words"]:
    """A class for each word, the same wherever its form occurs (Hewitt and Liang 2019, section 2).

    It is drawn from the frequencies of the classes: to predict it a probe has to know words by
    heart, and nothing else helps.
    """
    kinds, place = np.unique(np.array(forms, dtype=object).astype(str), return_inverse=True)
    drawn = np.random.default_rng(FIXED_SEED).choice(classes, size=len(kinds))
    return drawn[place]


def probe_layers(states: States, words: TaggedWords) -> ProbeScores:
    """The accuracy of a linear probe of each layer, on the classes and on the control task."""
    scores = {
        name: tuple(probe_accuracy(layer, classes, words.test) for layer in states)
        for name, classes in (("classes", words.classes), ("control", words.control))
    }
    return ProbeScores(**scores)


def probe_accuracy(
    features: np.ndarray, classes: Int[np.ndarray, " words"], test: np.ndarray
) -> float:
    """The test accuracy of multinomial logistic regression, with an L2 penalty of 1.

    Features are standardised by the mean and deviation of the training words.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(features[~test])
    probe = LogisticRegression(C=1.0, max_iter=100)
    with warnings.catch_warnings():
        # Enough for the accuracy; the control task, which cannot be learned, would go on for long.
        warnings.simplefilter("ignore", ConvergenceWarning)
        probe.fit(scaler.transform(features[~test]), classes[~test])
    return float(probe.score(scaler.transform(features[test]), classes[test]))
