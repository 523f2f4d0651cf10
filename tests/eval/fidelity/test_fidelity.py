"""The command that measures the fidelity of a student, against transformers and loops."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from data.config import DataConfig
from data.tokenizer import load_vocabulary, save_vocabulary
from eval.fidelity.__main__ import FidelityConfig, evaluate_fidelity
from eval.fidelity.heads import head_affinities
from eval.fidelity.measure import Fidelity
from eval.fidelity.predictions import predicted_values
from eval.fidelity.probe import EVERY, read_tagged
from eval.fidelity.states import choose_tokens, token_states
from eval.masked_lm import open_models
from model.errors import InputError
from model.pretrained import load, save
from model.tasks import MaskedLM
from tests import runs
from train.loop.heldout import HeldOut

TAGS = {"the": "D", "a": "D", "red": "A", "green": "A", "small": "A", "old": "A"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus, a teacher, a student of it with other weights, and words with classes."""
    folder = runs.make_home(tmp_path_factory.mktemp("home"))
    teacher = load(folder / "teacher", MaskedLM)
    save(MaskedLM(teacher.config.distilled(num_layers=1), rngs=nnx.Rngs(5)), folder / "student")
    save_vocabulary(load_vocabulary(folder / "teacher"), folder / "student")
    random = np.random.default_rng(0)
    sentences = [random.choice(runs.WORDS, size=6) for _ in range(30)]
    lines = ["".join(f"{w} {TAGS.get(w, 'O')}\n" for w in words) for words in sentences]
    (folder / "tagged.conll").write_text("\n".join(lines))
    return folder


def data_config(home: Path) -> DataConfig:
    return replace(runs.data_config(home), tokenizer=None, mode="lines")  # rows with padding


def settings(home: Path, **changes: Any) -> FidelityConfig:
    config = FidelityConfig(
        model=str(home / "student"),
        teacher=str(home / "teacher"),
        data=data_config(home),
        tokens=60,
        batch_size=8,
        output=home / "fidelity",
    )
    return replace(config, **changes)


@pytest.fixture(scope="module")
def fidelity(home: Path) -> Fidelity:
    return evaluate_fidelity(settings(home, tagged=home / "tagged.conll"))


def test_everything_is_written(home: Path, fidelity: Fidelity) -> None:
    folder = home / "fidelity"
    assert {path.name for path in folder.iterdir()} == {
        *("fidelity.md", "fidelity.json", "cka.png", "heads.png", "probes.png")
    }
    record = json.loads((folder / "fidelity.json").read_text())["fidelity"]
    assert record["metrics"]["agreement"] == fidelity.metrics["agreement"]
    np.testing.assert_allclose(record["cka"]["student"], fidelity.cka["student"])
    assert np.shape(record["cka"]["untrained"]) == (1 + 1, 2 + 1)
    text = (folder / "fidelity.md").read_text()
    assert "where the teacher errs" in text and "![" in text


@pytest.mark.long
def test_a_teacher_is_its_own_best_student(home: Path) -> None:
    teacher = str(home / "teacher")
    config = settings(home, model=teacher, output=home / "own")
    found = evaluate_fidelity(config)
    assert found.metrics["agreement"] == 1 and found.metrics["kl"] < 1e-6
    np.testing.assert_allclose(np.diag(found.cka["student"]), 1, rtol=1e-6)
    assert found.heads["student"].pairs == tuple((head, head) for head in range(4))
    np.testing.assert_allclose(found.heads["student"].mean, 1, rtol=1e-6)
    assert found.heads["shuffled"].mean < 0.999
    assert np.all(found.cka["shuffled"] < 0.5) and found.probes is None
    assert not (home / "own/probes.png").exists()


def test_probes_know_the_classes_of_few_words(fidelity: Fidelity) -> None:
    """Twenty forms in all: even the control task can be learned by heart."""
    assert fidelity.probes is not None
    scores = fidelity.probes["teacher"]
    assert len(scores.classes) == 2 + 1
    assert scores.classes[0] > 0.8  # embeddings say which word it is; seven of ten have no class
    np.testing.assert_allclose(
        scores.selectivity, np.subtract(scores.classes, scores.control), rtol=1e-12
    )


