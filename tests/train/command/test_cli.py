"""The command line: recipes by name, flags over them, and mistakes in one sentence."""

import json
import os
import signal
import subprocess
import sys
from ast import literal_eval
from dataclasses import replace

import pytest

from model.errors import InputError
from tests import runs
from train.command.cli import choose, main
from train.config import DistillConfig, PretrainConfig, StudentConfig
from train.distill import distill
from train.pretrain import pretrain
from train.recipes import DISTILL, PRETRAIN


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return runs.make_home(tmp_path_factory.mktemp("home"))


@pytest.mark.long
@pytest.mark.parametrize("given", [None, "elsewhere"])
def test_compiled_programs_are_kept_for_the_next_start(tmp_path, given):
    """Small ones, too; where the environment names a place nothing is changed."""
    code = """
import jax
from train.command.cli import main
main(lambda: print([jax.config.values[name] for name in (
    "jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")]))
"""
    kept = {name: value for name, value in os.environ.items() if "CACHE" not in name}
    environment = {**kept, "DISTILBERT_FLAX_CACHE": str(tmp_path)}
    if given:
        environment["JAX_COMPILATION_CACHE_DIR"] = given
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    folder, shortest = literal_eval(done.stdout)
    assert folder == (given or str(tmp_path / "compiled"))
    assert (shortest == 0.0) == (given is None)


@pytest.mark.long
@pytest.mark.parametrize("command", ["print('short')", "print('long' * 100_000)", "sys.exit(0)"])
def test_a_reader_that_has_gone_gets_no_traceback(command):
    """As in `... --help | head`."""
    code = f"import sys; from train.command.cli import main; main(lambda: (print('x'), {command}))"
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")


def test_flags_change_fields_of_a_recipe():
    argv = ["tiny", "--optimizer.learning-rate", "3e-4", "--data.corpus", "a", "b"]
    config = choose(DISTILL, "train.distill", [*argv, "--no-freeze-positions"])
    recipe = DISTILL["tiny"]()
    expected = replace(
        recipe,
        optimizer=replace(recipe.optimizer, learning_rate=3e-4),
        data=replace(recipe.data, corpus=("a", "b")),
        freeze_positions=False,
    )
    assert config == expected


@pytest.mark.parametrize(
    ("name", "hint"),
    [("tinny", "did you mean tiny"), ("distilbert-base-uncase", "distilbert-base-uncased"),
     ("xyzzy", "there are causal, distilbert-base-cased, ")],
)  # fmt: skip
def test_a_mistyped_recipe_is_answered_with_the_nearest(name, hint):
    with pytest.raises(InputError, match=hint):
        choose(DISTILL, "train.distill", [name])


@pytest.mark.parametrize("recipes", [PRETRAIN, DISTILL], ids=["pretrain", "distill"])
def test_help_lists_recipes_and_flags(recipes, capsys):
    with pytest.raises(SystemExit) as done:
        choose(recipes, "train.command", ["--help"])
    assert done.value.code == 0
    listing = capsys.readouterr().out
    for name in recipes:
        assert name in listing
        with pytest.raises(SystemExit) as done:
            choose(recipes, "train.command", [name, "--help"])
        assert done.value.code == 0
        assert "--optimizer.learning-rate" in capsys.readouterr().out


def test_without_a_recipe_the_list_is_shown_as_a_mistake(capsys):
    with pytest.raises(SystemExit) as done:
        choose(DISTILL, "train.distill", [])
    assert done.value.code == 2
    assert "wikitext-103" in capsys.readouterr().out


def test_a_mistake_is_one_sentence_and_a_status(capsys):
    def mistake():
        raise InputError("the moon is not a corpus: name a file")

    with pytest.raises(SystemExit) as done:
        main(mistake)
    assert done.value.code == 2
    assert capsys.readouterr().err == "error: the moon is not a corpus: name a file\n"


