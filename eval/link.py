"""Accuracy of linking mentions to the concepts of a dictionary, from exact names to models.

    python -m eval.link --dictionary medic_06Jul2012.txt --test NCBItestset_corpus.txt
    python -m eval.link --dictionary medic.txt --test test.txt --train train.txt develop.txt
    python -m eval.link TEACHER STUDENT --dictionary medic.txt --test test.txt
    python -m eval.link MODEL --dictionary medic.txt --test develop.txt --train train.txt \
        --write-pairs pairs.jsonl
    python -m eval.link --dictionary medic.txt --test CDR_TestSet.PubTator.txt --types Disease
    python -m eval.link --dictionary wikidata.txt --test aida-conll-test.benchmark.jsonl

Documents are in PubTator's format (NCBI disease, BC5CDR) or ELEVANT's jsonl (AIDA-CoNLL), the
dictionary in MEDIC's: ID|OTHER ID||NAME|OTHER NAME. What a linker may know matters more than the
linker, so it is printed beside every number: whether mentions are looked for with the long forms
of their abbreviations, and whether training mentions are names of the dictionary, too.

With --write-pairs the training mentions become pairs from which the model can learn, with names
that it now takes for right and are wrong: python -m train.finetune embeddings --model MODEL
--data.train pairs.jsonl. The model that this leaves can go through the same two commands again.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from rich.console import Console

from data.storage.atomic import check_writable, make_folder, write_text
from data.storage.mirror import on_disk
from data.storage.provenance import provenance, write_json_atomic
from eval.asking.linked import vectors_of
from model.errors import InputError
from model.ranges import Prompt, check_settings
from model.terminal import say
from report.naming import difference, with_interval
from report.tables import terminal_table
from tasks.linking.dictionary import Dictionary, read_dictionary
from tasks.linking.documents import Document
from tasks.linking.ladder import Rung, Sought, half_width, ladder, sought
from tasks.linking.linker import Embed, remembered
from tasks.linking.open import read_documents, remarks
from tasks.linking.pairs import training_pairs

TOPS = (1, 5)
"""Accuracy is told of the first name, and of any of the first five."""


@dataclass(frozen=True, kw_only=True)
class Linking:
    """Link the mentions in documents, and count the right ones."""

    models: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="MODEL ...")
    ] = ()
    """Folders or hub names of encoders: their vectors rank the 20 names of nearest spelling.
    All but the first are also compared with the first, mention by mention."""
    all_names: bool = False
    """Let the models also rank all names: each of them is read, which may take minutes."""
    dictionary: Path
    """The concepts, a line each: ID|OTHER ID||NAME|OTHER NAME; plain or packed (.gz)."""
    test: tuple[Path, ...]
    """The documents whose mentions are linked."""
    train: tuple[Path, ...] = ()
    """Documents whose mentions become names of the dictionary in the last rows."""
    types: tuple[str, ...] = ()
    """The types of the mentions, such as Disease in BC5CDR; by default all."""
    prompt: Prompt | None = None
    """The text before each name, such as "query: ", for models that were trained with one."""
    write_pairs: Path | None = None
    """A file (jsonl) for the pairs of the training mentions, from which the model can learn. For
    them it reads all names."""
    output: Path | None = None
    """A folder for the accuracies (results.json) and every link (links.jsonl)."""


def link_documents(config: Linking) -> list[dict[str, Any]]:
    """Links the mentions in all ways, and prints a table; returns its rows.

    Raises:
        InputError: a file is not what it should be, settings do not go together, or the disk
            refuses.
    """
    check_settings(config)
    if config.write_pairs is not None:
        if len(config.models) != 1 or not config.train:
            raise InputError(
                "--write-pairs is for the model that is to learn and for the mentions to learn "
                "from: give one MODEL, before all flags, and --train"
            )
        if config.write_pairs.suffix != ".jsonl":
            raise InputError(
                f"--write-pairs {config.write_pairs}: the name should end in .jsonl, by which "
                "train.finetune knows what is in the file"
            )
        check_writable(config.write_pairs, [config.dictionary, *config.test, *config.train])
    dictionary = read_dictionary(config.dictionary)
    test, train = (
        read_documents(files, config.types) if files else []
        for files in (config.test, config.train)
    )
    say(*dictionary.notes, *remarks(test, dictionary, train))
    asked = sought(test, expanded=False)
    names = [f"model {number}" for number, _ in enumerate(config.models, 1)]
    if len(names) == 1:
        names = ["model"]
    models = {
        name: remembered(vectors_of(path, config.prompt))
        for name, path in zip(names, config.models, strict=True)
    }
    say(*(f"{name}: {path}" for name, path in zip(names, config.models, strict=True)))
    rungs = list(ladder(test, dictionary, train, models, all_names=config.all_names))
    first = {rung.way: rung for rung in rungs if rung.model == names[0]} if names[1:] else {}
    rows = [_row(rung, asked, first.get(rung.way)) for rung in rungs]
    header = ["", "abbreviations", "training mentions", *(f"accuracy@{top}" for top in TOPS)]
    header += [f"@1 minus {names[0]}"] if first else []
    table = terminal_table("", header, [_cells(row) for row in rows])
    Console(highlight=False, markup=False).print(table)
    say(
        "abbreviations: mentions are looked for with the long forms that their documents define; "
        "training mentions: they are names of the dictionary",
        "± is half the 95 % interval, if documents are drawn independently of each other",
    )
    if config.output is not None:
        folder = make_folder(on_disk(config.output, "an evaluation's folder"))
        write_text(folder / "links.jsonl", "".join(_links(asked, test, rungs)))
        record = {"settings": config, "rows": rows, "provenance": provenance()}
        write_json_atomic(folder / "results.json", record)
        say(f"every link: {folder}")
    if config.write_pairs is not None:
        (embed,) = models.values()
        _write_pairs(config.write_pairs, dictionary, sought(train, expanded=True), embed)
    return rows


def _row(rung: Rung, asked: Sequence[Sought], first: Rung | None) -> dict[str, Any]:
    """The accuracies of a rung, and what they are above those of the same rung of the first model.

    Its interval is of the differences, mention by mention: two models miss much the same.
    """
    row: dict[str, Any] = {
        "ranking": rung.ranking,
        "abbreviations": rung.abbreviations,
        "training_mentions": rung.training_mentions,
        "mentions": len(asked),
    }
    documents = np.array([each.document for each in asked])
    for top in TOPS:
        hits = rung.hits(top).astype(np.float64)
        row[f"accuracy@{top}"] = float(hits.mean())
        row[f"half_width@{top}"] = half_width(hits, documents)
    if first is not None and first is not rung:
        apart = rung.hits(1).astype(np.float64) - first.hits(1)
        row["difference@1"] = float(apart.mean())
        row["difference_half_width@1"] = half_width(apart, documents)
    return row


def _cells(row: Mapping[str, Any]) -> list[str]:
    protocol = ("yes" if row[name] else "no" for name in ("abbreviations", "training_mentions"))
    accuracies = (
        with_interval("accuracy", row[f"accuracy@{top}"], row[f"half_width@{top}"]) for top in TOPS
    )
    cells = [row["ranking"], *protocol, *accuracies]
    if "difference@1" in row:
        found = row["difference@1"], row["difference_half_width@1"]
        cells.append(difference("accuracy", *found, unit=False))
    return cells


def _write_pairs(
    file: Path, dictionary: Dictionary, mentions: Sequence[Sought], embed: Embed
) -> None:
    """Writes what `train.finetune embeddings` reads: query, document, negatives and key."""
    pairs = training_pairs(dictionary, mentions, embed)
    if not pairs:
        raise InputError("--write-pairs: the dictionary has no right name of any training mention")
    names = ("query", "document", "negatives", "key")
    lines = [
        json.dumps({name: getattr(pair, name) for name in names}, ensure_ascii=False)
        for pair in pairs
    ]
    write_text(file, "\n".join(lines) + "\n")
    say(f"{len(lines):,} pairs to learn from: {file}")


def _links(
    asked: Sequence[Sought], documents: Sequence[Document], rungs: Sequence[Rung]
) -> Iterator[str]:
    """A line for each mention: where it is, what it means, and what each way takes it for."""
    for number, each in enumerate(asked):
        line = {
            "document": documents[each.document].id,
            "start": each.mention.start,
            "text": each.mention.text,
            "gold": each.mention.ids,
            "links": [
                {
                    "ranking": rung.ranking,
                    "abbreviations": rung.abbreviations,
                    "training_mentions": rung.training_mentions,
                    "name": rung.best[number],
                    "right": bool(rung.first_right[number] == 0),
                }
                for rung in rungs
            ],
        }
        yield json.dumps(line, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    from train.command.cli import main, parse

    main(lambda: link_documents(parse(Linking, prog="python -m eval.link", description=__doc__)))
