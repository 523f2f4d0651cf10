import json
from itertools import product
from pathlib import Path

import pytest
from tokenizers import Regex, Tokenizer
from tokenizers.models import BPE, WordPiece
from tokenizers.normalizers import NFC, NFKC, BertNormalizer, Lowercase, Replace, Sequence
from tokenizers.pre_tokenizers import Metaspace
from tokenizers.processors import TemplateProcessing

from data.tokenizer import load_vocabulary, save_vocabulary
from data.vocabulary import SPECIAL_TOKENS, Vocabulary
from data.wordpiece import Casing, bert_vocabulary
from model.errors import InputError
from tests.disk import full_disk
from tests.hub_server import hub

# The vocabulary and sentence of the tests of Google's BERT.
PIECES = [*SPECIAL_TOKENS, "want", "##want", "##ed", "wa", "un", "runn", "##ing", ","]


def tokens(vocabulary: Vocabulary, text: str) -> list[str]:
    return vocabulary.tokenizer.encode(text, add_special_tokens=False).tokens


def write_vocabulary(folder: Path, pieces: list[str]) -> Path:
    path = folder / "vocab.txt"
    path.write_text("".join(piece + "\n" for piece in pieces), encoding="utf-8")
    return path


def vocabulary_of(*pieces: str, lowercase: bool = False) -> Vocabulary:
    ids = {piece: index for index, piece in enumerate([*SPECIAL_TOKENS, *pieces])}
    return bert_vocabulary(ids, Casing(lowercase=lowercase))


@pytest.mark.parametrize(
    ("pieces", "config", "found"),
    [
        (["the"], None, ["the"]),
        (["The", "the"], None, ["The"]),
        (["##Man", "the"], None, ["[UNK]"]),
        (["The", "the"], {"do_lower_case": True}, ["the"]),
        (["the"], {"do_lower_case": False}, ["[UNK]"]),
    ],
)
def test_casing_is_the_config_beside_a_vocabulary_or_what_its_pieces_show(
    tmp_path, pieces, config, found
):
    path = write_vocabulary(tmp_path, [*SPECIAL_TOKENS, *pieces])
    if config is not None:
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    assert tokens(load_vocabulary(path), "The") == found
    assert tokens(load_vocabulary(tmp_path), "The") == found


CASINGS = [Casing(*values) for values in product([True, False], [None, True, False], [True, False])]


@pytest.mark.parametrize("casing", CASINGS)
def test_saved_and_loaded_is_the_same(tmp_path, casing):
    ids = {piece: index for index, piece in enumerate([*SPECIAL_TOKENS, "The", "caf", "##é"])}
    folder = tmp_path / "new" / "folder"
    save_vocabulary(bert_vocabulary(ids, casing), folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        *("tokenizer.json", "tokenizer_config.json", "vocab.txt")
    ]
    for place in (folder, folder / "tokenizer.json", folder / "vocab.txt"):
        assert load_vocabulary(place).fingerprint == bert_vocabulary(ids, casing).fingerprint


def test_a_full_disk_is_reported_and_leaves_no_half_of_a_file(tmp_path):
    ids = {piece: index for index, piece in enumerate([*SPECIAL_TOKENS, "x" * 1000])}
    refused = pytest.raises(InputError, match=r"cannot write .*vocab\.txt: File too large")
    with refused, full_disk(100):
        save_vocabulary(bert_vocabulary(ids, Casing()), tmp_path)
    assert not any(tmp_path.iterdir())


def test_truncation_and_padding_in_a_file_are_left_out(tmp_path):
    tokenizer = vocabulary_of("a").tokenizer
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=8)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert tokens(load_vocabulary(tmp_path), "a a a a a a") == ["a"] * 6


def bert_tokenizer(normalizer=None) -> Tokenizer:
    """The tokenizer of "ﬁ", "fi", "the" and "The", lowercased; with another normalizer if given."""
    tokenizer = vocabulary_of("ﬁ", "fi", "the", "The", lowercase=True).tokenizer
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    return tokenizer


