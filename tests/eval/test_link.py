"""The ladder against counts by hand, and a model's choices against its vectors."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.tokenizer import save_vocabulary
from eval.link import Linking, link_documents
from model.distilbert import DistilBert
from model.errors import InputError
from model.pretrained import load, save
from model.tasks import Embedder
from tasks.embeddings.embed import embed
from tasks.linking.dictionary import read_dictionary
from tasks.linking.ladder import sought
from tasks.linking.open import read_documents
from tasks.linking.pairs import training_pairs
from tasks.open import TaskDataConfig, open_task
from tests.small import ARCHITECTURES, build
from tests.spelling import speller
from tests.tasks.linking.invented import ABSTRACTS, DICTIONARY, write_dictionary, write_documents

VOCABULARY = speller(lowercase=True)


def test_the_ladder_is_printed_and_written(tmp_path, capsys):
    documents = write_documents(tmp_path)
    config = Linking(
        dictionary=write_dictionary(tmp_path),
        test=(documents,),
        train=(documents,),
        output=tmp_path / "out",
    )
    rows = link_documents(config)
    protocols = [(r["ranking"], r["abbreviations"], r["training_mentions"]) for r in rows]
    assert protocols == [
        ("exact name", False, False),
        ("spelling", False, False),
        ("exact name", True, False),
        ("spelling", True, False),
        ("exact name", True, True),
        ("spelling", True, True),
    ]
    assert [round(9 * row["accuracy@1"]) for row in rows] == [4, 8, 6, 8, 9, 9]
    printed = capsys.readouterr().out
    assert "among those of training, too, and so no test: 3 (101, 102, 103)" in printed
    lines = [line.split() for line in printed.splitlines() if "exact name" in line]
    assert lines[1] == ["exact", "name", "yes", "no", *["66.7", "%"] * 2]

    written = json.loads((tmp_path / "out/results.json").read_text())
    assert written["rows"] == rows and written["settings"]["test"] == [str(documents)]
    links = [json.loads(line) for line in (tmp_path / "out/links.jsonl").read_text().splitlines()]
    assert links[0]["document"] == "101" and links[0]["gold"] == ["D000002"]
    for number, row in enumerate(rows):
        right = [link["links"][number]["right"] for link in links]
        assert sum(right) / 9 == pytest.approx(row["accuracy@1"])


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two models with random weights."""
    home, shape = tmp_path_factory.mktemp("models"), ARCHITECTURES["distilbert"]
    folders = [home / name for name in ("one", "two")]
    for seed, folder in enumerate(folders):
        save(build(DistilBert, shape.replace(vocab_size=VOCABULARY.size), seed=seed), folder)
        save_vocabulary(VOCABULARY, folder)
    return folders


def test_models_rank_names_by_their_vectors(tmp_path, folders, capsys):
    """The first link of a mention has the nearest vector of all names."""
    config = Linking(
        models=tuple(map(str, folders)),
        dictionary=write_dictionary(tmp_path),
        test=(write_documents(tmp_path, ABSTRACTS[2]),),
        all_names=True,
        output=tmp_path / "out",
    )
    rows = [row["ranking"] for row in link_documents(config)]
    assert f"model 2: {folders[1]}" in capsys.readouterr().out
    of_all = rows.index("model 2, of all names")
    names = list(read_dictionary(config.dictionary).names)
    model = load(str(folders[1]), Embedder)
    vectors = embed(model, VOCABULARY, [*names, "dusk stumbling"])
    nearest = names[int(np.argmax(vectors[:-1] @ vectors[-1]))]
    first = json.loads((tmp_path / "out/links.jsonl").read_text().splitlines()[0])
    assert first["links"][of_all]["name"] == nearest


