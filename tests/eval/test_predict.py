"""What models say about texts, against what comes out when they are called by hand."""

import csv
import json
import random
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.special import softmax
from seqeval.metrics.sequence_labeling import get_entities

from data.tokenizer import save_vocabulary
from data.wordpiece import train_wordpiece
from eval.predict import PredictConfig, open_model, predict, run
from model.config import ProblemType
from model.errors import InputError
from model.pretrained import save
from model.tasks import (
    MaskedLM,
    MultipleChoice,
    NextSentence,
    PreTraining,
    QuestionAnswering,
    SequenceClassification,
    TokenClassification,
)
from tasks.fill_mask import fill_mask
from tasks.kinds import KINDS
from tasks.predict import _fetch
from tasks.reading import Asked, Reading
from tasks.words.encode import split_words
from tests import runs
from tests.small import build

TEXTS = ["the old cat sees a red bird", "a tree"]
TAGS = ("O", "B-animal", "I-animal", "B-plant", "I-plant")
HEADS = {
    "classes": (SequenceClassification, ("bad", "fair", "good")),
    "value": (SequenceClassification, ("LABEL_0",)),
    "labels": (SequenceClassification, ("rude", "loud", "kind")),
    "values": (SequenceClassification, ("joy", "anger")),
    "tags": (TokenClassification, TAGS),
    "plain": (TokenClassification, ("ADJ", "NOUN", "VERB")),
    "units": (TokenClassification, ("O", "B-x", "I-x", "L-x", "U-x")),
    "answers": (QuestionAnswering, ("LABEL_0", "LABEL_1")),
    "choices": (MultipleChoice, ("LABEL_0", "LABEL_1")),
    "masks": (MaskedLM, ("LABEL_0", "LABEL_1")),
}
PROBLEM_TYPES: dict[str, ProblemType] = {
    "labels": "multi_label_classification",
    "values": "regression",
}


@pytest.fixture(scope="module")
def vocabulary():
    return train_wordpiece([" ".join(runs.WORDS)] * 3 + [". , ' é ?"] * 2, 90)


@pytest.fixture(scope="module")
def home(vocabulary, tmp_path_factory):
    """A checkpoint of random numbers for every head."""
    folder = tmp_path_factory.mktemp("home")
    for name, (kind, labels) in HEADS.items():
        problem = PROBLEM_TYPES.get(name)
        save_model(folder / name, kind, vocabulary, labels=labels, problem_type=problem)
    return folder


def save_model(folder, kind, vocabulary, **changes):
    config = runs.MODEL.replace(vocab_size=vocabulary.size, max_positions=24, **changes)
    save(build(kind, config.replace(initializer_range=0.6)), folder)
    save_vocabulary(vocabulary, folder)
    return folder


def call(model, vocabulary, text: str, pair: str | None = None):
    """The model's output for one text, unpadded, and the encoding."""
    encoding = vocabulary.tokenizer.encode(text, pair)
    arrays = (encoding.ids, encoding.attention_mask, encoding.type_ids)
    ids, mask, types = (jnp.asarray([array], jnp.int32) for array in arrays)
    return model(ids, mask.astype(bool), types), encoding


def test_labels_with_their_probabilities(home):
    model, vocabulary = open_model(str(home / "classes"))
    found = predict(model, vocabulary, TEXTS)
    assert [row["text"] for row in found] == TEXTS
    for row in found:
        output, _ = call(model, vocabulary, row["text"])
        expected = softmax(np.asarray(output.logits[0], np.float64))
        names = [model.config.labels[i] for i in np.argsort(-expected)]
        assert list(row["probabilities"]) == names
        np.testing.assert_allclose(
            list(row["probabilities"].values()), np.sort(expected)[::-1], rtol=1e-5
        )
        assert row["label"] == names[0]
        assert row["probability"] == row["probabilities"][names[0]]
    assert found[0]["probability"] != found[1]["probability"]
    [first] = predict(model, vocabulary, TEXTS[:1], Asked(top=1))
    assert list(first["probabilities"]) == [found[0]["label"]]


