"""Prose from every markup in which documentation is written."""

import argparse
import ast
import inspect

import pytest

from data.corpora.prose import is_prose, paragraphs

NUMPY = """
    Return the mean of the values over an axis of the array.

    The values are added in the order in which they lie in memory, see
    :func:`~numpy.add.reduce` for what this means to you.

    Parameters
    ----------
    a : array_like, optional
        The values that are to be averaged, which need not be
        numbers of one kind.
    axis : None or int or tuple of ints
        Axis along which the means are computed by this function.

    See Also
    --------
    numpy.median : The value that lies in the middle of the others.

    Examples
    --------
    The mean of two values is found like this:

    >>> mean([1, 2])  # the mean of the two values in a list
    the output of the call that is to be left out

    .. math:: this is the formula of the mean and not a sentence

    .. versionadded:: 1.7
       The axis may be a tuple of integers since then.

    ====== ================================================
    name   what the column of the table holds
    ====== ================================================
"""
GOOGLE = """
    Reads the file and gives what is in it to the caller.

    Args:
      path (str, optional): The place at which the file is to be found on
        the disk of this machine.
      mode: How it is opened, which is the same as for the built-in function.

    Example::

        path = "this is code and it is not to be read as a text"

    Returns:
      The whole of the file in one string of characters.
"""
REST = """
    Sends the message to all who `want <https://example.org>`_ to have it.

    :param text: what the **message** is to say to them
    :type text: str, and this is not the text of a parameter
    :returns: how many of them have got it in the end
"""
MARKDOWN = """
# The title is of no use to a reader who wants sentences

This is [the project](https://example.org) that everyone in the field has been waiting for.

```python
Whatever stands between the fences is never kept, even if it reads as a sentence.
```

- The first thing that it can do is to be read by you.
- The second thing is a bit harder to say in a
  line that is as short as this.
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            NUMPY,
            [
                "Return the mean of the values over an axis of the array.",
                "The values are added in the order in which they lie in memory, see "
                "numpy.add.reduce for what this means to you.",
                "The values that are to be averaged, which need not be numbers of one kind.",
                "Axis along which the means are computed by this function.",
                "The value that lies in the middle of the others.",
                "The mean of two values is found like this:",
                "The axis may be a tuple of integers since then.",
            ],
        ),
        (
            GOOGLE,
            [
                "Reads the file and gives what is in it to the caller.",
                "The place at which the file is to be found on the disk of this machine.",
                "How it is opened, which is the same as for the built-in function.",
                "The whole of the file in one string of characters.",
            ],
        ),
        (
            REST,
            [
                "Sends the message to all who want to have it.",
                "what the message is to say to them",
                "how many of them have got it in the end",
            ],
        ),
        (
            MARKDOWN,
            [
                "This is the project that everyone in the field has been waiting for.",
                "The first thing that it can do is to be read by you.",
                "The second thing is a bit harder to say in a line that is as short as this.",
            ],
        ),
    ],
    ids=["numpy", "google", "rest", "markdown"],
)
def test_only_the_sentences_of_a_docstring_remain(text: str, expected: list[str]):
    assert list(paragraphs(text)) == expected


def test_a_sentence_that_looks_like_a_title_or_a_field_stays_whole():
    text = "The lines of a paragraph may end\nin the middle of the sentence\nand it is kept."
    assert list(paragraphs(text)) == [text.replace("\n", " ")]
    text = "Another remark on how this works: it is\nnot to be divided where the\ncolon: is."
    assert list(paragraphs(text)) == [text.replace("\n", " ")]


def test_another_indent_is_another_paragraph():
    first = "The first of them stands at the margin of the text."
    second = "The second of them is what a line further in is about."
    for text in (f"\n{first}\n    {second}", f"\n{first}\n  {second}\n{first}"):
        assert list(paragraphs(text)) == [line.strip() for line in text.split("\n")[1:]]


@pytest.mark.parametrize(
    "paragraph",
    [
        "for i in range(10): print(i, end=' ') if i else None",
        "alpha beta gamma delta epsilon zeta eta theta",
        "The value of %(name)s is not to be used in the text.",
        "the is of",
        "0.1 0.2 0.3 the 0.4 0.5 of 0.6",
    ],
)
def test_code_lists_and_templates_are_no_prose(paragraph: str):
    assert not is_prose(paragraph)


def test_the_documentation_of_a_real_module_is_read_without_its_code():
    tree = ast.parse(inspect.getsource(argparse))
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef | ast.Module)]
    found = [p for node in nodes for p in paragraphs(ast.get_docstring(node) or "")]
    assert any(p.startswith("Action objects are used by an ArgumentParser") for p in found)
    assert len(found) > 20
    assert not any(mark in p for p in found for mark in (">>>", "parser.add_argument(", "``"))
