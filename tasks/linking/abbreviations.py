"""Abbreviations that a text defines, "copper toxicosis (CT)", by Schwartz and Hearst 2003."""

import re
from collections.abc import Mapping

_BRACKETS = re.compile(r"\(([^()]+)\)")
_WORD = re.compile(r"\w+(?:-\w+)*")
_LONGEST, _MOST_WORDS = 10, 2  # of a short form: characters and words


def abbreviations(text: str) -> dict[str, str]:
    """The long forms in a text by their short forms (section 2.1 and 2.2 of the paper).

    In brackets stands the short form, after the long one, or the long form where that has more
    than two words or ten characters. Of two definitions of a short form the first counts.
    """
    found: dict[str, str] = {}
    for brackets in _BRACKETS.finditer(text):
        before = text[: brackets.start()].split()
        inside = re.split(r"[;,]", brackets[1])[0].strip()
        if len(inside) <= _LONGEST and len(inside.split()) <= _MOST_WORDS:
            short, words = inside, before
        else:
            short, words = "".join(before[-1:]), brackets[1].split()
        if not _is_short_form(short):
            continue
        most = min(len(short) + 5, 2 * len(short))
        words = words[-most:] if short == inside else words
        long = _long_form(short, " ".join(words))
        if long and short not in long.split():
            found.setdefault(short, long)
    return found


def expand(mention: str, long_forms: Mapping[str, str]) -> str:
    """A mention with the long form for each of its words that is a short form."""
    if mention in long_forms:
        return long_forms[mention]
    return _WORD.sub(lambda word: long_forms.get(word[0], word[0]), mention)


def _is_short_form(text: str) -> bool:
    return (
        2 <= len(text) <= _LONGEST
        and text[0].isalnum()
        and any(letter.isalpha() for letter in text)
    )


def _long_form(short: str, words: str) -> str:
    """The shortest end of `words` that holds the characters of `short` in order; "" if none does.

    Characters are matched from the right; the first must begin a word (figure 1 of the paper).
    """
    place = len(words)
    for number in range(len(short) - 1, -1, -1):
        letter = short[number].lower()
        if not letter.isalnum():
            continue
        place -= 1
        while place >= 0 and not (
            words[place].lower() == letter
            and (number > 0 or place == 0 or not words[place - 1].isalnum())
        ):
            place -= 1
        if place < 0:
            return ""
    long = words[words.rfind(" ", 0, place + 1) + 1 :]
    return long if len(long) > len(short) else ""