def test_the_second_text_of_a_pair(home):
    model, vocabulary = open_model(str(home / "classes"))
    [found] = predict(model, vocabulary, ["a cat"], Asked(pair="a dog likes it"))
    output, _ = call(model, vocabulary, "a cat", "a dog likes it")
    expected = softmax(np.asarray(output.logits[0], np.float64))
    assert found["pair"] == "a dog likes it"
    np.testing.assert_allclose(found["probability"], expected.max(), rtol=1e-5)


def test_a_value(home):
    model, vocabulary = open_model(str(home / "value"))
    for row in predict(model, vocabulary, TEXTS):
        output, _ = call(model, vocabulary, row["text"])
        np.testing.assert_allclose(row["value"], output.logits[0, 0], rtol=1e-5)


@pytest.mark.long
def test_any_number_of_labels(home):
    model, vocabulary = open_model(str(home / "labels"))
    found = predict(model, vocabulary, TEXTS)
    for row in found:
        output, _ = call(model, vocabulary, row["text"])
        shares = 1 / (1 + np.exp(-np.asarray(output.logits[0], np.float64)))
        names = [model.config.labels[i] for i in np.argsort(-shares)]
        assert list(row["probabilities"]) == names
        ranked = list(row["probabilities"].values())
        np.testing.assert_allclose(ranked, np.sort(shares)[::-1], rtol=1e-5)
        assert row["labels"] == names[: (shares > 0.5).sum()]
    ranked = list(found[0]["probabilities"])
    second, third = (found[0]["probabilities"][name] for name in ranked[1:])

    def asked(threshold: float, top: int | None = None) -> tuple[list[str], list[str]]:
        settings = Asked(threshold=threshold, top=top)
        [row] = predict(model, vocabulary, TEXTS[:1], settings)
        return row["labels"], list(row["probabilities"])

    between = (second + third) / 2
    assert asked(between) == (ranked[:2], ranked)
    assert asked(between, top=1) == (ranked[:2], ranked[:2])  # those that are given are all shown
    assert asked(0.999, top=1) == ([], ranked[:1])
    assert asked(0.0, top=1) == (ranked, ranked)


def test_long_texts_have_the_labels_of_their_mean_logits(home):
    """Of two windows of 22 words without a common one."""
    model, vocabulary = open_model(str(home / "labels"))
    words = (runs.WORDS * 3)[:44]
    windows = Asked(reading=Reading(long="windows", overlap=0))
    [row] = predict(model, vocabulary, [" ".join(words)], windows)
    halves = [call(model, vocabulary, " ".join(part))[0] for part in (words[:22], words[22:])]
    logits = np.mean([np.asarray(half.logits[0], np.float64) for half in halves], axis=0)
    expected = dict(zip(model.config.labels, 1 / (1 + np.exp(-logits)), strict=True))
    assert row["probabilities"] == pytest.approx(expected, rel=1e-5)


def test_several_values(home):
    model, vocabulary = open_model(str(home / "values"))
    for row in predict(model, vocabulary, TEXTS):
        output, _ = call(model, vocabulary, row["text"])
        expected = dict(zip(("joy", "anger"), output.logits[0].tolist(), strict=True))
        assert row["values"] == pytest.approx(expected, rel=1e-5)


def entities_by_hand(words: list[tuple[int, int]], tags: list[str]) -> list[tuple[str, int, int]]:
    found = []
    before = "O"
    for (start, end), tag in zip(words, tags, strict=True):
        if tag.startswith("I-") and before[2:] == tag[2:]:
            found[-1] = (*found[-1][:2], end)
        elif tag != "O":
            found.append((tag[2:], start, end))
        before = tag
    return found


def test_entities_lie_in_the_text(home):
    model, vocabulary = open_model(str(home / "tags"))
    text = "the  red cat's birde\u0301, and a dog's tree."
    [found, nothing] = predict(model, vocabulary, [text, "\u200b"])
    output, encoding = call(model, vocabulary, text)
    words = [(0, 3), (5, 8), (9, 12), (12, 13), (13, 14), (15, 21), (21, 22)]
    words += [(23, 26), (27, 28), (29, 32), (32, 33), (33, 34), (35, 39), (39, 40)]
    first = [encoding.word_ids.index(number) for number in range(len(words))]
    tags = [TAGS[i] for i in np.asarray(output.logits[0]).argmax(-1)[first]]
    expected = entities_by_hand(words, tags)
    assert [(e["type"], e["start"], e["end"]) for e in found["entities"]] == expected
    assert {kind for kind, _, _ in expected} == {"animal", "plant"}
    for entity in found["entities"]:
        assert entity["text"] == text[entity["start"] : entity["end"]]
    assert nothing["entities"] == []


