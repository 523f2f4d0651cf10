"""Links of marked mentions and of a tagger's entities, through `eval.predict`."""

import json

import pytest

from data.tokenizer import save_vocabulary
from eval.asking.linked import vectors_of
from eval.predict import PredictConfig, open_model, predict, run
from model.distilbert import DistilBert
from model.errors import InputError
from model.pretrained import save
from model.tasks import TokenClassification
from tasks.linking.dictionary import read_dictionary
from tasks.linking.linker import Linker
from tests.small import ARCHITECTURES, build
from tests.spelling import speller
from tests.tasks.linking.invented import write_dictionary

TEXT = "Copper fever (CF) is rare. She has [[CF]] and [[weavers palsy]]."


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """An encoder, two taggers and a dictionary."""
    folder = tmp_path_factory.mktemp("home")
    vocabulary = speller(lowercase=True)
    shape = ARCHITECTURES["distilbert"].replace(vocab_size=vocabulary.size)
    heads = {
        "encoder": (DistilBert, ("LABEL_0",)),
        "tagger": (TokenClassification, ("O", "B-x", "I-x")),
        "plain": (TokenClassification, ("NOUN", "VERB")),
    }
    for name, (kind, labels) in heads.items():
        save(build(kind, shape.replace(labels=labels)), folder / name)
        save_vocabulary(vocabulary, folder / name)
    write_dictionary(folder)
    return folder


def config(home, model, *texts, **settings):
    settings = {"link": home / "dictionary.txt", **settings}
    return PredictConfig(model=str(home / model), texts=texts, **settings)


def linker(home):
    return Linker(read_dictionary(home / "dictionary.txt"))


def test_marked_mentions_are_linked_by_the_encoder(home, capsys):
    run(config(home, "encoder", TEXT, jsonl=True, top=2))
    answer = json.loads(capsys.readouterr().out)
    text = TEXT.replace("[[", "").replace("]]", "")
    assert answer["text"] == text
    names = linker(home)
    asked = ["Copper fever", "weavers palsy"]  # the first by its long form
    sparse = names.sparse(asked, [None, None])
    ranked = names.reranked(vectors_of(str(home / "encoder")), asked, sparse, weight=1.0)
    for entity, mention, candidates in zip(
        answer["entities"], ["CF", "weavers palsy"], ranked, strict=True
    ):
        assert text[entity["start"] : entity["end"]] == entity["text"] == mention
        links = names.links(candidates, 2)
        assert [link["id"] for link in entity["links"]] == [link.concept.id for link in links]
        assert [link["as"] for link in entity["links"]] == [link.name for link in links]
        assert entity["links"][0]["score"] == pytest.approx(links[0].score, abs=1e-6)
    assert answer["entities"][0]["links"][0]["id"] == "D000001"


def test_the_entities_of_a_tagger_are_linked_by_their_spelling(home, capsys):
    text = "Copper fever is not night ataxia."
    run(config(home, "tagger", text, jsonl=True))
    answer = json.loads(capsys.readouterr().out)
    (alone,) = predict(*open_model(str(home / "tagger")), [text])
    found = [{k: v for k, v in each.items() if k != "links"} for each in answer["entities"]]
    assert found == alone["entities"] and found
    names = linker(home)
    for entity in answer["entities"]:
        (candidates,) = names.sparse([entity["text"]], [None])
        expected = [link.concept.id for link in names.links(candidates, 3)]
        assert [link["id"] for link in entity["links"]] == expected
    run(config(home, "tagger", text, jsonl=True, link_model=str(home / "encoder")))
    ranked = json.loads(capsys.readouterr().out)["entities"]
    assert [each["text"] for each in ranked] == [each["text"] for each in found]
    assert ranked != answer["entities"]


def test_links_for_people(home, capsys):
    run(config(home, "encoder", "Of [[brazier disease]]", "[[Copper fever]] too", top=1))
    first, second = capsys.readouterr().out.split("\n\n")
    assert first.splitlines() == [
        "Of brazier disease",
        "  brazier disease  [3:18]",
        "    1.00  D000001  Copper Fever, as 'brazier disease'",
    ]
    assert second.splitlines()[-1] == "    1.00  D000001  Copper Fever"


@pytest.mark.parametrize(
    ("model", "settings", "message"),
    [
        ("encoder", {"texts": ("no marks",)}, "text 1 has no mention to link"),
        ("encoder", {"pair": "x"}, "--pair means nothing to --link"),
        ("encoder", {"link_model": "x"}, "--link-model is for the entities of a tagger, and"),
        ("plain", {}, "mark no entities that could be linked"),
        ("tagger", {"link": None, "link_model": "x"}, "--link-model ranks the candidates of"),
    ],
)
def test_what_does_not_go_together_is_refused(home, model, settings, message):
    with pytest.raises(InputError, match=message):
        run(
            PredictConfig(
                **{
                    "model": str(home / model),
                    "texts": ("[[a]]",),
                    "link": home / "dictionary.txt",
                    **settings,
                }
            )
        )
