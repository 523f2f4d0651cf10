"""Code, losses and flags in the documents: snippets run, and what is listed exists."""

import json
import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tyro
from flax import nnx
from jax.flatten_util import ravel_pytree

from eval.predict import open_model, predict
from model.config import bert_base
from model.pretrained import load, save
from model.tasks import MaskedLM
from tests import runs, tiny
from tests.model.decoder.test_decoder import seq2seq
from tests.small import DISTILBERT, build, tokens
from train.objectives import terms
from train.objectives.distillation import DistillationObjective
from train.objectives.objective import LossInputs
from train.recipes import DISTILL, FINETUNE, PRETRAIN
from train.studies.catalogue import STUDIES
from train.studies.settings import setting_types

DOCS = Path(__file__).parent.parent / "docs"


def snippets(name):
    return re.findall(r"```python\n(.*?)```", (DOCS / name).read_text(), re.DOTALL)


@pytest.mark.long
def test_the_snippet_of_the_readme_prints_its_comment(tmp_path, monkeypatch, capsys):
    """The hub is replaced by a narrow model of BERT's depth and vocabulary."""
    narrow = bert_base().replace(hidden_size=4, num_heads=2, intermediate_size=4)
    save(MaskedLM(narrow, rngs=nnx.Rngs(0)), tmp_path / "bert")
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: tmp_path / "bert")
    monkeypatch.chdir(tmp_path)
    (code,) = (code for code in snippets("../README.md") if "student_from_teacher" in code)
    exec(code, {})
    (comment,) = re.findall(r"print\(.*#\s+(.*)", code)
    assert capsys.readouterr().out.strip() == comment
    assert load("my-distilbert", MaskedLM).config == narrow.distilled(6)


@pytest.mark.long
def test_the_parameters_in_claims_are_those_that_its_snippet_prints(capsys):
    (code,) = snippets("claims.md")
    exec(code, {})
    text = (DOCS / "claims.md").read_text()
    for line in capsys.readouterr().out.strip().splitlines():
        assert line in text


def test_the_snippet_on_decoders_writes_texts_without_special_tokens(monkeypatch):
    model = build(seq2seq, DISTILBERT)
    monkeypatch.setattr("model.pretrained.load", lambda *_: model)
    names = {}
    exec(snippets("architecture.md")[1], names)
    ids = jnp.asarray(tokens())
    written = names["write"](names["params"], ids, jnp.ones_like(ids))
    assert written.shape == (len(ids), model.generation.max_new_tokens)
    assert not np.isin(written, model.generation.suppressed).any()


@pytest.mark.long
def test_the_snippet_on_summaries_leaves_a_summariser(tmp_path, monkeypatch):
    """Which chooses the sentences that name a tree."""
    runs.write_teacher(tmp_path / "MINILM", runs.MODEL.replace(max_positions=512))
    random = np.random.default_rng(0)
    words, rows = [word for word in runs.WORDS if word != "tree"], []
    for number in range(40):
        source = [" ".join(random.choice(words, size=3)) for _ in range(3)]
        source[number % 3] += " tree"
        marks = [int(place == number % 3) for place in range(3)]
        rows.append({"source": source, "source_labels": marks, "target": [source[number % 3]]})
    (tmp_path / "scitldr").mkdir()
    for part in ("train", "dev", "test"):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / "scitldr" / f"{part}.jsonl").write_text(lines)
    monkeypatch.chdir(tmp_path)
    (code,) = snippets("results/summaries.md")
    exec(code, {})
    [found] = predict(*open_model("summariser"), ["the old cat sees\na dog likes tree\na bird"])
    assert found["summary"] == "a dog likes tree"