def test_words_have_their_plain_tags(home):
    model, vocabulary = open_model(str(home / "plain"))
    text = "the  red cat's birde\u0301."
    [found] = predict(model, vocabulary, [text])
    output, encoding = call(model, vocabulary, text)
    words = [(0, 3), (5, 8), (9, 12), (12, 13), (13, 14), (15, 21), (21, 22)]
    first = [encoding.word_ids.index(number) for number in range(len(words))]
    best = np.asarray(output.logits[0]).argmax(-1)[first]

    def expected(labels):
        return [
            {"tag": labels[tag], "text": text[start:end], "start": start, "end": end}
            for tag, (start, end) in zip(best, words, strict=True)
        ]

    assert found["words"] == expected(("ADJ", "NOUN", "VERB"))
    assert len({*best}) > 1
    for names in ("O PER ORG", "O ORG-B ORG-I", "O B_PER I_PER", "LABEL_0 LABEL_1 LABEL_2"):
        labels = tuple(names.split())
        prediction = {"prediction": [labels[tag] for tag in best]}
        found = KINDS["tags"].of_labels(labels).describe(prediction, text, Asked(), vocabulary)
        assert found == {"words": expected(labels)}


QUESTION = Asked(question="what?", top=4, reading=Reading(max_question=4))
CONTEXT = "the old cat sees a red bird, and not one dog"  # no two parts of it are alike


def check_answers(found, start, end, inside: list[int], offsets) -> None:
    """By looking at all spans of the tokens that are `inside` the context."""
    scores = {
        (offsets[first][0], offsets[last][1]): float(start[first]) + float(end[last])
        for first, last in product(inside, inside)
        if first <= last
    }
    ranked = sorted(scores, key=lambda place: -scores[place])
    assert [(a["start"], a["end"]) for a in found["answers"]] == ranked[:4]
    shares = softmax([scores[place] for place in ranked[:20]])
    np.testing.assert_allclose([a["probability"] for a in found["answers"]], shares[:4], rtol=1e-4)
    for answer in found["answers"]:
        assert answer["text"] == found["text"][answer["start"] : answer["end"]]


def test_answers_are_the_best_spans(home):
    model, vocabulary = open_model(str(home / "answers"))
    [found] = predict(model, vocabulary, [CONTEXT], QUESTION)
    assert found["question"] == "what?"
    output, encoding = call(model, vocabulary, "what?", CONTEXT)
    inside = [place for place, side in enumerate(encoding.sequence_ids) if side == 1]
    start, end = np.asarray(output.start_logits[0]), np.asarray(output.end_logits[0])
    check_answers(found, start, end, inside, encoding.offsets)


def test_no_answer_where_the_threshold_says_so(home):
    model, vocabulary = open_model(str(home / "answers"))
    asked = Asked(question="what?", reading=Reading(max_question=4))
    for threshold, text in ((-1e3, ""), (1e3, "cat")):
        [found] = predict(model, vocabulary, ["cat"], replace(asked, null_threshold=threshold))
        assert found["answers"][0]["text"] == text
        assert {answer["text"] for answer in found["answers"]} == {"", "cat"}


def test_choices_with_their_probabilities(home):
    model, vocabulary = open_model(str(home / "choices"))
    text, choices = TEXTS[0], ("a red bird sees", "finds", "likes the old tree and not a dog")
    rows = np.zeros((3, 1, len(choices), 24), np.int32)
    for place, choice in enumerate(choices):
        encoding = vocabulary.tokenizer.encode(text, choice)
        columns = (encoding.ids, encoding.attention_mask, encoding.type_ids)
        rows[:, 0, place, : len(encoding.ids)] = columns
    expected = softmax(np.asarray(model(*map(jnp.asarray, rows)).logits[0], np.float64))
    names = [choices[place] for place in np.argsort(-expected)]
    for top in (None, 2):
        [found] = predict(model, vocabulary, [text], Asked(choices=choices, top=top))
        assert (found["text"], found["choices"]) == (text, choices)
        assert list(found["probabilities"]) == names[:top]
        np.testing.assert_allclose(
            list(found["probabilities"].values()), np.sort(expected)[::-1][:top], rtol=1e-4
        )
        assert found["choice"] == names[0]
        assert found["probability"] == found["probabilities"][names[0]]


