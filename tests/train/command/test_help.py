"""Short help: the flags that people use, in the width of a terminal, and all with --help-all."""

import re
from dataclasses import dataclass, fields, is_dataclass

import pytest

from eval.run import TaskEvaluation
from train.ablate import chosen_study
from train.command.cli import choose, parse
from train.command.help import USED
from train.finetune import chosen_task
from train.recipes import DISTILL
from train.share import ShareConfig


def printed(capsys, run) -> str:
    with pytest.raises(SystemExit) as done:
        run()
    assert done.value.code == 0
    return capsys.readouterr().out


def flags(text: str) -> list[str]:
    return re.findall(r"^  --(\S+)", text, re.MULTILINE)


@pytest.mark.parametrize("width", [60, 80])
def test_help_shows_what_is_used_and_help_all_everything(capsys, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    text = printed(capsys, lambda: choose(DISTILL, "train.distill", ["tiny", "--help"]))
    shown = flags(text)
    assert shown == [name for name in USED if name in shown] and 12 <= len(shown) <= 20
    assert {"teacher", "data.corpus", "loss.ce.temperature", "optimizer.learning-rate"} < {*shown}
    assert "        The peak, reached after the warm-up (0.001)\n" in text
    assert "    python -m train.distill tiny\n" in text
    assert max(map(len, text.splitlines())) <= width
    whole = printed(capsys, lambda: choose(DISTILL, "train.distill", ["tiny", "--help-all"]))
    count = re.search(r"--help-all lists all (\d+) flags", text)
    assert count and int(count[1]) == len(re.findall(r"^[ │] --[a-z][\w.-]+", whole, re.M)) > 60
    assert "--run.profile" in whole and "--run.profile" not in text


def test_other_recipes_have_their_own_flags(capsys):
    text = printed(capsys, lambda: chosen_study(["layers", "--help"]))
    assert {"seeds", "downstream"} < {*flags(text)}
    text = printed(capsys, lambda: chosen_task(["classification", "--help"]))
    assert {"data.train", "model", "reading.max-length"} < {*flags(text)}


def test_tasks_are_listed_with_their_rows_and_metrics(capsys):
    text = printed(capsys, lambda: chosen_task(["--help"]))
    assert re.search(
        r"^  choices .*: rows of text, choices, label; accuracy\.$", text, re.MULTILINE
    )
    assert re.search(r"^  mrpc .*: accuracy and F1\.$", text, re.M)


@dataclass(frozen=True)
class Small:
    """A command of few flags."""

    first: int = 1


@pytest.mark.parametrize(("kind", "all_at_once"), [(Small, True), (ShareConfig, True),
                                                   (TaskEvaluation, False)])  # fmt: skip
def test_commands_without_recipes(capsys, monkeypatch, kind, all_at_once):
    for flag in ("--help", "--help-all"):
        monkeypatch.setattr("sys.argv", ["command", flag])
        text = printed(capsys, lambda: parse(kind, prog="python -m x", description="Does it."))
        assert "Does it." in text
        for field in fields(kind):
            name = field.name.replace("_", "-")
            assert is_dataclass(field.type) or f"--{name}" in text or name.upper() in text
        nested = "--reading.overlap" in text
        assert nested == (not all_at_once and flag == "--help-all")
        assert ("--help-all lists all" in text) == (not all_at_once and flag == "--help")


def test_a_command_reads_its_flags(monkeypatch):
    monkeypatch.setattr("sys.argv", ["command", "--first", "3"])
    assert parse(Small, prog="x", description=None) == Small(first=3)