@pytest.mark.parametrize("words", [["--output", "", "--steps", "2"], ["--data.tokenizer="]])
def test_an_empty_word_is_refused_for_every_flag(words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train.distill", "tiny", *words])
    with pytest.raises(SystemExit) as done:
        main(lambda: pytest.fail("it has begun"))
    flag = words[0].rstrip("=")
    sentence = f"error: there is an empty value after {flag}: give one, or leave it out\n"
    assert (done.value.code, capsys.readouterr().err) == (2, sentence)


def run_code(code: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", f"import jax; from train.command.cli import main; {code}"],
        env={**os.environ, **environment},
        capture_output=True,
        check=False,
    )


@pytest.mark.long
@pytest.mark.parametrize("platform", ["cuda", "gpuu"])
def test_a_device_that_is_not_there_is_reported_in_a_sentence(platform):
    done = run_code("main(lambda: jax.numpy.zeros(2))", JAX_PLATFORMS=platform)
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 2
    assert lines[-1].startswith(f"error: JAX_PLATFORMS is '{platform}', and JAX finds no")
    assert "Traceback" not in done.stderr.decode()


@pytest.mark.long
def test_other_failures_keep_their_traceback():
    done = run_code("main(lambda: 1 / 0 or None)", JAX_PLATFORMS="cpu")
    assert done.returncode == 1 and b"ZeroDivisionError" in done.stderr
    done = run_code("main(lambda: (_ for _ in ()).throw(RuntimeError('x')))", JAX_PLATFORMS="cpu")
    assert done.returncode == 1 and done.stderr.rstrip().endswith(b"RuntimeError: x")


@pytest.mark.long
@pytest.mark.parametrize(
    "environment",
    [{"PYTHONIOENCODING": "ascii"},
     {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}],
    ids=["output", "locale"],
)  # fmt: skip
def test_a_terminal_without_a_character_shows_its_number(environment):
    code = "import rich; main(lambda: (print('T\\xb2'), rich.print('T\\xb2')))"
    done = run_code(code, **environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"T\\xb2")


# A teacher of two narrow layers has not the heads and layers that these name.
NARROW = StudentConfig(layers="random", num_layers=1, hidden_size=8, intermediate_size=8)
FITTED = {
    "tinybert-general": lambda config: replace(config, student=NARROW),
    "minilmv2": lambda config: replace(
        config,
        student=replace(config.student, num_layers=1),
        loss=replace(config.loss, relations=replace(config.loss.relations, heads=4)),
    ),
    "patient-kd": lambda config: replace(
        config, loss=replace(config.loss, hidden=replace(config.loss.hidden, layers="0:0"))
    ),
}


def a_few_now(recipes, kind, *names):
    """The names of all recipes of a kind, of which `names` run with the fast tests."""
    chosen = [name for name, recipe in recipes.items() if isinstance(recipe(), kind)]
    return [pytest.param(n, marks=() if n in names else pytest.mark.slow) for n in chosen]


@pytest.mark.long
@pytest.mark.parametrize("name", a_few_now(DISTILL, DistillConfig, "tiny", "minilmv2"))
def test_every_distillation_recipe_runs_in_a_tiny_form(home, name):
    recipe = FITTED.get(name, lambda config: config)(DISTILL[name]())
    config = replace(
        recipe,
        output=home / f"distill-{name}",
        teacher=str(home / "teacher"),
        data=replace(runs.data_config(home), tokenizer=None, mode=recipe.data.mode),
        masking=replace(recipe.masking, group_rows=2),
        batch_size=4,
        micro_batches=2,
        steps=2,
        run=replace(recipe.run, devices=1),
    )
    results = distill(config)
    assert results
    assert all(value > 0 for n, value in results.items() if n.startswith(("kl", "heldout")))
    # Where no vocabulary is learned there is none in the model that comes out.
    architecture = json.loads((config.output / "model" / "config.json").read_text())
    whole = "DistilBertModel" if name in FITTED else "DistilBertForMaskedLM"
    assert architecture["architectures"] == [whole]
    assert (config.output / "report.md").is_file()


@pytest.mark.long
@pytest.mark.parametrize("name", a_few_now(PRETRAIN, PretrainConfig, "tiny-further"))
def test_every_pretraining_recipe_runs_in_a_tiny_form(home, name):
    recipe = PRETRAIN[name]()
    assert isinstance(recipe, PretrainConfig)
    config = replace(
        recipe,
        output=home / f"pretrain-{name}",
        model=runs.MODEL,
        start=str(home / "teacher") if recipe.start else None,
        data=runs.data_config(home),
        masking=replace(recipe.masking, group_rows=2),
        batch_size=4,
        steps=2,
        run=replace(recipe.run, devices=1),
    )
    assert pretrain(config)["masked_lm_loss"] > 0


@pytest.mark.parametrize("recipe", [*PRETRAIN.values(), *DISTILL.values()])
def test_batches_divide_over_devices(recipe):
    """Over eight, and a small batch over four."""
    config = recipe()
    unit = config.micro_batches * config.group_rows
    devices = 8 if config.batch_size >= 64 * unit else 4
    if config.batch_size >= devices * unit:
        assert config.batch_size % (devices * unit) == 0