@pytest.mark.parametrize("unanswerable", [True, False, None])
def test_no_answer_where_the_model_has_learned_it(vocabulary, tmp_path, unanswerable):
    folder = save_model(tmp_path, QuestionAnswering, vocabulary, unanswerable=unanswerable)
    asked = Asked(question="what?", reading=Reading(max_question=4))
    [found] = predict(*open_model(str(folder)), ["cat"], asked)
    assert ("" in {answer["text"] for answer in found["answers"]}) == bool(unanswerable)


@pytest.mark.parametrize("kind", [MaskedLM, PreTraining])
def test_what_may_stand_for_a_mask(kind, vocabulary, tmp_path):
    model, vocabulary = open_model(str(save_model(tmp_path, kind, vocabulary)))
    text = "the [MASK] sees a [MASK]"
    [found] = predict(model, vocabulary, [text], Asked(top=3))
    output, encoding = call(model, vocabulary, text)
    places = [place for place, token in enumerate(encoding.tokens) if token == "[MASK]"]
    for place, mask in zip(places, found["masks"], strict=True):
        shares = softmax(np.asarray(output.logits[0, place], np.float64))
        best = np.argsort(-shares)[:3]
        assert [filling["token"] for filling in mask] == [vocabulary.pieces[i] for i in best]
        np.testing.assert_allclose([f["probability"] for f in mask], shares[best], rtol=1e-5)


def test_long_texts_are_reported_and_read_as_asked(home, caplog):
    model, vocabulary = open_model(str(home / "classes"))
    words = runs.WORDS * 2
    [whole] = predict(model, vocabulary, [" ".join(words)])
    assert "texts: 1 of 1 are longer than 24 tokens: their beginning is read" in caplog.text
    [beginning] = predict(model, vocabulary, [" ".join(words[:22])])
    assert whole["probabilities"] == pytest.approx(beginning["probabilities"], rel=1e-5)
    caplog.clear()
    windows = Asked(reading=Reading(long="windows", overlap=4))
    [averaged] = predict(model, vocabulary, [" ".join(words)], windows)
    assert "read in several windows that share 4 tokens" in caplog.text
    predict(model, vocabulary, [" ".join(words)], Asked(reading=Reading(long="windows")))
    assert "read in several windows that share 11 tokens" in caplog.text
    assert averaged["probabilities"] != pytest.approx(whole["probabilities"], rel=1e-3)


def test_no_texts_no_results(home):
    model, vocabulary = open_model(str(home / "classes"))
    assert predict(model, vocabulary, []) == []
    with pytest.raises(InputError, match="text 2 is empty"):
        predict(model, vocabulary, ["a", ""])


def command(home, name, *texts, **settings):
    return run(PredictConfig(model=str(home / name), texts=texts, **settings))


def test_texts_come_from_arguments_a_file_or_standard_input(home, tmp_path, capsys, monkeypatch):
    file = tmp_path / "texts.txt"
    file.write_text("\n".join(TEXTS) + "\n")
    command(home, "classes", *TEXTS, jsonl=True)
    arguments = capsys.readouterr().out
    rows = [json.loads(line) for line in arguments.splitlines()]
    assert rows == predict(*open_model(str(home / "classes")), TEXTS)
    command(home, "classes", file=file, jsonl=True)
    assert capsys.readouterr().out == arguments
    with file.open() as lines:
        monkeypatch.setattr("sys.stdin", lines)
        command(home, "classes", jsonl=True)
    assert capsys.readouterr().out == arguments


def rounded(result):
    return json.loads(json.dumps(result), parse_float=lambda number: round(float(number), 4))