@pytest.mark.long
def test_the_snippet_on_curvature_finds_the_largest_eigenvalue(monkeypatch, capsys):
    """Of a model small enough for its whole Hessian."""
    shape = {"vocab_size": 70, "hidden_size": 4, "num_layers": 1, "num_heads": 1}
    config = tiny.TEACHER.replace(**shape, intermediate_size=4, max_positions=32)
    monkeypatch.setattr("model.pretrained.load", lambda *_: tiny.model(config))
    code, names = snippets("architecture.md")[0], {}
    exec(code, names)
    flat, unravel = ravel_pytree(names["params"])
    hessian = jax.jit(jax.hessian(lambda flat: names["loss"](unravel(flat))))(flat)
    values = np.linalg.eigvalsh(np.asarray(hessian, np.float64))
    largest = max(values, key=abs)
    np.testing.assert_allclose(names["eigenvalue"], largest, rtol=1e-3)
    assert capsys.readouterr().out == f"largest eigenvalue: {names['eigenvalue']:.3g}\n"


@pytest.mark.long
def test_the_loss_that_the_document_adds_works():
    term, line = snippets("losses.md")
    namespace = dict(vars(terms))
    exec(term, namespace)
    exec(f"@dataclass(frozen=True)\nclass Own(DistillationLoss):\n{line}", namespace)
    loss = tyro.cli(
        namespace["Own"],
        args=["--distance.weight", "2", "--distance.layers", "0:1", "--ce.weight", "0"],
    )
    assert [*loss.terms()] == ["mlm", "cos", "distance"]
    student, teacher = tiny.model(), tiny.model(tiny.TEACHER, seed=1)
    objective = DistillationObjective(
        nnx.graphdef(student), nnx.graphdef(teacher), tiny.MASKING, tiny.MASK_ID, loss.terms()
    )
    batch = {name: array[0] for name, array in tiny.batch(4).items()}
    batch |= {"positions": np.zeros((2, 1), np.int32), "valid": np.ones((2, 1), bool)}
    batch |= {"labels": np.zeros((2, 1), np.int32)}
    arrays = {name: jnp.asarray(array) for name, array in batch.items()}
    params = nnx.split(student)[1]
    constants = {"teacher": nnx.split(teacher)[1]}
    numbers = objective.numbers(jnp.float32(0))
    shares: dict[str, Any] = dict.fromkeys(loss.terms(), jnp.float32(1))
    _, sums = objective.loss(LossInputs(params, constants, arrays, None, numbers, shares))
    inputs = arrays["input_ids"], arrays["attention_mask"]
    ours, theirs = (np.asarray(m.backbone(*inputs).last_hidden) for m in (student, teacher))
    expected = np.abs(ours - theirs).mean(axis=-1)[batch["attention_mask"]].sum()
    np.testing.assert_allclose(sums["distance"], expected, rtol=1e-5)
    assert numbers["distance"] == {"weight": 2.0}


@pytest.mark.parametrize("name", ["losses.md", "studies.md", "deviations.md"])
def test_the_flags_in_the_documents_exist(name):
    """Flags with an underscore are the original code's; `distance` is the loss of the example."""
    recipes = [*DISTILL.values(), *PRETRAIN.values(), *FINETUNE.values(), *STUDIES.values()]
    names = {name.removeprefix("base.") for recipe in recipes for name in setting_types(recipe())}
    names |= {re.sub(r"(\w+)$", r"no_\1", name) for name in names}
    known = {f"--{name.replace('_', '-')}" for name in names} | {
        *("--help", "--help-all", "--task", "--student")
    }
    found = set(re.findall(r"(?<!\w)--[a-z][\w.-]*\w", (DOCS / name).read_text()))
    unknown = {flag for flag in found - known if "_" not in flag}
    assert unknown <= {"--loss.distance.weight", "--loss.distance.layers"}


def test_the_table_of_losses_is_complete():
    text = (DOCS / "losses.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert rows == [*terms.DistillationLoss().with_weights(**dict.fromkeys(rows, 1.0)).terms()]
    assert len(rows) == len(
        [f for f in vars(terms.DistillationLoss()).values() if isinstance(f, terms.Term)]
    )
