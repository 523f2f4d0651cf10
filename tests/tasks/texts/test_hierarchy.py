"""Documents read in windows by two encoders: the model, its files, windows, what it learns."""

import json
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file, save_file

from data.tokenizer import save_vocabulary
from data.wordpiece import train_wordpiece
from eval.predict import open_model, predict
from eval.run import TaskEvaluation, evaluate_task
from model.bert import Bert
from model.errors import InputError
from model.pretrained import load, save
from model.tasks import DocumentClassification
from tasks.buckets import bucket_lengths
from tasks.open import TaskDataConfig
from tasks.predict import batches_of_like_lengths
from tasks.reading import Asked, Reading
from tasks.texts.examples import TextExample
from tasks.texts.hierarchy import encode_side_by_side
from tests import runs
from tests.small import build
from train.config import RunConfig
from train.finetune import finetune
from train.recipes import FINETUNE

LENGTH = 8  # six words


@pytest.fixture(scope="module")
def vocabulary():
    return train_wordpiece([" ".join(runs.WORDS)] * 3, runs.VOCAB)


@pytest.fixture(scope="module")
def model(vocabulary):
    return build(
        lambda config, rngs: DocumentClassification(config, windows=4, rngs=rngs),
        runs.MODEL.replace(vocab_size=vocabulary.size, labels=("a", "b", "c")),
    )


def test_windows_of_documents_side_by_side(vocabulary):
    words = runs.WORDS[:14]
    documents = [TextExample("0", " ".join(words)), TextExample("1", "a dog")]
    windows = encode_side_by_side(documents, vocabulary, LENGTH, 2, 3)
    batch = windows.gather(np.array([0, 1]), 3 * LENGTH)
    parts = [words[0:6], words[4:10], words[8:14]]
    for place, part in enumerate(parts):
        ids = vocabulary.tokenizer.encode(" ".join(part)).ids
        np.testing.assert_array_equal(batch["input_ids"][0, :, place], ids)
    np.testing.assert_array_equal(batch["attention_mask"][1].sum(0), [4, 0, 0])
    assert str(windows.remarks[0]) == (
        "1 of 2 are longer than 8 tokens: read in up to 3 windows that share 2 tokens"
    )
    shorter = encode_side_by_side(documents, vocabulary, LENGTH, 2, 2)
    assert shorter.input_ids[0].shape == (8, 2)
    assert "1 of 2 have more than 2 windows: their beginning is read" in str(shorter.remarks[1])
    with pytest.raises(InputError, match="hierarchy is for single texts, and these are pairs"):
        encode_side_by_side([TextExample("0", "a", "b")], vocabulary, LENGTH, 2, 2)


def test_a_batch_has_as_many_windows_as_its_longest_document(vocabulary):
    words = [runs.WORDS[:count] for count in (20, 3, 9, 5, 13)]  # 4, 1, 2, 1 and 3 windows
    documents = [TextExample(str(n), " ".join(text)) for n, text in enumerate(words)]
    windows = encode_side_by_side(documents, vocabulary, LENGTH, 2, 4)
    assert windows.extents.tolist() == [32, 5, 16, 7, 24]
    lengths = bucket_lengths(windows.extents, multiple=1)
    assert lengths == (5, 7, 16, 24, 32)
    for chosen, batch in batches_of_like_lengths(windows, lengths, 1):
        (place,) = chosen.tolist()
        length, count = windows.input_ids[place].shape
        assert batch["input_ids"].shape == batch["attention_mask"].shape == (1, length, count)
        assert batch["attention_mask"].any(1).all()
    # A length between: as many windows as hold it, and never more than there are.
    assert windows.gather(np.array([1, 2]), 9)["input_ids"].shape == (2, LENGTH, 2)
    assert windows.gather(np.array([1, 2]), 99)["input_ids"].shape == (2, LENGTH, 4)
    np.testing.assert_array_equal(
        windows.gather(np.array([1]), 32)["attention_mask"][0].sum(0), [5, 0, 0, 0]
    )


def test_the_rows_of_a_batch_go_by_the_windows_of_its_own_documents(vocabulary, monkeypatch):
    monkeypatch.setattr("tasks.predict.FEW_TOKENS", 64)
    long, short = " ".join(runs.WORDS), "a dog"  # 4 windows of 8 tokens, and 4 tokens
    documents = [TextExample(str(n), text) for n, text in enumerate([long] * 4 + [short] * 4)]
    windows = encode_side_by_side(documents, vocabulary, LENGTH, 2, 4)
    batches = batches_of_like_lengths(windows, (4, 32), (1, 2, 4))
    assert [len(chosen) for chosen, _ in batches] == [4, 2, 2]


@pytest.mark.long
def test_a_document_is_its_windows_one_by_one_and_absent_ones_do_not_count(model):
    rng = np.random.default_rng(0)
    ids = jnp.asarray(rng.integers(5, 20, (2, 3, LENGTH)), jnp.int32)
    there = jnp.asarray([[1, 1, 1], [1, 1, 0]], bool)
    mask = there[..., None] & (jnp.arange(LENGTH) < 7)[None, None]
    logits = model(ids, mask).logits
    for row, count in enumerate((3, 2)):
        vectors = [
            jnp.mean(model.backbone(ids[row, w][None, :7]).last_hidden[0], axis=0)
            for w in range(count)
        ]
        document = model.windows(jnp.stack(vectors)[None], jnp.ones((1, count), bool))
        np.testing.assert_allclose(logits[row], model.classifier(document)[0], atol=1e-4)
    swapped = model(ids[:, ::-1], mask[:, ::-1]).logits
    assert np.abs(swapped[0] - logits[0]).max() > 1e-3  # windows have positions
    with pytest.raises(InputError, match=r"of 5 windows is longer than the 4 .*most-windows 4"):
        model(jnp.zeros((1, 5, LENGTH), jnp.int32), jnp.ones((1, 5, LENGTH), bool))