@pytest.mark.long
def test_rows_of_a_table_keep_their_ids(home, tmp_path, capsys):
    """What is said of a pair or a question is what is said of it alone."""
    rows = {
        "classes": [{"id": 7, "text": "a cat", "pair": "a dog"},
                    {"id": "8", "text": "a tree", "pair": "the red bird"}],
        "answers": [{"context": "the old cat", "question": "who?"},
                    {"context": "a bird", "question": "what is red?", "id": 2}],
        "choices": [{"id": 1, "text": "the cat", "choices": ["a", "the dog"]},
                    {"text": "a tree", "choices": ["sees", "a red bird", "on"]}],
        "masks": [{"id": 1, "text": "a [MASK]"}],
    }  # fmt: skip
    for name, each in rows.items():
        file = tmp_path / f"{name}.jsonl"
        file.write_text("\n".join(map(json.dumps, each)))
        reading = Reading(max_question=4) if name == "answers" else Reading()
        command(home, name, file=file, jsonl=True, reading=reading)
        found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        for row, result in zip(each, found, strict=True):
            assert result.get("id") == row.get("id")
            own = {side: row[side] for side in ("pair", "question") if side in row}
            own |= {"choices": tuple(row["choices"])} if "choices" in row else {}
            asked = Asked(**own, reading=reading)
            text = row.get("text") or row["context"]
            [alone] = predict(*open_model(str(home / name)), [text], asked)
            result.pop("id", None)
            assert rounded(result) == rounded(alone)
    command(home, "classes", file=tmp_path / "classes.jsonl")
    assert capsys.readouterr().out.startswith("7\na cat\na dog\n  ")


def test_blank_lines_are_passed_over_with_a_word(home, tmp_path, capsys):
    file = tmp_path / "texts.txt"
    for content, texts, words in (
        (
            f"{TEXTS[0]}\n\n{TEXTS[1]}\n \n",
            TEXTS,
            "2 blank lines are passed over, the first is line 2",
        ),
        (f"\n{TEXTS[0]}\n", TEXTS[:1], "a blank line is passed over, the first is line 1"),
        (f"{TEXTS[0]}\n", TEXTS[:1], ""),
    ):
        file.write_text(content)
        command(home, "classes", file=file, jsonl=True)
        out, err = capsys.readouterr()
        assert [json.loads(line)["text"] for line in out.splitlines()] == texts
        assert err == (f"{file}: {words}\n" if words else "")


def test_results_before_an_error_are_printed_and_counted(home, tmp_path, capsys, caplog):
    file = tmp_path / "texts.csv"
    rows = [[f"text\n{n}", "a cat" * (1 + 20 * (n < 3 or n == 290))] for n in range(300)]
    with file.open("w", newline="") as table:
        csv.writer(table).writerows([["id", "text"], *rows, ["300", ""]])
    with pytest.raises(InputError) as error:
        command(home, "classes", file=file, jsonl=True)
    assert str(error.value) == f"after 300 answers: {file}, line 602: the text of 'text' is empty"
    printed = [json.loads(line)["id"] for line in capsys.readouterr().out.splitlines()]
    assert printed == [id for id, _ in rows]
    assert caplog.messages == ["texts: 4 of 300 are longer than 24 tokens: their beginning is read"]


