import gzip

import pytest

from model.errors import InputError
from tasks.linking.documents import Mention
from tasks.linking.pubtator import pubtator_documents
from tests.tasks.linking.invented import pubtator, write_documents

TITLE, ABSTRACT = "7|t|Copper fever.", "7|a|It is hot."


def read(folder, *lines):
    file = folder / "documents.txt"
    file.write_text("\n".join(lines) + "\n")
    return list(pubtator_documents(file))


def test_documents_have_their_text_and_mentions(tmp_path):
    file = write_documents(tmp_path)
    first, second, third = pubtator_documents(file)
    assert [each.id for each in (first, second, third)] == ["101", "102", "103"]
    assert first.text.startswith("A gene of glass bone syndrome (GBS). GBS is rare.")
    assert first.mentions[0] == Mention(
        10, "glass bone syndrome", "SpecificDisease", ("D000002",), place=f"{file}, line 3"
    )
    assert first.mentions[1].ids == ("100200",)  # without OMIM:
    assert first.mentions[4].ids == ("D000004",)  # without MESH:
    assert second.mentions[0].ids == ("D000006", "D000007")  # A|B
    assert third.mentions[1].ids == ("D000005", "D000004")  # A+B
    for document in (first, second, third):
        for mention in document.mentions:
            assert document.text[mention.start :].startswith(mention.text)


def test_a_packed_file_with_windows_line_ends_is_the_same(tmp_path):
    there = list(pubtator_documents(write_documents(tmp_path)))
    packed = tmp_path / "documents.txt.gz"
    text = (tmp_path / "documents.txt").read_text().replace("\n", "\r\n")
    packed.write_bytes(gzip.compress(text.encode()))
    assert [each.text for each in pubtator_documents(packed)] == [each.text for each in there]


def test_documents_need_no_blank_line_between_them(tmp_path):
    text = pubtator(("1", "A.", "B.", ()), ("2", "C.", "D.", ()))
    documents = read(tmp_path, *text.replace("\n\n", "\n").splitlines())
    assert [each.text for each in documents] == ["A. B.", "C. D."]


def test_relations_and_named_parts_as_in_bc5cdr(tmp_path):
    """Of a composite mention BC5CDR names the parts in a seventh cell; -1 is no concept."""
    (document,) = read(
        tmp_path,
        TITLE,
        ABSTRACT,
        "7\t0\t12\tCopper fever\tDisease\tD1|D2\tCopper|fever",
        "7\t20\t23\thot\tDisease\t-1",
        "7\tCID\tD1\tD2",
    )
    assert [each.ids for each in document.mentions] == [("D1", "D2"), ()]


def test_spaces_around_a_mention_do_not_matter(tmp_path):
    """A mention of NCBI disease's training file ends in two spaces, of which the text has none."""
    (document,) = read(tmp_path, TITLE, ABSTRACT, "7\t0\t12\tCopper fever  \tDisease\tD1")
    assert document.mentions[0].text == "Copper fever"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("7\t1\t13\tCopper fever\tDisease\tD1",), "line 3: characters 1 to 13 are 'opper fever.'"),
        (("7\t0\t99\tCopper fever\tDisease\tD1",), "line 3: .* 0 to 99 of a text of 24"),
        (("7\t0\t12\tCopper fever",), ""),  # four cells are a relation
        (("7\t0\t12\tCopper fever\tDisease",), "line 3, is torn: it has 5 cells"),
        (("7\t0\tx\tCopper fever\tDisease\tD1",), "line 3: '0' and 'x' should be the numbers"),
        (("8\t0\t12\tCopper fever\tDisease\tD1",), "line 3: '8' is not the id .*, '7'"),
        (("8|a|Another.",), "line 3: an abstract of '8' should follow"),
        (("torn",), "line 3: 'torn' is not the id of the text before it"),
    ],
)
def test_bad_lines_are_named(tmp_path, lines, message):
    if not message:
        assert read(tmp_path, TITLE, ABSTRACT, *lines)[0].mentions == ()
        return
    with pytest.raises(InputError, match=message):
        read(tmp_path, TITLE, ABSTRACT, *lines)


def test_a_mention_before_any_text_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"line 1: '7' .*a document begins with ID\|t\|TITLE"):
        read(tmp_path, "7\t0\t12\tCopper fever\tDisease\tD1")
