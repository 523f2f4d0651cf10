"""The script of docs/results/small-paper.md: every stage in a tiny form, and when all is done."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from model.bert import Bert
from model.pretrained import load, save
from tests import runs

ROOT = Path(__file__).parent.parent
TINY = {
    "TASKS": "sst2 stsb",
    **dict.fromkeys(("TOKENS", "HEAD_TOKENS", "ROUND_TOKENS"), "256"),
    **dict.fromkeys(("TRIAL_TOKENS", "TABLE_4_TOKENS"), "128"),
    **dict.fromkeys(("SEEDS", "FINETUNINGS", "TABLE_4_SEEDS"), "1"),
    **dict.fromkeys(("RATES", "TASK_RATES"), "1e-3"),
    "FLAT": "9",  # no round is worth so many nats
    "BATCH": "8",
    "LENGTH": "16",
}


@pytest.fixture
def home(tmp_path):
    """A model without a masked-LM head, and a few rows of every set of data."""
    shape = runs.MODEL.replace(num_layers=6, max_positions=512)
    runs.write_teacher(tmp_path / "minilm", shape)
    save(load(tmp_path / "minilm", Bert), tmp_path / "minilm")
    data, random = tmp_path / "data", np.random.default_rng(0)

    def text():
        return " ".join(random.choice(runs.WORDS, size=6))

    def write(name, lines):
        path = data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")

    runs.write_corpus(data / "books")
    articles = "".join(f" = {text()} = \n\n {text()} \n {text()} \n\n" for _ in range(8))
    (data / "wikitext-2").mkdir()
    (data / "wikitext-2/wiki.train.tokens.gz").write_bytes(gzip.compress(articles.encode()))
    for split in ("train", "dev"):
        rows = [f"{text()}\t{n % 2}" for n in range(16)]
        write(f"glue/SST-2/{split}.tsv", ["sentence\tlabel", *rows])
        rows = [f"{n}\t{text()}\t{text()}\t{n % 5}.5" for n in range(16)]
        write(f"glue/STS-B/{split}.tsv", ["index\tsentence1\tsentence2\tscore", *rows])
        rows = [f"{n}\t{text()}\t{text()}\t{n % 2}" for n in range(16)]
        write(f"glue/WNLI/{split}.tsv", ["index\tsentence1\tsentence2\tlabel", *rows])
        context = text()
        questions = [
            {
                "id": f"{split}{n}",
                "question": f"{text()} ?",
                "answers": [{"text": context.split()[0], "answer_start": 0}],
            }
            for n in range(8)
        ]
        paragraphs = [{"context": context, "qas": questions[:4]}]
        paragraphs.append({"context": f"{context} {text()}", "qas": questions[4:]})
        squad = {"version": "1.1", "data": [{"title": "t", "paragraphs": paragraphs}]}
        write(f"squad1.1/{split}-v1.1.json", [json.dumps(squad)])
    for split in ("train", "test"):
        for label in ("neg", "pos"):
            for n in range(12):
                write(f"imdb/aclImdb/{split}/{label}/{n}_1.txt", [text()])
    return tmp_path


def run(home, **changes):
    environment = {
        **os.environ,
        "PYTHON": sys.executable,
        "PYTHONPATH": str(ROOT),
        "XLA_FLAGS": os.environ["XLA_FLAGS"].replace("device_count=4", "device_count=1"),
        "MINILM": str(home / "minilm"),
        "DATA": str(home / "data"),
        "OUT": str(home / "out"),
        **TINY,
        **changes,
    }
    script = ["bash", str(ROOT / "docs/results/small-paper.sh")]
    return subprocess.run(script, cwd=home, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_every_stage_runs_and_then_none_again(home):
    done = run(home)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    out = home / "out"
    plan = run(home, PLAN="1").stdout.splitlines()
    marks = {path.name: path.read_text().strip() for path in (out / "done").iterdir()}
    assert sorted(marks.values()) == sorted(plan)  # one round of the teacher was enough
    assert {"head", "teacher-1", "students", "table-1", "table-4"} <= {*marks}
    students = json.loads((out / "students/study.json").read_text())
    assert [*students["variants"]] == [
        *("triple loss", "without teacher", "random start", "lowest layers", "TinyBERT"),
        *("MiniLMv2", "triple loss, start"),
    ]
    assert students["primary"] == "downstream_mean"
    kept = json.loads((out / "table-1/kept/kept.json").read_text())
    assert [*kept["tasks"]] == ["sst2", "stsb"] and "keeps" in kept["verdict"]
    assert json.loads((out / "imdb/student/test/results.json").read_text())["splits"]["test"]
    assert json.loads((out / "table-3.json").read_text())["speeds"]
    again = run(home)
    assert again.returncode == 0, again.stderr
    assert len(again.stdout.splitlines()) == len(plan)
    assert all(line.endswith(": done") for line in again.stdout.splitlines())
    other = run(home, HEAD_TOKENS="512")
    assert other.returncode == 2
    assert other.stderr.startswith("error: head was done by another command")


def test_what_is_missing_is_named_before_anything_is_run(home):
    for name in ("data/imdb/aclImdb", "minilm/config.json"):
        path = home / name
        path.rename(home / "away")
        if path.parent.name == "imdb":
            path.parent.rmdir()
        done = run(home)
        assert done.returncode == 2 and not (home / "out").exists()
        missing = path.parent if path.parent.name == "imdb" else path
        assert done.stderr.startswith(f"error: there is no {missing}: see the first lines of ")
        path.parent.mkdir(exist_ok=True)
        (home / "away").rename(path)
    assert "MINILM: is not set" in run(home, MINILM="").stderr
