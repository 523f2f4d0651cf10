"""Cards of trained models: their header is the hub's, their numbers those of the run."""

from typing import Any

import pytest
from flax import nnx
from huggingface_hub import ModelCard

from model.errors import InputError
from model.pretrained import save
from model.tasks import MaskedLM, SequenceClassification
from report.card import add_scores, write_card
from tasks.catalogue import TASKS
from tests import runs
from tests.report.test_run import CONFIG, ROWS, heldout_row, run_folder

ORIGIN = {
    "command": "python -m train.distill tiny",
    "versions": {"python": "3.11", "jax": "0.10.2"},
    "git": {"commit": "abc", "dirty": True},
    "devices": {"kind": "cpu", "count": 1},
}
SCORES = {
    "dev": {
        "examples": 872,
        "metrics": {"score": 0.9, "accuracy": 0.9},
        "intervals": {"score": 0.0199, "accuracy": 0.0199},
    }
}


def made(folder, config, kind: Any = MaskedLM, **changes):
    run_folder(folder, ROWS, {**CONFIG, "provenance": ORIGIN, **config})
    save(kind(runs.MODEL.replace(**changes), rngs=nnx.Rngs(0)), folder / "model")
    return folder


def card(folder) -> Any:
    return ModelCard.load(folder / "README.md")


def test_a_student_of_text(tmp_path):
    base = tmp_path / "base"
    base.mkdir()
    (base / "README.md").write_text("---\nlicense: mit\nlanguage: de\n---\nA model.\n")
    data = {"corpus": ["Salesforce/wikitext:wikitext-2-raw-v1", "my-texts"], "cache": "/home/me"}
    folder = made(tmp_path / "run", {"teacher": str(base), "data": data, "output": "/home/me/run"})
    write_card(folder)
    about, text = card(folder / "model").data, card(folder / "model").text
    assert (about.license, about.language) == ("mit", "de")
    assert (about.library_name, about.pipeline_tag) == ("transformers", "fill-mask")
    assert about.datasets == ["Salesforce/wikitext"] and about.base_model is None
    found = {result.metric_type: result.metric_value for result in about.eval_results}
    assert found["masked_lm_loss"] == 3.5 and "masked_lm_accuracy" in about.metrics
    assert {result.task_type for result in about.eval_results} == {"fill-mask"}
    assert "A BERT (`BertForMaskedLM`): 2 layers, 16 wide, 2 heads, 5,376 parameters" in text
    assert "Distillation from" in text and "```\npython -m train.distill tiny\n```" in text
    assert "With python 3.11, jax 0.10.2, commit abc with changes." in text
    assert "| masked-LM loss (nats) | 9.000 | 3.250 | 3.500 | 6.250 |" in text
    assert "one run with one seed: no interval" in text
    assert "* any task: " in text and "this was a run on a CPU" in text
    assert "BertForMaskedLM.from_pretrained('MODEL')" in text and "load('MODEL')" in text
    assert "/home/me" not in text


def test_folders_of_the_machine_have_their_last_name_alone(tmp_path):
    origin = ORIGIN | {"command": "python -m train.distill --data.corpus=/home/me/texts x/y /a/b"}
    config = {"provenance": origin, "teacher": "/home/me/bert", "data": {"corpus": ["/home/me/t"]}}
    folder = made(tmp_path / "run", config)
    write_card(folder)
    text = card(folder / "model").text
    assert "python -m train.distill --data.corpus=.../texts x/y .../b\n" in text
    assert "from `.../bert`" in text and '`[".../t"]`' in text
    assert "/home/me" not in text and str(tmp_path) not in text


def test_a_model_of_which_nothing_is_known(tmp_path):
    folder = made(tmp_path / "run", {"teacher": "google-bert/bert-base-uncased", "data": {}})
    write_card(folder)
    about = card(folder / "model").data
    assert (about.license, about.language, about.datasets) == ("unknown", None, None)
    assert about.base_model == ["google-bert/bert-base-uncased"]


def test_a_fine_tuning_has_intervals(tmp_path):
    config = {
        "kind": "finetune",
        "teacher": None,
        "model": "owner/base",
        "task": "sst2",
        "data": {},
    }
    folder = made(tmp_path / "run", config, SequenceClassification, labels=("a", "b"))
    write_card(folder, TASKS["sst2"], SCORES)
    about, text = card(folder / "model").data, card(folder / "model").text
    (result,) = about.eval_results
    assert (result.dataset_type, result.dataset_config) == ("nyu-mll/glue", "sst2")
    assert (result.dataset_split, result.metric_value) == ("dev", 0.9)
    assert result.metric_name == "accuracy, ± 0.02 (95 % interval)"
    assert about.datasets == ["nyu-mll/glue"] and about.base_model == ["owner/base"]
    assert "| accuracy | 90.0 % ± 2.0 |" in text and "dev, 872 examples" in text
    assert "* test examples: " in text and "* any task" not in text


def test_scores_are_added_and_take_the_place_of_older_ones(tmp_path):
    save(SequenceClassification(runs.MODEL, rngs=nnx.Rngs(0)), tmp_path)
    own = "---\nlicense: mit\n---\n\n# Mine\n\n## Scores on SST-2\n\nold\n\n## More\n\nof it\n"
    (tmp_path / "README.md").write_text(own)
    for accuracy in (0.5, 0.9):
        SCORES["dev"]["metrics"]["accuracy"] = accuracy
        add_scores(tmp_path, TASKS["sst2"], SCORES)
    add_scores(tmp_path, TASKS["cola"], {"dev": {"examples": 9, "metrics": {"matthews": 0.1}}})
    found = {r.dataset_config: r.metric_value for r in card(tmp_path).data.eval_results}
    assert found == {"sst2": 0.9, "cola": 0.1}
    text = card(tmp_path).text
    assert card(tmp_path).data.license == "mit" and "old" not in text
    assert [line for line in text.splitlines() if line[:1] == "#"] == [
        "# Mine", "## Scores on SST-2", "## More", "## Scores on CoLA",
    ]  # fmt: skip
    assert text.count("90.0 % ± 2.0") == 1 and "50.0" not in text
    (tmp_path / "README.md").unlink()
    add_scores(tmp_path, TASKS["sst2"], SCORES)
    assert card(tmp_path).data.pipeline_tag == "text-classification"
    (tmp_path / "README.md").write_text("---\n: : [\n---\n")
    with pytest.raises(InputError, match=r"README\.md: its header cannot be read"):
        add_scores(tmp_path, TASKS["sst2"], SCORES)


def test_names_of_others_mean_nothing_in_a_card(tmp_path):
    folder = made(tmp_path / "<b>run", {"data": {"corpus": ["a: [b"]}})
    write_card(folder)
    assert r"# \<b>run" in card(folder / "model").text
    assert card(folder / "model").data.model_name == "<b>run"


def test_a_card_of_ones_own_is_left_alone(tmp_path):
    folder = made(tmp_path / "run", {"data": {}})
    (folder / "model" / "README.md").write_text("mine")
    write_card(folder)
    save(MaskedLM(runs.MODEL, rngs=nnx.Rngs(0)), folder / "model")
    assert (folder / "model" / "README.md").read_text() == "mine"
    row = heldout_row(0, 9.0, 0.001)
    write_card(run_folder(folder, [row], {**CONFIG, "provenance": ORIGIN}))
    (folder / "model" / "README.md").unlink()
    write_card(folder)
    assert "before the first update" in card(folder / "model").text
