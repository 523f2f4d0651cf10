"""The search that a study's students come from: its rungs, and how the report tells them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from report.markdown import escaped, text_table
from report.naming import as_text, noun, written
from report.tables import listed


@dataclass(frozen=True)
class SearchRung:
    """One round of a search: all that are left are trained, and the better half is kept."""

    updates: int
    """Of each student, with a schedule of their own."""
    seed: int
    values: Mapping[str, float]
    """The primary metric on the text for selection, by student."""
    kept: tuple[str, ...]
    """The best first."""


@dataclass(frozen=True)
class Ladder:
    """The rungs of students of one kind, down to the one that is left."""

    settings: Mapping[str, Mapping[str, Any]]
    """The settings of every student, by its name."""
    rungs: tuple[SearchRung, ...]

    @property
    def winner(self) -> str:
        """The student that is left."""
        return self.rungs[-1].kept[0]

    @property
    def updates(self) -> int:
        """Updates of all students together."""
        return sum(rung.updates * len(rung.values) for rung in self.rungs)


@dataclass(frozen=True)
class VariantSearch:
    """Successive halving of candidates, and of as many learning rates of the default."""

    default: str
    candidates: Ladder
    rates: Ladder
    text: str
    """The fingerprint of the sequences that students were selected by."""


def search_section(search: VariantSearch, primary: str, text: str) -> list[str]:
    """The candidates, and what each rung kept; `text`: the fingerprint of the reported text."""
    seeds = [str(rung.seed) for rung in search.candidates.rungs]
    candidates, rates = search.candidates, search.rates
    return [
        "## How they were chosen",
        escaped(
            f"Successive halving of {len(candidates.settings)} candidates, of which "
            f"“{candidates.winner}” is left, and of as many learning rates of “{search.default}”, "
            f"of which “{rates.winner}” is left: {candidates.updates:,} updates of a student for "
            "either. In every rung each student is trained from its start, with a schedule of its "
            f"own length, and the better half in {noun(primary)} is kept (seeds {listed(seeds)}, "
            "which are used for nothing else)."
        ),
        escaped(
            "The held-out documents are divided. Students were chosen on the half “selection” "
            f"(sequences {search.text[:12]}), and all other numbers of this report are of the half "
            f"“reporting” (sequences {text[:12]}), which has no document in common with it (of "
            "fewer than 20 documents, no block of lines)."
        ),
        "### Candidates",
        _ladder_table(candidates, primary),
        f"### Learning rates of the default, “{escaped(search.default)}”",
        _ladder_table(rates, primary),
    ]


def _ladder_table(ladder: Ladder, primary: str) -> str:
    """A row for each student, those that came furthest first; an arrow for those that are kept."""
    reached = {name: sum(name in rung.values for rung in ladder.rungs) for name in ladder.settings}
    last = ladder.rungs[-1].kept
    order = sorted(ladder.settings, key=lambda name: (-reached[name], name not in last))
    lines = [
        [
            name,
            ", ".join(f"{own} = {as_text(v)}" for own, v in ladder.settings[name].items()),
            *(_cell(rung, name, primary) for rung in ladder.rungs),
        ]
        for name in order
    ]
    updates = [f"{rung.updates:,} updates" for rung in ladder.rungs]
    return text_table(["", "settings", *updates], lines, left=2)


def _cell(rung: SearchRung, name: str, primary: str) -> str:
    if name not in rung.values:
        return ""
    value = written(primary, rung.values[name], decimals=2)
    return f"{value}, kept" if name in rung.kept else value