@pytest.mark.long
def test_it_comes_back_from_its_folder_which_is_one_of_its_encoder(model, tmp_path):
    save(model, tmp_path)
    loaded = load(tmp_path)
    assert type(loaded) is DocumentClassification and loaded.config == model.config
    theirs, ours = (dict(nnx.to_flat_state(nnx.state(m, nnx.Param))) for m in (loaded, model))
    assert theirs.keys() == ours.keys()
    for place, value in ours.items():
        np.testing.assert_array_equal(theirs[place][...], value[...])
    encoder = load(tmp_path, Bert)
    ids = jnp.arange(5, 13)[None]
    np.testing.assert_array_equal(encoder(ids).last_hidden, model.backbone(ids).last_hidden)
    assert json.loads((tmp_path / "config.json").read_text())["architectures"] == ["BertModel"]


@pytest.mark.oracle
def test_transformers_loads_its_encoder(model, tmp_path):
    import torch
    import transformers

    save(model, tmp_path)
    theirs, report = transformers.AutoModel.from_pretrained(
        tmp_path, output_loading_info=True, add_pooling_layer=False
    )
    assert not any(report[name] for name in ("missing_keys", "unexpected_keys"))
    assert theirs.config.id2label == dict(enumerate(model.config.labels))
    ids = np.arange(5, 13)[None]
    with torch.no_grad():
        expected = theirs.eval()(torch.from_numpy(ids)).last_hidden_state
    ours = model.backbone(jnp.asarray(ids)).last_hidden
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("what", ["missing", "shape", "nan"])
def test_a_damaged_file_beside_the_encoder(model, tmp_path, what):
    save(model, tmp_path)
    path = tmp_path / "document.safetensors"
    tensors = load_file(path)
    if what == "missing":
        del tensors["classifier.dense.bias"]
    elif what == "shape":
        tensors["classifier.dense.bias"] = np.zeros(2, np.float32)
    else:
        tensors["classifier.dense.bias"][0] = np.nan
    save_file(tensors, path)
    with pytest.raises(InputError, match=r"document.safetensors.*classifier\.dense\.bias"):
        load(tmp_path)


def write_documents(path, count, seed):
    """Documents of four windows, whose class stands in the third, and nowhere else."""
    random = np.random.default_rng(seed)
    words = [word for word in runs.WORDS if word not in ("cat", "dog")]
    rows = []
    for number in range(count):
        text = random.choice(words, size=24)
        label = ("cat", "dog")[number % 2]
        text[random.integers(14, 16)] = label  # in the third window alone: words 12 to 18
        rows.append(json.dumps({"text": " ".join(text), "label": label}) + "\n")
    path.write_text("".join(rows))


def documents_config(home, long, **changes):
    recipe = FINETUNE["classification"]()
    reading = replace(recipe.reading, max_length=LENGTH, overlap=0, long=long)
    if long == "truncate":
        reading = replace(reading, overlap=None)
    config = replace(
        recipe,
        output=home / long,
        model=str(home / "model"),
        data=TaskDataConfig(train=home / "train.jsonl", dev=home / "dev.jsonl"),
        reading=reading,
        optimizer=replace(recipe.optimizer, learning_rate=5e-3),
        steps=60,
        evaluate_every=60,
        run=RunConfig(devices=1),
    )
    return replace(config, **changes)


@pytest.fixture(scope="module")
def home(tmp_path_factory, vocabulary):
    folder = tmp_path_factory.mktemp("home")
    shape = runs.MODEL.replace(vocab_size=vocabulary.size, hidden_dropout=0.0)
    save(build(Bert, shape), folder / "model")
    save_vocabulary(vocabulary, folder / "model")
    write_documents(folder / "train.jsonl", 256, 1)
    write_documents(folder / "dev.jsonl", 64, 2)
    return folder


@pytest.mark.long
def test_a_class_that_stands_in_the_third_window(home, monkeypatch):
    [truncated] = finetune(documents_config(home, "truncate"))
    assert truncated["accuracy"] < 0.7
    [metrics] = finetune(documents_config(home, "hierarchy"))
    assert metrics["accuracy"] >= 0.95

    monkeypatch.chdir(home)
    model, data = str(home / "hierarchy" / "model"), TaskDataConfig(test=home / "dev.jsonl")
    scores = evaluate_task(TaskEvaluation(model=model, task="classification", data=data))
    assert scores["test"]["accuracy"] == metrics["accuracy"]  # read as in the run
    first = json.loads((home / "dev.jsonl").read_text().splitlines()[0])
    asked = Asked(reading=Reading(max_length=LENGTH, overlap=0, long="hierarchy"))
    [found] = predict(*open_model(model), [first["text"]], asked)
    assert found["label"] == first["label"]


def test_a_kind_without_classes_has_no_hierarchy(home, tmp_path):
    (home / "values.csv").write_text("text,label\na cat,1\na dog,2\nred,3\n")
    recipe = FINETUNE["regression"]()
    config = replace(
        recipe,
        output=tmp_path / "run",
        model=str(home / "model"),
        data=TaskDataConfig(train=home / "values.csv", dev=home / "values.csv"),
        reading=Reading(max_length=LENGTH, long="hierarchy"),
    )
    with pytest.raises(InputError, match="hierarchy is for classification, and this learns no cla"):
        finetune(config)
