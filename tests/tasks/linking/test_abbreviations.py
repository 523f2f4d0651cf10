import pytest

from tasks.linking.abbreviations import abbreviations, expand


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("heat shock transcription factor (HSF) binds", {"HSF": "heat shock transcription factor"}),
        # The shortest stretch, which is a word short here: a limit of the method.
        ("thyroid transcription factor 1 (TTF-1)", {"TTF-1": "transcription factor 1"}),
        # Letters inside words count, the first must begin one.
        ("of adenomatous polyposis coli (APC), and", {"APC": "adenomatous polyposis coli"}),
        ("X-linked copper toxicosis (CT)", {"CT": "copper toxicosis"}),
        ("in non-insulin diabetes (NID; see below)", {"NID": "non-insulin diabetes"}),
        # The long form in brackets, where it has more than two words.
        ("MJD (Machado Joseph type disease) is", {"MJD": "Machado Joseph type disease"}),
        # No abbreviations: no letter, too long, no match, not longer, a stretch too far.
        ("as before (12)", {}),
        ("the disease (of interest here)", {}),
        ("a protein (XYZ)", {}),
        ("the gene GBS (GBS)", {}),
        ("copper is a metal of a kind that is toxic (CT)", {}),
        # The first definition counts.
        ("copper toxicosis (CT), computed tomography (CT)", {"CT": "copper toxicosis"}),
    ],
)
def test_definitions(text, found):
    assert abbreviations(text) == found


def test_words_of_a_mention_are_expanded():
    long_forms = {"CT": "copper toxicosis", "GEFS +": "generalized epilepsy"}
    assert expand("CT", long_forms) == "copper toxicosis"
    assert expand("late-onset CT (CTX)", long_forms) == "late-onset copper toxicosis (CTX)"
    assert expand("GEFS +", long_forms) == "generalized epilepsy"
    assert expand("CTs", long_forms) == "CTs"
