import pytest

from model.errors import InputError
from tasks.linking.dictionary import Concept, plain_name, read_dictionary
from tasks.linking.documents import Mention
from tests.tasks.linking.invented import write_dictionary


def keys(dictionary, name):
    return dictionary.keys[list(dictionary.names).index(name)]


def test_ids_and_names_are_parted_by_the_empty_field(tmp_path):
    dictionary = read_dictionary(write_dictionary(tmp_path))
    assert len(dictionary.concepts) == 10
    assert dictionary.concepts[1] == Concept(
        "D000002", "Glass Bone Syndrome", frozenset({"D000002", "100200"})
    )
    assert dictionary.concepts[8].keys == {"C000009", "100900", "200900"}
    assert dictionary.concepts[3].keys == {"D000004", "300400"}  # with and without OMIM:
    assert "fever copper" in dictionary.names
    assert len(dictionary.names) == 19  # one of 20 is there twice


def test_a_name_of_two_concepts_has_the_ids_of_both(tmp_path):
    dictionary = read_dictionary(write_dictionary(tmp_path))
    assert dictionary.names["brazier disease"] == (0, 7)
    assert keys(dictionary, "brazier disease") == {"D000001", "C000008"}


def test_lines_of_one_id_are_one_concept(tmp_path):
    """BioSyn's dictionaries have a line for each name."""
    file = tmp_path / "d.txt"
    file.write_text("MESH:D1|5||one\n\nMESH:D1|OMIM:6||uno\nD2||two\n")
    dictionary = read_dictionary(file)
    first = Concept("MESH:D1", "one", frozenset({"D1", "5", "6"}))
    assert dictionary.concepts == (first, Concept("D2", "two", frozenset({"D2"})))
    assert dictionary.names == {"one": (0,), "uno": (0,), "two": (1,)}


def test_an_id_means_its_own_concept_before_those_that_have_it_as_another(tmp_path):
    file = tmp_path / "d.txt"
    file.write_text("D1|9||one\nD2|9|8||two\n9||nine\n")
    dictionary = read_dictionary(file)
    assert dictionary.by_id == {"D1": (0,), "D2": (1,), "9": (2,), "8": (1,)}
    assert dictionary.names_of(["8", "9", "none"]) == [1, 2]


def test_mentions_become_names(tmp_path):
    dictionary = read_dictionary(write_dictionary(tmp_path))
    mentions = [
        ("Dusk stumbling", Mention(0, "Dusk stumbling", ids=("D000005",))),
        ("Night ataxia", Mention(0, "Night ataxia", ids=("D000005",))),  # known already
        ("breast/ovarian cancer", Mention(0, "", ids=("D000006", "D000007"))),
        ("sea legs", Mention(0, "sea legs", ids=("D999999",))),  # outside the dictionary
        ("--", Mention(0, "--", ids=("D000001",))),
    ]
    more = dictionary.with_mentions(mentions)
    assert keys(more, "dusk stumbling") == {"D000005"}
    assert keys(more, "breast ovarian cancer") == {"D000006", "D000007"}
    assert keys(more, "sea legs") == {"D999999"}
    assert more.concepts[-1] == Concept("D999999", "sea legs", frozenset({"D999999"}))
    assert list(more.names)[-1] == "sea legs" and len(more.names) == len(dictionary.names) + 3
    assert "dusk stumbling" not in dictionary.names


@pytest.mark.parametrize("line", ["D2|two", "||two", "D2||", "D2|", "D2"])
def test_a_torn_line_is_named(tmp_path, line):
    file = tmp_path / "d.txt"
    file.write_text(f"D1||one\n{line}\n")
    with pytest.raises(InputError, match="line 2, is torn or no line of a dictionary"):
        read_dictionary(file)


def test_names_of_punctuation_are_counted(tmp_path):
    file = tmp_path / "d.txt"
    file.write_text("D1||one|--|(?)\n")
    dictionary = read_dictionary(file)
    assert list(dictionary.names) == ["one"]
    assert "2 names have no letter or digit" in dictionary.notes[0]
    file.write_text("D1||--\n")
    with pytest.raises(InputError, match="has no names"):
        read_dictionary(file)


def test_plain_names():
    assert plain_name(" Fever,  Copper-Fever (II)") == "fever copper fever ii"
    assert plain_name("…--") == ""
