import json
import math
import shutil
from collections import Counter, defaultdict
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from data.masking import MaskingConfig, mask_tokens
from data.open import open_data
from data.sequences import Sequences
from data.tokenizer import load_vocabulary, save_vocabulary
from data.vocabulary import SpecialIds
from data.wordpiece import train_wordpiece
from eval.masked_lm import Evaluation, evaluate_checkpoint
from model.errors import InputError
from model.pretrained import load, save
from model.tasks import MaskedLM
from tests import runs
from train.loop.heldout import MASK_SEED, MASKING, ON_TRAINING_MASKS, HeldOut


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A corpus, a teacher, and a student of it with other weights."""
    folder = runs.make_home(tmp_path_factory.mktemp("home"))
    teacher = load(folder / "teacher", MaskedLM)
    student = MaskedLM(teacher.config.distilled(num_layers=1), rngs=nnx.Rngs(5))
    save(student, folder / "student")
    save_vocabulary(load_vocabulary(folder / "teacher"), folder / "student")
    return folder


def evaluation(home, **changes) -> Evaluation:
    data = replace(runs.data_config(home), tokenizer=None, mode="lines")  # rows with padding
    config = Evaluation(model=str(home / "student"), teacher=str(home / "teacher"), data=data)
    return replace(config, **changes)


@pytest.fixture(scope="module")
def metrics(home):
    return evaluate_checkpoint(evaluation(home))


def opened(home):
    config = evaluation(home)
    return open_data(replace(config.data, tokenizer=config.model))


def softmax(logits):
    exp = np.exp(logits - logits.max())
    return exp / exp.sum()


def loop_over_tokens(home, masking: MaskingConfig) -> dict[str, float]:
    """Sequence by sequence without padding, in float64; only the masks are drawn by the code."""
    data = opened(home)
    special = data.vocabulary.special
    # Add-one smoothed counts of the words in the training text, straight from the tokenizer.
    counts = Counter()
    for text in data.corpus.texts("train"):
        counts.update(data.vocabulary.tokenizer.encode(text.text, add_special_tokens=False).ids)
    ordinary = [token for token in range(data.vocabulary.size) if token not in special]
    total = sum(counts[token] + 1 for token in ordinary)
    commonest = max(ordinary, key=lambda token: counts[token])
    often = np.maximum([counts[token] for token in range(data.vocabulary.size)], 1)
    weights = (-masking.smoothing * np.log(often)).astype(np.float32)
    weights[list(special)] = -np.inf

    models = [load(home / name, MaskedLM) for name in ("student", "teacher")]
    sums: dict[str, float] = defaultdict(float)
    predicted, cosines = 0, []
    bins: dict[int, float] = defaultdict(float)
    for index in range(len(data.heldout)):
        ids = np.asarray(data.heldout[index], np.int32)
        padded = np.pad(ids, (0, 16 - len(ids)), constant_values=special.pad)
        masked = mask_tokens(
            jax.random.key(MASK_SEED, impl="threefry2x32"),
            jnp.asarray(padded)[None],
            jnp.asarray(np.arange(16) < len(ids))[None],
            jnp.asarray([index], jnp.int32),
            jnp.asarray(weights),
            config=masking,
            mask_id=special.mask,
        )
        outputs = [model(masked.input_ids[:, : len(ids)]) for model in models]
        logits, teacher_logits = (np.asarray(out.logits, np.float64)[0] for out in outputs)
        hidden, teacher_hidden = (np.asarray(out.last_hidden, np.float64)[0] for out in outputs)
        for a, b in zip(hidden, teacher_hidden, strict=True):
            cosines.append(a @ b / math.sqrt((a @ a) * (b @ b)))
        for position in np.asarray(masked.positions[0])[np.asarray(masked.valid[0])]:
            predicted += 1
            token = int(ids[position])
            q, p = softmax(logits[position]), softmax(teacher_logits[position])
            sums["masked_lm_loss"] -= math.log(q[token])
            sums["masked_lm_accuracy"] += bool(q.argmax() == token)
            sums["unigram_loss"] -= math.log((counts[token] + 1) / total)
            sums["unigram_accuracy"] += token == commonest
            sums["kl_to_teacher"] += sum(p * np.log(p / q))
            sums["top1_agreement"] += bool(q.argmax() == p.argmax())
            bins[math.ceil(15 * q.max())] += q.max() - (q.argmax() == token)
    expected = {name: value / predicted for name, value in sums.items()}
    expected["calibration_error"] = sum(map(abs, bins.values())) / predicted
    expected["hidden_cosine"] = float(np.mean(cosines))
    expected["exp_masked_lm_loss"] = math.exp(expected["masked_lm_loss"])
    assert predicted > len(data.heldout) > 20
    return expected


@pytest.mark.long
def test_metrics_equal_a_loop_over_tokens(home, metrics):
    expected = loop_over_tokens(home, MASKING)
    assert set(metrics) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(metrics[name], value, rtol=1e-5, err_msg=name)


@pytest.mark.long
def test_masks_of_training_have_metrics_of_their_own(home, metrics):
    masking = MaskingConfig(share=0.3, mask=0.5, keep=0.0, random=0.5, smoothing=0.7, group_rows=4)
    found = evaluate_checkpoint(evaluation(home, masking=masking))
    assert {name: found[name] for name in metrics} == metrics
    assert set(found) - set(metrics) == set(ON_TRAINING_MASKS.values())
    expected = loop_over_tokens(home, replace(masking, group_rows=1))
    for known, name in ON_TRAINING_MASKS.items():
        np.testing.assert_allclose(found[name], expected[known], rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("rows", [1, 7])
def test_no_sequence_is_dropped_and_no_padding_counts(home, metrics, rows):
    assert len(opened(home).heldout) % 7
    other = evaluate_checkpoint(evaluation(home, batch_size=rows))
    assert set(other) == set(metrics)
    for name, value in metrics.items():
        np.testing.assert_allclose(other[name], value, rtol=1e-6, err_msg=name)


def test_a_teacher_agrees_with_itself(home):
    metrics = evaluate_checkpoint(evaluation(home, model=str(home / "teacher")))
    assert metrics["kl_to_teacher"] == 0
    assert metrics["top1_agreement"] == 1
    np.testing.assert_allclose(metrics["hidden_cosine"], 1, rtol=1e-6)


def test_what_it_measures_without_a_teacher_is_the_same(home, metrics):
    alone = evaluate_checkpoint(evaluation(home, teacher=None))
    assert set(metrics) - set(alone) == {"kl_to_teacher", "top1_agreement", "hidden_cosine"}
    for name, value in alone.items():
        np.testing.assert_allclose(value, metrics[name], rtol=1e-6, err_msg=name)


def test_the_floor_by_hand():
    """Four ordinary tokens that occur 5, 2, 0 and 0 times; a special one more often than all."""
    counts = np.zeros(9, np.int64)
    counts[[0, 5, 6]] = 100, 5, 2
    sequences = Sequences(np.zeros(0, np.uint16), np.zeros(1, np.int64), counts, 16, "", {})
    heldout = HeldOut(sequences, counts, SpecialIds(0, 1, 2, 3, 4), rows=1)
    shares = np.exp(heldout.log_unigram)
    np.testing.assert_allclose(shares, [0, 0, 0, 0, 0, 6 / 11, 3 / 11, 1 / 11, 1 / 11], rtol=1e-6)


def test_the_command_prints_and_writes(home, metrics, tmp_path, capsys):
    evaluate_checkpoint(evaluation(home, heldout_sequences=5, json=tmp_path / "metrics.json"))
    printed = capsys.readouterr().out
    for words in ("5 held-out sequences", "masked-LM accuracy", "unigram floor", "KL to teacher"):
        assert words in " ".join(printed.split()), words
    record = json.loads((tmp_path / "metrics.json").read_text())
    assert record["sequences"] == 5
    assert set(record["metrics"]) == set(metrics)
    assert record["metrics"]["masked_lm_loss"] != metrics["masked_lm_loss"]
    assert record["settings"]["heldout_sequences"] == 5


def test_settings_that_do_not_fit_are_refused(home):
    data = evaluation(home).data
    for changes, sentence in (
        ({"batch_size": 0}, "--batch-size is 0: give a number from 1"),
        ({"heldout_sequences": 0}, "--heldout-sequences is 0: give a number from 1"),
        ({"data": replace(data, sequence_length=17)}, "17 is above the 16 positions of .*student"),
        ({"model": str(home / "nowhere")}, "nowhere"),
    ):
        with pytest.raises(InputError, match=sentence):
            evaluate_checkpoint(evaluation(home, **changes))


def test_another_vocabulary_is_refused(home, tmp_path):
    # The same pieces, except for two that have changed places.
    swapped = shutil.copytree(home / "teacher", tmp_path / "swapped")
    (swapped / "tokenizer.json").unlink()
    pieces = (swapped / "vocab.txt").read_text().splitlines()
    pieces[-2:] = reversed(pieces[-2:])
    (swapped / "vocab.txt").write_text("\n".join(pieces) + "\n")
    with pytest.raises(InputError, match=f"token {len(pieces) - 2} is"):
        evaluate_checkpoint(evaluation(home, teacher=str(swapped)))

    save_vocabulary(train_wordpiece(["ab"], 80), tmp_path / "short")
    data = replace(evaluation(home).data, tokenizer=str(tmp_path / "short"), mode="packed")
    with pytest.raises(
        InputError, match=r"student has a vocabulary of 80 and --data\.tokenizer .*short"
    ):
        evaluate_checkpoint(evaluation(home, data=data))


def test_embeddings_without_a_piece_are_told(home, metrics, tmp_path, capsys):
    student = load(home / "student", MaskedLM)
    rows = student.config.vocab_size
    padded = MaskedLM(student.config.replace(vocab_size=rows + 2), rngs=nnx.Rngs(1))
    state = nnx.to_pure_dict(nnx.state(student, nnx.Param))
    words = state["backbone"]["embeddings"]["word"]
    words["embedding"] = jnp.pad(words["embedding"], ((0, 2), (0, 0)))
    # So that the two rows are never predicted, and change nothing.
    state["head"]["bias"] = jnp.pad(state["head"]["bias"], (0, 2), constant_values=-1e9)
    nnx.update(padded, state)
    folder = shutil.copytree(home / "student", tmp_path / "padded")
    save(padded, folder)
    found = evaluate_checkpoint(evaluation(home, model=str(folder), teacher=None))
    assert f"{rows + 2} word embeddings and its tokenizer {rows} ids" in capsys.readouterr().out
    assert found == pytest.approx({name: metrics[name] for name in found}, rel=1e-6)
    with pytest.raises(InputError, match=f"padded has {rows + 2} word embeddings and .* {rows}:"):
        evaluate_checkpoint(evaluation(home, model=str(folder)))


def test_a_teacher_of_another_width_is_compared_by_its_predictions(home, tmp_path):
    narrow = shutil.copytree(home / "teacher", tmp_path / "narrow")
    config = load(home / "teacher", MaskedLM).config.replace(hidden_size=8)
    save(MaskedLM(config, rngs=nnx.Rngs(0)), narrow)
    metrics = evaluate_checkpoint(evaluation(home, teacher=str(narrow)))
    assert {"kl_to_teacher", "top1_agreement"} <= set(metrics)
    assert "hidden_cosine" not in metrics