@pytest.mark.parametrize(
    ("name", "text", "asked", "lines"),
    [
        ("classes", "a tree", {"pair": "a cat"},
         r"a tree\na cat\n( +\d+\.\d %  (bad|fair|good)\n){3}"),
        ("value", "a tree", {}, r"a tree\n  -?\d\.\d{3}\n"),
        ("values", "a tree", {}, r"a tree\n  -?\d\.\d{3}  joy\n  -?\d\.\d{3}  anger\n"),
        ("labels", "a tree", {"threshold": 0.0},
         r"a tree\n(  yes +\d+\.\d %  (rude|loud|kind)\n){3}"),
        ("labels", "a tree", {"threshold": 0.999, "top": 2},
         r"a tree\n(  no  +\d+\.\d %  (rude|loud|kind)\n){2}"),
        ("tags", "a cat", {}, r"a cat\n((  (animal|plant): .+  \[\d:\d\]\n)+|  no entities\n)"),
        ("plain", "a cat", {}, r"a cat\n(  (ADJ|NOUN|VERB): (a|cat)  \[\d:\d\]\n){2}"),
        ("answers", "a cat", {"question": "who?", "reading": Reading(max_question=4)},
         r"a cat\nwho\?\n( +\d+\.\d %  .+  \[\d:\d\]\n){3}"),
        ("answers", "cat", {"question": "who?", "reading": Reading(max_question=4),
                            "null_threshold": -1e3}, r"cat\nwho\?\n +\d+\.\d %  no answer\n.*\n"),
        ("choices", "a cat", {"choices": ("dog", "on")}, r"a cat\n( +\d+\.\d %  (dog|on)\n){2}"),
        ("masks", "a [MASK]", {"top": 2}, r"a \[MASK\]\n( +\d+\.\d %  \S+\n){2}"),
        ("masks", "[MASK] [MASK]", {"top": 1},
         r"\[MASK\] \[MASK\]\n  \[MASK\] 1\n.*\n  \[MASK\] 2\n.*\n"),
    ],
)  # fmt: skip
def test_results_for_people(home, name, text, asked, lines, capsys):
    command(home, name, text, **asked)
    printed = capsys.readouterr().out
    assert re.fullmatch(lines, printed), printed


@pytest.mark.long
@pytest.mark.parametrize(
    ("head", "program"), [(SequenceClassification, _fetch), (MaskedLM, fill_mask)]
)
def test_nine_shapes_are_compiled_whatever_comes(vocabulary, head, program):
    config = runs.MODEL.replace(vocab_size=vocabulary.size, max_positions=160, labels=("a", "b"))
    model = build(head, config)
    before = program._cache_size()
    for number in (1, 2, 5, 40):
        for words in (1, 9, 50, 60, 140, 150):
            predict(model, vocabulary, ["[MASK]" + " tree" * words] * number)
    # A long text among short ones is not read together with copies of it.
    predict(model, vocabulary, [*["[MASK] tree"] * 20, "[MASK]" + " tree" * 150])
    assert program._cache_size() - before == 9


@pytest.mark.parametrize("name", ["classes", "masks"])
def test_a_model_that_has_changed_is_asked_as_it_is(home, name):
    model, vocabulary = open_model(str(home / name))
    text = "a [MASK]"
    before = predict(model, vocabulary, [text])
    for parameter in jax.tree.leaves(nnx.state(model), is_leaf=lambda x: isinstance(x, nnx.Param)):
        parameter.set_value(parameter.get_value() * 0.5)
    [after] = predict(model, vocabulary, [text])
    assert rounded(after) != rounded(before[0])
    output, encoding = call(model, vocabulary, text)
    if name == "classes":
        expected = softmax(np.asarray(output.logits[0], np.float64)).max()
        np.testing.assert_allclose(after["probability"], expected, rtol=1e-5)
    else:
        place = encoding.tokens.index("[MASK]")
        expected = softmax(np.asarray(output.logits[0, place], np.float64)).max()
        np.testing.assert_allclose(after["masks"][0][0]["probability"], expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["classes", "tags", "masks"])
def test_threads_give_the_answers_of_one(home, name):
    model, vocabulary = open_model(str(home / name))
    texts = [f"a [MASK] {' '.join(runs.WORDS[n % 7 : n % 7 + n % 11])} cat" for n in range(100)]
    alone = predict(model, vocabulary, texts)
    with ThreadPoolExecutor(8) as threads:
        for each in threads.map(lambda _: predict(model, vocabulary, texts), range(8)):
            assert each == alone


