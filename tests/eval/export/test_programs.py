"""Programs of ONNX compute what the models do: every head, any length, padding in the batch."""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import pytest
from flax import nnx

from eval.export import programs as made
from eval.export.graph import IR_VERSION, OPSET
from eval.export.heads import HEADS
from eval.export.programs import programs
from model import Bert, CausalLM, DistilBert, Embedder, InputError
from model.pretrained import save
from model.tasks import (
    DocumentClassification,
    MaskedLM,
    MultipleChoice,
    NextSentence,
    PreTraining,
    QuestionAnswering,
    SequenceClassification,
    TokenClassification,
    backbone,
)
from tests.model.decoder.test_decoder import seq2seq
from tests.parity import by_their_names
from tests.small import ARCHITECTURES, BERT, DISTILBERT, build, call

TOLERANCE = 1e-4
HIDDEN_TOLERANCE = 1e-5
LABELS = ("a", "b", "c")
MOST = BERT.max_positions
OF_BERT = (Bert, CausalLM, PreTraining, NextSentence)
OF_BOTH = (
    *(MaskedLM, SequenceClassification, MultipleChoice, TokenClassification),
    *(QuestionAnswering, DocumentClassification),
)
MODELS = [
    *((head, "bert") for head in (*OF_BERT, *OF_BOTH)),
    *((head, "distilbert") for head in (DistilBert, *OF_BOTH)),
]


def session(program: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(program.SerializeToString(), options)


def run(program: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    running = session(program)
    names = [each.name for each in running.get_inputs()]
    feed = {
        name: inputs[name] if inputs[name].dtype == np.float32 else inputs[name].astype(np.int64)
        for name in names
    }
    values: Any = running.run(None, feed)
    return dict(zip([each.name for each in running.get_outputs()], values, strict=True))


def texts(shape: tuple[int, ...], *, types: bool, seed: int = 0) -> dict[str, np.ndarray]:
    """Rows of every length from 1 to that of the array, padded behind."""
    random = np.random.default_rng(seed)
    rows = int(np.prod(shape[:-1]))
    lengths = np.linspace(1, shape[-1], rows).round().astype(int).reshape(*shape[:-1], 1)
    columns = {
        "input_ids": random.integers(1, BERT.vocab_size, shape).astype(np.int32),
        "attention_mask": np.arange(shape[-1]) < lengths,
    }
    if types:
        columns["token_type_ids"] = random.integers(0, 2, shape).astype(np.int32)
    return columns


def assert_close(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    for name, array in found.items():
        tolerance = TOLERANCE if name.endswith("logits") else HIDDEN_TOLERANCE
        np.testing.assert_allclose(array, expected[name], rtol=0, atol=tolerance, err_msg=name)


def test_all_heads_are_here():
    assert {*HEADS} == {*OF_BERT, *OF_BOTH, DistilBert, Embedder}


@pytest.mark.parametrize(("head", "architecture"), MODELS)
def test_a_program_computes_what_its_model_does(head, architecture):
    config = ARCHITECTURES[architecture].replace(labels=LABELS)
    model = build(head, config)
    program = programs(model)["model"]
    grouped = head in made.GROUPED
    inputs = texts((3, 4, MOST) if grouped else (MOST, MOST), types=architecture == "bert")
    found = run(program, inputs)
    assert_close(found, by_their_names(model, call(model, *inputs.values())))
    assert [each.version for each in program.opset_import] == [OPSET]
    assert program.ir_version == IR_VERSION
    assert [each.name for each in program.graph.input] == [*inputs]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_padding_changes_nothing(architecture):
    """Each text alone, in its own length and another batch size, as beside longer ones."""
    model = build(backbone, ARCHITECTURES[architecture])
    program = programs(model)["model"]
    inputs = texts((5, MOST), types=architecture == "bert")
    together = run(program, inputs)["last_hidden_state"]
    for row, length in enumerate(inputs["attention_mask"].sum(axis=1)):
        alone = {name: array[row : row + 1, :length] for name, array in inputs.items()}
        found = run(program, alone)["last_hidden_state"]
        np.testing.assert_allclose(found[0], together[row, :length], rtol=0, atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("normalised", [True, False])
def test_an_embedder_pools_and_normalises(pooling, normalised):
    model = Embedder(build(backbone, DISTILBERT), pooling, normalised)
    inputs = texts((4, 9), types=False)
    inputs["attention_mask"][0] = False  # a row that is all padding
    found = run(programs(model)["model"], inputs)
    output = call(model, *inputs.values())
    assert_close(
        found,
        {"sentence_embedding": output.embedding, "last_hidden_state": output.last_hidden},
    )


@pytest.mark.long
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_model_that_writes_is_two_programs(architecture):
    model = build(seq2seq, ARCHITECTURES[architecture])
    source = texts((3, 11), types=architecture == "bert")
    target = texts((3, 6), types=False, seed=1)["input_ids"]
    written = programs(model)
    states = run(written["encoder_model"], source)["last_hidden_state"]
    inputs = {
        "input_ids": target,
        "encoder_hidden_states": states,
        "encoder_attention_mask": source["attention_mask"],
    }
    found = run(written["decoder_model"], inputs)["logits"]
    graphdef, state = nnx.split(model)
    arrays = [jnp.asarray(array) for array in (*source.values(), target)]
    expected = nnx.merge(graphdef, state)(*arrays[:-1], decoder_input_ids=arrays[-1]).logits
    assert expected is not None
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


def test_a_table_is_stored_once_and_too_large_models_are_refused(monkeypatch):
    model = build(MaskedLM, DISTILBERT)
    graph = programs(model)["model"].graph
    shapes = [tuple(array.dims) for array in graph.initializer]
    assert shapes.count((BERT.vocab_size, BERT.hidden_size)) == 1
    assert (BERT.hidden_size, BERT.vocab_size) not in shapes
    monkeypatch.setattr(made, "MOST_BYTES", 1000)
    with pytest.raises(InputError, match=r"the model has 0.0 GB of parameters, and a file of ONNX"):
        programs(model)


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("head", "architecture", "name"),
    [
        (SequenceClassification, "bert", "AutoModelForSequenceClassification"),
        (QuestionAnswering, "distilbert", "AutoModelForQuestionAnswering"),
        (MaskedLM, "distilbert", "AutoModelForMaskedLM"),
    ],
)
def test_a_program_computes_what_transformers_does(head, architecture, name, tmp_path: Path):
    import torch
    import transformers

    model = build(head, ARCHITECTURES[architecture].replace(labels=LABELS))
    save(model, tmp_path)
    theirs = getattr(transformers, name).from_pretrained(tmp_path).eval()
    inputs = texts((MOST, MOST), types=architecture == "bert")
    with torch.inference_mode():
        output = theirs(**{n: torch.tensor(array.astype(np.int64)) for n, array in inputs.items()})
    found = run(programs(model)["model"], inputs)
    assert_close(found, {n: value.numpy() for n, value in output.items()})