@pytest.mark.parametrize(
    ("config", "found"),
    [
        (None, "The"),  # the file itself says it
        ({}, "the"),  # transformers' default
        ({"do_lower_case": False}, "The"),
        ({"do_lower_case": True}, "the"),
        ({"tokenizer_class": "PreTrainedTokenizerFast", "do_lower_case": True}, "The"),
    ],
)
def test_the_config_goes_before_the_tokenizer_unless_it_is_run_as_it_stands(
    tmp_path, config, found
):
    bert_tokenizer(BertNormalizer(lowercase=False)).save(str(tmp_path / "tokenizer.json"))
    if config is not None:
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    assert tokens(load_vocabulary(tmp_path), "The") == [found]


OTHER_NORMALIZERS = [
    Sequence([NFKC(), BertNormalizer()]),
    Sequence([BertNormalizer(), Replace("ﬁ", "fi")]),
    BertNormalizer(clean_text=False),
    Sequence([NFKC(), Lowercase()]),
]


@pytest.mark.parametrize("normalizer", OTHER_NORMALIZERS)
def test_what_transformers_would_leave_out_is_run_as_it_stands_or_refused(tmp_path, normalizer):
    file = tmp_path / "tokenizer.json"
    bert_tokenizer(normalizer).save(str(file))
    own = Tokenizer.from_file(str(file))
    for config in (None, {"tokenizer_class": "PreTrainedTokenizerFast"}):
        if config is not None:
            (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
        read = load_vocabulary(tmp_path)
        for text in ("The ﬁ", "a\u200bthe"):
            assert read.tokenizer.encode(text).ids == own.encode(text).ids
        save_vocabulary(read, tmp_path / "saved")
        assert load_vocabulary(tmp_path / "saved").fingerprint == read.fingerprint
    for name in ("BertTokenizer", "DistilBertTokenizerFast", None):
        (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": name}))
        with pytest.raises(InputError, match='write "tokenizer_class": "PreTrainedTokenizerFast"'):
            load_vocabulary(tmp_path)


def test_what_this_project_wrote_before_is_read_as_berts(tmp_path):
    former = Sequence(
        [
            BertNormalizer(strip_accents=False, lowercase=False),
            NFC(),
            Replace(Regex(r"(?<=\p{L}\p{M}?)Σ(?!\p{M}*\p{L})"), "ς"),
            BertNormalizer(clean_text=False, handle_chinese_chars=False),
        ]
    )
    bert_tokenizer(former).save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    expected = vocabulary_of("ﬁ", "fi", "the", "The", lowercase=True)
    assert load_vocabulary(tmp_path).fingerprint == expected.fingerprint


def test_marks_blank_lines_and_white_space_in_a_vocabulary(tmp_path):
    lines = [*SPECIAL_TOKENS, "", "the ", "", "a"]
    (tmp_path / "vocab.txt").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    vocabulary = load_vocabulary(tmp_path)
    assert vocabulary.pieces == (*SPECIAL_TOKENS, "", "the", "", "a")
    assert vocabulary.tokenizer.encode("a the", add_special_tokens=False).ids == [8, 6]
    save_vocabulary(vocabulary, tmp_path / "saved")
    assert load_vocabulary(tmp_path / "saved").fingerprint == vocabulary.fingerprint


# Bad input


@pytest.mark.parametrize("name", ["tokenizer_config.json", "config.json"])
@pytest.mark.parametrize("class_name", ["BertJapaneseTokenizer", "RobertaTokenizerFast"])
def test_the_class_of_another_tokenizer(tmp_path, name, class_name):
    write_vocabulary(tmp_path, PIECES)
    (tmp_path / name).write_text(json.dumps({"tokenizer_class": class_name}))
    with pytest.raises(InputError, match=rf"{name}: .*{class_name.removesuffix('Fast')}") as error:
        load_vocabulary(tmp_path)
    assert "BertTokenizer, DistilBertTokenizer" in str(error.value)


def test_a_class_that_needs_a_tokenizer_json(tmp_path):
    write_vocabulary(tmp_path, PIECES)
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "TokenizersBackend"}')
    with pytest.raises(InputError, match=r"vocab\.txt: .* needs a tokenizer\.json"):
        load_vocabulary(tmp_path)


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("pre_tokenizer", Metaspace(), "does not split text at white space"),
        ("pre_tokenizer", None, "does not split text at white space"),
        ("post_processor", TemplateProcessing("$A", "$A $B", []), r"does not put \[CLS\]"),
        ("model", WordPiece(dict(zip(PIECES, range(20))), unk_token="un"), "no WordPiece model"),  # noqa: B905
    ],
)
def test_a_tokenizer_that_does_not_do_what_berts_does(tmp_path, attribute, value, message):
    tokenizer = bert_tokenizer(NFKC())
    setattr(tokenizer, attribute, value)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(InputError, match=message):
        load_vocabulary(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("vocab.txt", b"", r"no \[PAD\] and no \[UNK\]"),
        ("vocab.txt", b"[PAD]\n[UNK]\n[CLS]\n[SEP]\nthe\n", r"no \[MASK\]"),
        ("vocab.txt", b"\x93NUMPY\xff\xfe", "UTF-8"),
        ("vocab.txt", "\n".join([*PIECES, "un"]).encode(), "'un' is listed 2 times"),
        ("tokenizer.json", b"{", "not a tokenizer.json"),
        ("tokenizer.json", b"[" * 200_000, "not a tokenizer.json"),
        ("tokenizer.json", Tokenizer(BPE()).to_str().encode(), r"no \[PAD\]"),
    ],
)
def test_a_file_that_is_no_vocabulary(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        load_vocabulary(tmp_path)
    assert str(tmp_path / name) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_tokenizer_that_is_not_berts(tmp_path):
    pieces = {piece: index for index, piece in enumerate(PIECES)}
    Tokenizer(BPE(pieces, [])).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(InputError, match="WordPiece"):
        load_vocabulary(tmp_path)


def test_a_broken_config_beside_a_vocabulary(tmp_path):
    path = write_vocabulary(tmp_path, PIECES)
    for content in ("{", "[" * 200_000):
        (tmp_path / "tokenizer_config.json").write_text(content)
        with pytest.raises(InputError, match=r"tokenizer_config\.json cannot be read as JSON"):
            load_vocabulary(path)


def test_a_folder_without_a_tokenizer(tmp_path):
    with pytest.raises(InputError, match=r"neither a tokenizer\.json nor a vocab\.txt"):
        load_vocabulary(tmp_path)


@pytest.mark.parametrize("name", ["./nothing/here", "/nothing/vocab.txt", "two words"])
def test_a_name_that_is_neither_a_path_nor_on_the_hub(name):
    with pytest.raises(InputError, match="no such file or folder"):
        load_vocabulary(name)


# The hub


def test_no_network_for_a_hub_name():
    with pytest.raises(InputError, match=r"owner/name: there is no such file .* network\?"):
        load_vocabulary("owner/name")


def test_a_hub_name_is_downloaded(tmp_path, monkeypatch):
    files = {"vocab.txt": "\n".join(PIECES).encode(), "model.safetensors": b"not read"}
    repositories = {("owner/name", "main"): files, ("owner/name", "v1"): {}}
    with hub(repositories, tmp_path, monkeypatch):
        assert list(load_vocabulary("owner/name").pieces) == PIECES
        assert [path.name for path in tmp_path.glob("**/snapshots/*/*")] == ["vocab.txt"]
        with pytest.raises(InputError, match=r"neither a tokenizer\.json nor a vocab\.txt"):
            load_vocabulary("owner/name@v1")
        for name in ("owner/name@v2", "owner/other"):
            with pytest.raises(InputError, match=f"{name}: .* no such model"):
                load_vocabulary(name)
    # Now it is in the cache, and the network may go.
    assert list(load_vocabulary("owner/name").pieces) == PIECES
