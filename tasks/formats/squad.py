"""Questions about a text: the JSON of SQuAD 1.1 and 2.0 (Rajpurkar et al. 2016, 2018)."""

from collections.abc import Iterator
from pathlib import Path

from data.rows import Row, read_rows
from data.storage.lines import opened
from model.errors import InputError
from model.typed import parse_json


def squad_rows(path: Path, split: str) -> Iterator[Row]:
    """A format (see `tasks.formats.rows`): a row for each question, with its `context`.

    A file with an array of questions is read as a table instead.

    Raises:
        InputError: the file is not JSON, or has another structure.
    """
    with opened(path) as stream:
        content = stream.read()
    try:
        found = parse_json(content.decode("utf-8-sig"))
    except ValueError as error:
        raise InputError(f"{path} is not JSON, or cut short: {error}") from None
    if isinstance(found, list):
        yield from read_rows(path)
        return
    try:
        for article in found["data"]:
            for paragraph in article["paragraphs"]:
                for question in paragraph["qas"]:
                    cells = {name: question[name] for name in ("id", "question")}
                    more = ("answers", "is_impossible")
                    cells |= {name: question[name] for name in more if name in question}
                    place = f"{path}, question {question['id']}"
                    yield Row(place, {**cells, "context": paragraph["context"]})
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{path} does not have SQuAD's structure, data > paragraphs > context and qas > id, "
            f"question, answers ({error!r})"
        ) from None
