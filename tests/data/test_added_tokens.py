import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken

from data.added_tokens import read_added_tokens
from data.tokenizer import load_vocabulary, save_vocabulary
from data.vocabulary import SPECIAL_TOKENS
from data.wordpiece import Casing, bert_vocabulary
from model.errors import InputError

PIECES = [*SPECIAL_TOKENS, "a", "list", "[", "]", "e", "1", "##1"]
CONFIG, NAMES, ADDED = "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"


def folder_of(folder: Path, **files: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_text("".join(piece + "\n" for piece in PIECES))
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def pieces_of(folder: Path, text: str) -> list[str]:
    vocabulary = load_vocabulary(folder)
    ids = vocabulary.tokenizer.encode(text, add_special_tokens=False).ids
    return [vocabulary.pieces[index] for index in ids]


def entry(content: str, **flags: bool) -> dict[str, Any]:
    return {"content": content, "normalized": False, **flags}


FIRST = len(PIECES)
"""The first id behind the pieces."""


@pytest.mark.parametrize(
    "files",
    [
        {"added_tokens": {"[E1]": FIRST}},
        {"tokenizer_config": {"added_tokens_decoder": {str(FIRST): entry("[E1]")}}},
        {"tokenizer_config": {"additional_special_tokens": ["[E1]"]}},
        {"tokenizer_config": {"extra_special_tokens": {"entity_token": "[E1]"}}},
        {"special_tokens_map": {"additional_special_tokens": ["[E1]"]}},
        {"tokenizer_config": {"bos_token": entry("[E1]") | {"__type": "AddedToken"}}},
    ],
)
def test_an_added_token_is_read_from_any_file(tmp_path, files):
    assert pieces_of(folder_of(tmp_path / "without"), "[E1] list") == ["[", "e", "##1", "]", "list"]
    folder = folder_of(tmp_path / "with", **files)
    assert pieces_of(folder, "[E1] list") == ["[E1]", "list"]
    assert load_vocabulary(folder).pieces == (*PIECES, "[E1]")


def test_saved_and_loaded_an_added_token_is_the_same(tmp_path):
    ids = {piece: index for index, piece in enumerate(PIECES)}
    added = [AddedToken("[E2]", special=True), AddedToken("new york", lstrip=True), AddedToken("a")]
    vocabulary = bert_vocabulary(ids, Casing(), added)
    save_vocabulary(vocabulary, tmp_path)
    for place in (tmp_path, tmp_path / "vocab.txt", tmp_path / "tokenizer.json"):
        assert load_vocabulary(place).fingerprint == vocabulary.fingerprint


def test_the_list_in_the_config_is_the_one_that_counts(tmp_path):
    config = {"added_tokens_decoder": {"4": entry("[MASK]", lstrip=True, special=True)}}
    names = {"mask_token": entry("[MASK]"), "additional_special_tokens": ["[E1]"]}
    folder = folder_of(tmp_path, tokenizer_config=config, special_tokens_map=names)
    added = read_added_tokens(folder / "vocab.txt", config, [])
    assert [(token.content, token.lstrip) for token in added.listed] == [("[MASK]", True)]
    assert added.named == []


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"added_tokens": {"[E1]": FIRST + 1}}, r"added_tokens.json: .*\[E1\].* gives it the id"),
        (
            {
                "added_tokens": {"[E1]": FIRST},
                "tokenizer_config": {"added_tokens_decoder": {str(FIRST): entry("[E2]")}},
            },
            r"added_tokens.json: the token '\[E1\]' has the id .* has no such token",
        ),
        (
            {"tokenizer_config": {"added_tokens_decoder": {str(FIRST): entry("a")}}},
            r"tokenizer_config.json: the token 'a' .* gives it the id 5",
        ),
    ],
)
def test_ids_that_contradict_each_other(tmp_path, files, message):
    with pytest.raises(InputError, match=message):
        load_vocabulary(folder_of(tmp_path, **files))


def test_two_tokens_with_one_id(tmp_path):
    folder = folder_of(tmp_path, added_tokens={"[E1]": FIRST + 1})
    (folder / "vocab.txt").write_text("\n".join([*PIECES[:5], "", "", *PIECES[5:]]) + "\n")
    with pytest.raises(InputError, match=r"'##1' and '\[E1\]' have the same id, 13: .* blank"):
        load_vocabulary(folder)


@pytest.mark.parametrize(
    ("name", "key", "value", "message"),
    [
        (CONFIG, "tokenizer_class", 5, "should be a name"),
        (CONFIG, "do_lower_case", "false", "should be true or false"),
        (CONFIG, "strip_accents", 0, "should be true or false"),
        (CONFIG, "tokenize_chinese_chars", [], "should be true or false"),
        (CONFIG, "split_special_tokens", True, "no mask"),
        (CONFIG, "added_tokens_decoder", ["a"], "tokens by their ids"),
        (CONFIG, "added_tokens_decoder", {"first": entry("a")}, "tokens by their ids"),
        (CONFIG, "added_tokens_decoder", {"5": 5}, r"added_tokens_decoder: 5 .* should be a token"),
        (CONFIG, "added_tokens_decoder", {"5": entry("a", lstrip=1)}, "should be a token"),  # type: ignore[arg-type]
        (CONFIG, "additional_special_tokens", 5, "should be a list"),
        (CONFIG, "additional_special_tokens", [5], "should be a token"),
        (CONFIG, "extra_special_tokens", "[E1]", "should be a list"),
        (CONFIG, "extra_special_tokens", {"a_token": {}}, "should be a token"),
        (CONFIG, "mask_token", 4, "should be a token"),
        (
            CONFIG,
            "mask_token",
            "<mask>",
            r"mask_token is '<mask>', and BERT's, \[MASK\], is needed",
        ),
        (CONFIG, "pad_token", None, r"pad_token is None, and BERT's, \[PAD\], is needed"),
        (CONFIG, "bos_token", "\ud800", "half of a surrogate pair"),
        (NAMES, "cls_token", {"content": 2}, "should be a token"),
        (NAMES, "cls_token", entry("<s>"), r"BERT's, \[CLS\], is needed"),
        (NAMES, "additional_special_tokens", True, "should be a list"),
        (ADDED, "[E1]", "12", "should be a token's id"),
        (ADDED, "[E1]", True, "should be a token's id"),
    ],
)
def test_a_value_of_another_type(tmp_path, name, key, value, message):
    folder = folder_of(tmp_path, **{name.removesuffix(".json"): {key: value}})
    with pytest.raises(InputError, match=message) as error:
        load_vocabulary(folder)
    assert str(folder / name) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", [CONFIG, NAMES, ADDED])
def test_a_file_that_is_no_object(tmp_path, name):
    folder = folder_of(tmp_path)
    (folder / name).write_text("[]")
    with pytest.raises(InputError, match=f"{name} holds no JSON object"):
        load_vocabulary(folder)
