"""Overlap of texts: repeated paragraphs, and held-out text that is also in training text."""

import re
from collections.abc import Iterator

# GPT-3 (Brown et al. 2020, appendix C) looks for leaks between splits with 13 words.
LEAK_WORDS = 13
# Shorter, so that a paragraph copied with a few words changed still counts as a copy.
COPY_WORDS = 8


def ngrams(text: str, length: int) -> Iterator[tuple[str, ...]]:
    """The runs of `length` lower-case words in a text; a shorter text is a single run."""
    words = re.findall(r"\w+", text.lower())
    for start in range(max(1, len(words) - length + 1)):
        yield tuple(words[start : start + length])


class CopyFilter:
    """A filter of paragraphs of which more than half occurred before."""

    def __init__(self) -> None:
        self._seen: set[int] = set()  # hashes: the runs themselves would take a gigabyte

    def is_new(self, paragraph: str) -> bool:
        """True if at least half of the paragraph's 8-word runs are new; they are then stored."""
        runs = [hash(run) for run in ngrams(paragraph, COPY_WORDS)]
        new = 2 * sum(run in self._seen for run in runs) <= len(runs)
        if new:
            self._seen.update(runs)
        return new