def test_two_models_are_compared_mention_by_mention(tmp_path, folders, capsys, monkeypatch):
    """One mention a document: the interval is the t interval of the differences."""
    from scipy import stats

    monkeypatch.setenv("COLUMNS", "160")  # so that no cell is broken
    names = [(name, line[:7]) for line in DICTIONARY.splitlines() for name in line.split("|")[2:]]
    asked = [(name[2:], id) for name, id in names if name]  # their first letters are missing
    abstracts = [
        (str(number), name, "It is.", ((name, "", id),)) for number, (name, id) in enumerate(asked)
    ]
    config = Linking(
        models=tuple(map(str, folders)),
        dictionary=write_dictionary(tmp_path),
        test=(write_documents(tmp_path, *abstracts),),
        output=tmp_path / "out",
    )
    rows = {row["ranking"]: row for row in link_documents(config) if row["abbreviations"]}
    assert not any("difference@1" in row for name, row in rows.items() if "model 2" not in name)
    links = [json.loads(line) for line in (tmp_path / "out/links.jsonl").read_text().splitlines()]
    right = {
        name: np.array([{x["ranking"]: x for x in link["links"]}[name]["right"] for link in links])
        for name in ("model 1", "model 2")
    }
    apart = right["model 2"].astype(float) - right["model 1"]
    row, count = rows["model 2"], len(apart)
    assert row["difference@1"] == pytest.approx(apart.mean()) and 0 < abs(apart).sum() < count
    half = stats.t.ppf(0.975, count - 1) * apart.std(ddof=1) / count**0.5
    assert row["difference_half_width@1"] == pytest.approx(half, rel=1e-9)
    printed = capsys.readouterr().out
    assert "@1 minus model 1" in printed
    assert f"{100 * apart.mean():+.2f} ± {100 * half:.2f}".replace("-", "−") in printed


def test_pairs_are_written_that_fine_tuning_reads(tmp_path, folders):
    documents, dictionary = write_documents(tmp_path), write_dictionary(tmp_path)
    config = Linking(
        models=(str(folders[0]),),
        dictionary=dictionary,
        test=(documents,),
        train=(documents,),
        write_pairs=tmp_path / "pairs.jsonl",
    )
    link_documents(config)
    model = load(str(folders[0]), Embedder)
    mentions = sought(read_documents([documents]), expanded=True)
    expected = training_pairs(
        read_dictionary(dictionary), mentions, partial(embed, model, VOCABULARY)
    )
    data = TaskDataConfig(train=tmp_path / "pairs.jsonl", dev=tmp_path / "pairs.jsonl")
    found: Any = open_task("embeddings", data).splits["train"]
    assert [(p.query, p.document, p.negatives, p.key) for p in found] == [
        (p.query, p.document, p.negatives, p.key) for p in expected
    ]
    assert {p.query for p in found} >= {"late glass bone syndrome", "breast and ovarian cancer"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train": ()}, "give one MODEL, before all flags, and --train"),
        ({"models": ()}, "give one MODEL, before all flags, and --train"),
        ({"models": ("one", "two")}, "give one MODEL, before all flags, and --train"),
        ({"write_pairs": Path("none/pairs.jsonl")}, "cannot write none/pairs.jsonl"),
        ({"write_pairs": Path("pairs.csv")}, "pairs.csv: the name should end in .jsonl"),
        ({"write_pairs": Path("p.jsonl.gz")}, "p.jsonl.gz: the name should end in .jsonl"),
    ],
)
def test_pairs_need_a_model_and_mentions(tmp_path, settings, message):
    documents, dictionary = write_documents(tmp_path), write_dictionary(tmp_path)
    given = {
        "models": ("one",),
        "train": (documents,),
        "write_pairs": tmp_path / "p.jsonl",
    } | settings
    with pytest.raises(InputError, match=message):
        link_documents(Linking(dictionary=dictionary, test=(documents,), **given))


def test_pairs_are_not_written_over_what_is_read(tmp_path):
    documents, dictionary = (
        file.rename(file.with_suffix(".jsonl"))
        for file in (write_documents(tmp_path), write_dictionary(tmp_path))
    )
    for file in (documents, dictionary):
        before = file.read_bytes()
        config = Linking(
            models=("one",),
            dictionary=dictionary,
            test=(documents,),
            train=(documents,),
            write_pairs=file,
        )
        with pytest.raises(InputError, match="it is one of the files to read"):
            link_documents(config)
        assert file.read_bytes() == before


def test_pairs_need_a_name_that_is_right(tmp_path, folders):
    strange = ("1", "Of one.", "It is.", (("one", "", "D999"),))
    documents, dictionary = write_documents(tmp_path, strange), write_dictionary(tmp_path)
    config = Linking(
        models=(str(folders[0]),),
        dictionary=dictionary,
        test=(documents,),
        train=(documents,),
        write_pairs=tmp_path / "pairs.jsonl",
    )
    with pytest.raises(InputError, match="no right name of any training mention"):
        link_documents(config)
