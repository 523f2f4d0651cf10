"""The ladder against counts by hand, and a model's choices against its vectors."""

import json

import numpy as np
import pytest

from data.tokenizer import save_vocabulary
from eval.link import Linking, link_documents
from model.distilbert import DistilBert
from model.pretrained import load, save
from model.tasks import Embedder
from tasks.embeddings.embed import embed
from tasks.linking.dictionary import read_dictionary
from tests.small import ARCHITECTURES, build
from tests.spelling import speller
from tests.tasks.linking.invented import ABSTRACTS, write_dictionary, write_documents


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


def test_models_rank_names_by_their_vectors(tmp_path, capsys):
    """The first link of a mention has the nearest vector of all names."""
    vocabulary = speller(lowercase=True)
    shape = ARCHITECTURES["distilbert"].replace(vocab_size=vocabulary.size)
    folders = [tmp_path / name for name in ("one", "two")]
    for seed, folder in enumerate(folders):
        save(build(DistilBert, shape, seed=seed), folder)
        save_vocabulary(vocabulary, folder)
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
    vectors = embed(model, vocabulary, [*names, "dusk stumbling"])
    nearest = names[int(np.argmax(vectors[:-1] @ vectors[-1]))]
    first = json.loads((tmp_path / "out/links.jsonl").read_text().splitlines()[0])
    assert first["links"][of_all]["name"] == nearest