def test_tagged_words_are_at_their_first_pieces(home: Path) -> None:
    vocabulary = load_vocabulary(home / "teacher")
    words = read_tagged(home / "tagged.conll", vocabulary, length=16, rows=7)
    ids = np.concatenate([each.input_ids[each.where] for each in words.batches])
    expected = []
    for sentence in (home / "tagged.conll").read_text().split("\n\n"):
        for line in sentence.strip().splitlines():
            word, tag = line.split()
            encoding = vocabulary.tokenizer.encode(word, add_special_tokens=False)
            expected.append((encoding.ids[0], tag))
    assert ids.tolist() == [first for first, _ in expected]
    assert [words.names[each] for each in words.classes] == [tag for _, tag in expected]
    assert words.test.sum() == len(expected) / EVERY


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"teacher": "other"}, "teacher and student need the same vocabulary"),
        ({"tagged": "nothing.conll"}, "nothing.conll"),
        ({"tagged": "short.conll"}, "short.conll has 2 sentences, and a probe is trained and"),
        ({"tagged": "one.conll"}, "one.conll has only 1 class: a probe needs two at least"),
        ({"output": "student/config.json"}, "is a file: give the name of a folder"),
    ],
)
def test_what_cannot_be_measured_is_said_in_a_sentence(home: Path, changes, sentence) -> None:
    if not (home / "other").exists():
        runs.write_teacher(home / "other", words=[*runs.WORDS, "zebra"])
    (home / "short.conll").write_text("the D\ncat O\n\na D\n")
    (home / "one.conll").write_text("cat O\n\n" * 12)
    named = {
        name: str(home / value) if name == "teacher" else home / value
        for name, value in changes.items()
    }
    with pytest.raises(InputError, match=sentence) as refused:
        evaluate_fidelity(settings(home, **{"output": home / "nothing", **named}))
    assert "\n" not in str(refused.value)
    assert not (home / "nothing").exists()


@pytest.mark.oracle
def test_everything_equals_loops_over_outputs_of_transformers(home: Path) -> None:
    """Sequence by sequence without padding; only masks and chosen tokens are drawn by the code."""
    import torch
    from transformers import AutoModelForMaskedLM

    names = {"model": str(home / "student"), "teacher": str(home / "teacher")}
    models, data = open_models(names, data_config(home))
    student, teacher = models.values()
    special = data.vocabulary.special
    heldout = HeldOut(data.heldout, data.train.counts, special, rows=8, limit=16)
    theirs = {
        role: AutoModelForMaskedLM.from_pretrained(name, attn_implementation="eager").eval()
        for role, name in names.items()
    }

    def ask(role: str, ids: np.ndarray) -> Any:
        with torch.no_grad():
            given = torch.tensor(ids[None].astype(np.int64))
            return theirs[role](given, output_hidden_states=True, output_attentions=True)

    # Predictions
    same, kls, nlls = [], [], []
    for given in heldout.batches():
        batch = jax.tree.map(jnp.asarray, given)
        asked = heldout.ask(batch)
        for row, mask in enumerate(given["attention_mask"]):
            ids = np.asarray(asked.input_ids)[row][mask]
            if not mask.any():
                continue
            logits = [ask(role, ids).logits[0].double().log_softmax(-1).numpy() for role in names]
            # The masked positions, found again by what they hide.
            for label, place in _asked_places(heldout, batch, row):
                ours, own = logits[0][place], logits[1][place]
                same.append(ours.argmax() == own.argmax())
                kls.append(np.sum(np.exp(own) * (own - ours)))
                nlls.append(-ours[label])
    metrics = predicted_values(heldout, student, teacher).metrics()
    np.testing.assert_allclose(metrics["agreement"], np.mean(same), rtol=1e-6)
    np.testing.assert_allclose(metrics["kl"], np.mean(kls), rtol=1e-4)
    np.testing.assert_allclose(metrics["model_nll"], np.mean(nlls), rtol=1e-5)

    # Hidden states of chosen tokens, and affinities of heads
    chosen = list(choose_tokens(heldout, 40))
    states = token_states(student, chosen)
    assert states.shape[1] == 40
    expected = []
    affinity, count = np.zeros((2, 4)), 0
    for each in chosen:
        for ids, mask, where in zip(*each, strict=True):
            if not mask.any():
                continue
            made = ask("model", ids[mask])
            hidden = np.stack([layer[0].numpy() for layer in made.hidden_states])
            expected.append(hidden[:, where[mask]])
            assert not np.isin(ids[where], list(special)).any()
            maps = [
                np.sqrt(np.concatenate([layer[0].numpy() for layer in output.attentions]))
                for output in (made, ask("teacher", ids[mask]))
            ]
            affinity += np.einsum("sqk,tqk->st", *maps)
            count += mask.sum()
    np.testing.assert_allclose(states, np.concatenate(expected, axis=1), atol=1e-5)
    own, _ = head_affinities(heldout, student, teacher)
    np.testing.assert_allclose(own, affinity / count, atol=1e-5)


def _asked_places(heldout: HeldOut, batch: dict[str, Any], row: int) -> list[tuple[int, int]]:
    """Labels and places of a row's predictions, through hidden states that are their places."""
    asked = heldout.ask(batch)
    rows, length = batch["input_ids"].shape
    places = np.broadcast_to(np.arange(length, dtype=np.float32)[None, :, None], (rows, length, 1))
    found = np.asarray(asked.states(jnp.asarray(places)))[row, :, 0].astype(int)
    where, labels = np.asarray(asked.where)[row], np.asarray(asked.labels)[row]
    return [
        (int(label), int(place)) for label, place in zip(labels[where], found[where], strict=True)
    ]
