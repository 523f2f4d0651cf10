"""Every command in the documents and in `--help` is accepted as it is printed."""

import csv
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tyro

from tests import runs
from train.recipes import DISTILL, FINETUNE, PRETRAIN
from train.studies.catalogue import STUDIES

ROOT = Path(__file__).parent.parent
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs/results").glob("*.md")),
]
COMMANDS = {
    f"{package}.{path.parent.name if path.stem == '__main__' else path.stem}": path
    for package in ("train", "eval")
    for pattern in ("*.py", "*/__main__.py")
    for path in (ROOT / package).glob(pattern)
    if '__name__ == "__main__"' in path.read_text()
}
MODULES = sorted(COMMANDS)
RECIPES = {
    "train.pretrain": PRETRAIN,
    "train.distill": DISTILL,
    "train.finetune": FINETUNE,
    "train.ablate": STUDIES,
}
# Placeholders for a value that the reader knows; other words in capitals are files of any name.
PLACEHOLDERS = {
    "RECIPE": "tiny",
    "TASK": "sst2",
    "STUDY": "layers",
    "MODE": "windows",
    "...": "tiny",
}


def commands(text: str) -> list[str]:
    """The project's commands in a document: lines of its blocks, and code within the text."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    shell = [block for language, block in blocks if language in ("", "bash")]
    lines = "\n".join(shell).replace("\\\n", " ").splitlines()
    spans = re.findall(
        r"`([^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    )
    found = [" ".join(command.split()) for command in [*lines, *spans]]
    return [c for c in found if re.match(r"(echo .*\| )?python -m (train|eval)\.|make \w", c)]


def words(command: str) -> list[str]:
    """The module and its arguments, without the comment and a pipe before it."""
    _, _, command = command.rpartition("python -m ")
    return [PLACEHOLDERS.get(word, word) for word in shlex.split(command, comments=True)]


def planned(script: str) -> list[str]:
    """The commands that a script of the documents prints as its plan, one of each kind."""
    if shutil.which("bash") is None:
        return []
    places = {"PLAN": "1", "MINILM": "MINILM", "DATA": "DATA"}
    done = subprocess.run(
        ["bash", script], cwd=ROOT, env={**os.environ, **places}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    kinds = {
        (words(line)[0], *(word for word in words(line) if word.startswith("--"))): line
        for line in done.stdout.splitlines()
    }
    return list(kinds.values())


DOCUMENTED = sorted({command for page in PAGES for command in commands(page.read_text())})


PLANNED = planned("docs/results/small-paper.sh")


class UnderstoodError(Exception):
    """The arguments are accepted, and nothing is run."""


@pytest.fixture
def parse(monkeypatch, tmp_path):
    """Passes the words of a command to the command itself, which only parses them."""
    read = tyro.cli

    def read_only(*args, **options):
        read(*args, **options)
        raise UnderstoodError

    def parse(module, *arguments):
        monkeypatch.setattr(sys, "argv", [module, *arguments])
        try:
            runpy.run_path(str(COMMANDS[module]), run_name="__main__")
        except UnderstoodError:
            return
        except SystemExit as done:
            if done.code == 0 and {"--help", "--help-all"} & {*arguments}:
                return
        pytest.fail(f"python -m {shlex.join([module, *arguments])} is refused: see its output")

    monkeypatch.setattr(tyro, "cli", read_only)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").symlink_to(ROOT / "docs")  # studies that documents name by their path
    write_study(tmp_path)
    return parse


def write_study(folder: Path) -> None:
    """Writes the study that docs/studies.md shows, under the name that it has there."""
    (text,) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs/studies.md").read_text(), re.DOTALL)
    (folder / "my-study.toml").write_text(text)


@pytest.mark.parametrize("command", [*(c for c in DOCUMENTED if "python -m" in c), *PLANNED])
def test_the_commands_in_the_documents_are_accepted(command, parse):
    module, *arguments = words(command)
    parse(module, *(arguments or ["--help"]))


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("command", [c for c in DOCUMENTED if c.startswith("make")])
def test_the_targets_in_the_documents_exist(command):
    done = subprocess.run(["make", "-n", *words(command)[1:]], cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", MODULES)
def test_help_has_examples_that_are_accepted(module, parse, capsys):
    parse(module, "--help")
    examples = re.findall(r"^ {4,}(.*python -m .*)$", capsys.readouterr().out, re.MULTILINE)
    assert any(words(example)[0] == module for example in examples)
    for example in examples:
        parse(*words(example))


@pytest.mark.long
@pytest.mark.parametrize("command", RECIPES)
def test_every_recipe_has_its_command(command, parse):
    for name, recipe in RECIPES[command].items():
        examples = re.findall(r"^ {8}(python -m .*)$", recipe.__doc__ or "", re.MULTILINE)
        assert f"{command} {name}" in " ".join(examples), name
        for example in examples:
            parse(*words(example))


# A newcomer's way through the documents, offline, with flags that make it short.
SHORT = "--steps 2 --batch-size 8"
TEXTS = "--data.corpus my-texts/ --data.heldout-share 0.2"
WALK = {
    "python -m train.distill tiny --data.corpus my-texts/": f"{SHORT} --data.heldout-share 0.2",
    "python -m eval.report RUN": "",
    "python -m train.ablate my-study.toml --seeds 5": f"{SHORT} {TEXTS}",
    "python -m eval.study_report STUDY": "",
    "python -m train.finetune sst2 --model runs/distill-tiny/model --data.root glue": SHORT,
    "python -m eval.run runs/finetune-sst2/model --task sst2 --data.root glue": "",
    'python -m eval.predict runs/finetune-sst2/model "a film of rare charm"': "",
    "python -m train.finetune classification --data.train reviews.csv --seeds 5": (
        f"{SHORT} --model runs/distill-tiny/model"
    ),
    "python -m eval.masked_lm MODEL": TEXTS,
    "python -m eval.glue --teacher A --student B": "--data.root glue --tasks sst2 --epochs 1",
    "python -m eval.speed": "--size tiny --repeats 1",
}
NAMES = {
    "RUN": "runs/distill-tiny",
    "STUDY": "runs/my-study",
    "MODEL": "runs/distill-tiny/model",
    "A": "runs/distill-tiny/model",
    "B": "runs/distill-tiny/model",
}


@pytest.mark.slow
def test_a_newcomer_can_follow_the_documents(tmp_path):
    (tmp_path / "assets").symlink_to(ROOT / "assets")
    runs.write_corpus(tmp_path / "my-texts")
    write_study(tmp_path)
    rows = [[f"the {word} sees a tree", number % 2] for number, word in enumerate(runs.WORDS)]
    write_table(tmp_path / "reviews.csv", ",", [["text", "label"], *rows])
    for split in ("train", "dev"):
        write_table(tmp_path / "glue/SST-2" / f"{split}.tsv", "\t", [["sentence", "label"], *rows])
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for command, flags in WALK.items():
        assert any(command == documented.partition(" #")[0].strip() for documented in DOCUMENTED)
        module, *rest = shlex.split(command)[2:]
        line = [sys.executable, "-m", module, *(NAMES.get(w, w) for w in rest), *flags.split()]
        done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


@pytest.mark.slow
def test_the_readme_makes_an_embedder_without_data_and_network(tmp_path, monkeypatch):
    """Its code and commands as they are printed."""
    readme = (ROOT / "README.md").read_text()
    _, _, rest = readme.partition("## Search and link without data and network\n")
    section, _, _ = rest.partition("\n## ")
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "assets").symlink_to(ROOT / "assets")
    exec(code, {})
    printed = []
    for command in commands(section):
        line = [sys.executable, *shlex.split(command)[1:]]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(line, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        printed.append(done.stdout)
    _, cosine, hits, links = printed
    assert re.search(r"^ +-?\d\.\d{3}$", cosine, re.MULTILINE)
    assert len(re.findall(r"^ +\d +\d\.\d{3}  \w+\.\w+  ", hits, re.MULTILINE)) == 3
    assert "names in a zip archive" in links and re.search(r"\bzipfile\.\w+", links)


def write_table(path: Path, delimiter: str, rows: list[list]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter, lineterminator="\n").writerows(rows)