@pytest.mark.parametrize(
    ("name", "texts", "settings", "message"),
    [
        ("classes", ("a", " "), {}, "text 2 is empty"),
        ("classes", ("a\udcff",), {}, "TEXT ... is .* no text in the encoding"),
        ("classes", ("a",), {"file": "texts.txt"}, "--file goes without texts as arguments"),
        ("classes", (), {"file": "nowhere.txt"}, "nowhere.txt cannot be read"),
        ("classes", (), {"file": "blank.txt"}, "blank.txt has no text"),
        ("classes", (), {"file": "none.txt"}, "none.txt has no text"),
        ("classes", (), {"file": "latin.txt"}, "latin.txt, line 2, is not UTF-8"),
        ("classes", ("a",), {"question": "b"}, "--question means nothing to a classifier"),
        ("classes", ("a",), {"pair": ""}, "--pair is empty"),
        ("classes", ("a",), {"top": 0}, "--top is 0: give a number from 1"),
        ("classes", ("a",), {"null_threshold": 0.0}, "--null-threshold means nothing to"),
        ("classes", ("a",), {"reading": Reading(max_length=25)}, "25 is above the 24 positions"),
        ("classes", ("a",), {"reading": Reading(max_length=0)}, "--reading.max-length is 0: give"),
        ("tags", ("a",), {"pair": "b"}, "--pair means nothing to a tagger"),
        ("tags", ("a",), {"top": 3}, "--top means nothing to a tagger"),
        ("answers", ("a",), {}, "ask one with --question"),
        ("masks", ("[MASK]", "a"), {}, r"text 2 has no \[MASK\] to fill in: 'a'"),
        ("masks", ("a [MASK]" * 12,), {}, "text 1 has 26 tokens: .* up to 24"),
        ("masks", (), {"file": "texts.txt"}, r"texts.txt, line 1, has no \[MASK\] to fill in: 'a'"),
        ("choices", ("a",), {}, "give two or more with --choices"),
        ("choices", ("a",), {"choices": ("b", " ")}, "--choices is empty"),
        ("classes", ("a",), {"choices": ("b", "c")}, "--choices means nothing to a classifier"),
        ("next", ("a",), {}, "a NextSentence model has nothing to say about a text"),
        ("labels", ("a",), {"threshold": 1.0}, "--threshold is 1.0: give a number from 0 to 0.999"),
        (
            "labels",
            ("a",),
            {"question": "b"},
            "--question means nothing to a classifier with any n",
        ),
        ("classes", ("a",), {"threshold": 0.5}, "--threshold means nothing to a classifier, which"),
        (
            "many",
            ("a",),
            {},
            "many/config.json: problem_type is 'ranking', and must be 'single_lab",
        ),
        ("small", ("a",), {}, "has 6 word embeddings and its tokenizer"),
        ("nowhere", ("a",), {}, "nowhere"),
    ],
)
def test_what_cannot_be_predicted_is_refused(home, vocabulary, name, texts, settings, message):
    (home / "texts.txt").write_text("a\n")
    (home / "blank.txt").write_text("\n \n")
    (home / "none.txt").write_text("")
    (home / "latin.txt").write_bytes(b"a\n\xe9\n")
    if name == "next":
        save_model(home / name, NextSentence, vocabulary)
    if name == "many":
        about = save_model(home / name, SequenceClassification, vocabulary) / "config.json"
        content = json.loads(about.read_text()) | {"problem_type": "ranking"}
        about.write_text(json.dumps(content))
    if name == "small":
        few = train_wordpiece(["a"], 80)
        save_model(home / name, SequenceClassification, few)
        save_vocabulary(vocabulary, home / name)
    if "file" in settings:
        settings = settings | {"file": home / settings["file"]}
    with pytest.raises(InputError, match=message):
        command(home, name, *texts, **settings)


def test_standard_input_that_is_no_text(home, tmp_path, monkeypatch):
    for content, message in ((b"a\n\xff\n", "standard input, line 2, is not UTF-8"),
                             (b" \n", "standard input has no text"),
                             (b"", "standard input has no text")):  # fmt: skip
        (tmp_path / "texts").write_bytes(content)
        with (tmp_path / "texts").open() as lines, pytest.raises(InputError, match=message):
            monkeypatch.setattr("sys.stdin", lines)
            command(home, "classes")


def pipeline(task: str, folder, **options):
    transformers = pytest.importorskip("transformers")
    return transformers.pipeline(task, model=str(folder), tokenizer=str(folder), device="cpu",
                                 **options)  # fmt: skip


_draw = random.Random(0)
FIFTY = [
    " ".join(_draw.sample(runs.WORDS, _draw.randint(2, 9))) + _draw.choice(["", ".", " 's"])
    for _ in range(50)
]


