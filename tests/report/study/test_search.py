"""The section of a report on how its students were chosen."""

from report.study.search import Ladder, SearchRung, VariantSearch, search_section

CANDIDATES = Ladder(
    {"T 2": {}, "T 4": {"loss.ce.temperature": 4}, "T 8": {"loss.ce.temperature": 8}},
    (
        SearchRung(50, 55, {"T 2": 0.2, "T 4": 0.25, "T 8": 0.22}, ("T 4", "T 8")),
        SearchRung(100, 54, {"T 4": 0.27, "T 8": 0.26}, ("T 4",)),
    ),
)
RATES = Ladder(
    {"T 2": {}, "T 2 at 0.002": {"optimizer.learning_rate": 0.002}},
    (SearchRung(50, 55, {"T 2": 0.2, "T 2 at 0.002": 0.21}, ("T 2 at 0.002",)),),
)


def test_it_tells_what_was_searched_and_what_each_rung_kept():
    search = VariantSearch("T 2", CANDIDATES, RATES, "a" * 64)
    parts = search_section(search, "masked_lm_accuracy", "b" * 64)
    text = "\n".join(parts)
    assert "3 candidates, of which “T 4” is left" in text
    assert (
        "rates of “T 2”, of which “T 2 at 0.002” is left: 350 updates of a student for either"
        in text
    )
    assert "(seeds 55 and 54, which are used for nothing else)" in text
    assert "“selection” (sequences aaaaaaaaaaaa)" in text
    assert "“reporting” (sequences bbbbbbbbbbbb)" in text
    candidates, rates = (part.split("\n") for part in parts if part.startswith("|"))
    assert candidates[0] == "|  | settings | 50 updates | 100 updates |"
    assert candidates[2:] == [
        "| T 4 | loss.ce.temperature = 4 | 25.00 %, kept | 27.00 %, kept |",
        "| T 8 | loss.ce.temperature = 8 | 22.00 %, kept | 26.00 % |",
        "| T 2 |  | 20.00 % |  |",
    ]
    assert rates[2] == "| T 2 at 0.002 | optimizer.learning\\_rate = 0.002 | 21.00 %, kept |"
