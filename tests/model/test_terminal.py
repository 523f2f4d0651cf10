"""Lines for the terminal: nothing in them is obeyed."""

import json
import logging

import pytest

from model.errors import InputError
from model.terminal import VisibleFormatter, say, visible
from tests.hostile import HOSTILE


def harmless(printed: str) -> bool:
    return printed.isprintable()


def test_a_line_stays_a_line_of_signs_that_can_be_seen(capsys):
    say("", HOSTILE, "日本\tü\ud800")
    empty, shown, plain = capsys.readouterr().out.split("\n")[:-1]
    assert empty == "" and harmless(shown) and "\\u001b[2J\\u001b]0;title\\u0007" in shown
    assert plain == "日本\tü\\ud800"
    say(HOSTILE, error=True)
    out, err = capsys.readouterr()
    assert out == "" and err == shown + "\n"


def test_what_is_shown_is_the_text_in_json():
    """So `eval.predict --jsonl` prints the same values, with other escapes."""
    text = json.dumps({"text": HOSTILE + "\x85\u2028"}, ensure_ascii=False)
    assert json.loads(visible(text)) == json.loads(text)


def test_a_mistake_is_one_line_whatever_it_names():
    assert harmless(str(InputError(f"{HOSTILE}: no such file")))


def test_messages_of_the_log(capsys):
    record = logging.LogRecord("a", logging.WARNING, "", 0, "%s lacks a head", (HOSTILE,), None)
    assert all(map(harmless, VisibleFormatter().format(record).split("\n")))


@pytest.mark.parametrize("text", ["plain", "a\tb", "ü – “x” 日本 🙂 \u200d", "\u0661"])
def test_text_that_can_be_seen_is_left_alone(text):
    assert visible(text) == text
