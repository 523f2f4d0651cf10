"""Phrases that many modules share."""

from model.errors import first_line


def test_the_first_line_of_an_error_without_a_message_is_its_type():
    assert first_line(ValueError(" no such file:\nmore")) == "no such file"
    assert first_line(TimeoutError()) == "TimeoutError"