@pytest.mark.oracle
def test_labels_are_those_of_transformers(home):
    theirs = pipeline("text-classification", home / "classes", top_k=None)(FIFTY)
    ours = predict(*open_model(str(home / "classes")), FIFTY)
    for row, expected in zip(ours, theirs, strict=True):
        assert list(row["probabilities"]) == [e["label"] for e in expected]
        scores = [e["score"] for e in expected]
        np.testing.assert_allclose(list(row["probabilities"].values()), scores, rtol=0, atol=1e-5)
    assert len({row["label"] for row in ours}) > 1


@pytest.mark.oracle
def test_a_value_is_that_of_transformers(home):
    """Of their model: their pipeline makes a probability of it."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    model = transformers.AutoModelForSequenceClassification.from_pretrained(home / "value").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(home / "value")
    with torch.no_grad():
        expected = model(**tokenizer(FIFTY, padding=True, return_tensors="pt")).logits[:, 0]
    ours = [row["value"] for row in predict(*open_model(str(home / "value")), FIFTY)]
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-4)  # of a whole model


@pytest.mark.oracle
def test_entities_are_those_of_transformers(home):
    theirs = pipeline("token-classification", home / "tags", aggregation_strategy="first")
    texts = [*FIFTY, "the red cat's bird, and a dog's tree."]
    ours = predict(*open_model(str(home / "tags")), texts)
    for row in ours:
        found = [(e["type"], e["start"], e["end"]) for e in row["entities"]]
        expected = [(e["entity_group"], e["start"], e["end"]) for e in theirs(row["text"])]
        assert found == expected
    assert sum(len(row["entities"]) for row in ours) > 50


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["plain", "units"])
def test_tags_are_those_of_transformers(home, name):
    """Their pipeline knows neither plain tags nor BILOU: tags of first pieces, grouped by hand."""
    theirs = pipeline("token-classification", home / name, ignore_labels=[])
    model, vocabulary = open_model(str(home / name))
    entities = 0
    for row in predict(model, vocabulary, [*FIFTY, "the red cat's bird, and a dog's tree."]):
        pieces = {piece["start"]: piece["entity"] for piece in theirs(row["text"])}
        places = split_words(row["text"], vocabulary.tokenizer)
        tags = [pieces[start] for start, _ in places]
        if name == "plain":
            assert [(w["tag"], w["start"], w["end"]) for w in row["words"]] == [
                (tag, *place) for tag, place in zip(tags, places, strict=True)
            ]
            continue
        as_bioes = [tag.replace("L-", "E-").replace("U-", "S-") for tag in tags]
        found = [(e["type"], e["start"], e["end"]) for e in row["entities"]]
        assert found == [
            (kind, places[first][0], places[last][1])
            for kind, first, last in get_entities(as_bioes)
        ]
        entities += len(found)
    assert entities > 50 or name == "plain"


@pytest.mark.oracle
def test_answers_are_those_of_transformers(home):
    """Of their model and tokenizer: they have no pipeline for it any more."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(home / "answers").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(home / "answers")
    found = predict(*open_model(str(home / "answers")), [CONTEXT, *FIFTY], QUESTION)
    for row in found:
        batch = tokenizer("what?", row["text"], return_tensors="pt", return_offsets_mapping=True)
        offsets = batch.pop("offset_mapping")[0].tolist()
        with torch.no_grad():
            output = model(**batch)
        inside = [place for place, side in enumerate(batch.sequence_ids(0)) if side == 1]
        check_answers(row, output.start_logits[0], output.end_logits[0], inside, offsets)


@pytest.mark.oracle
def test_fillings_are_those_of_transformers(home):
    texts = [text.replace(" ", " [MASK] ", 1) for text in FIFTY]
    theirs = pipeline("fill-mask", home / "masks", top_k=3)(texts)
    ours = predict(*open_model(str(home / "masks")), texts, Asked(top=3))
    for [found], expected in zip((row["masks"] for row in ours), theirs, strict=True):
        assert [filling["token"] for filling in found] == [e["token_str"] for e in expected]
        np.testing.assert_allclose(
            [filling["probability"] for filling in found],
            [e["score"] for e in expected],
            rtol=1e-4,
        )
