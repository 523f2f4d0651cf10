"""Tokenizer folders put together at random: the ids of transformers, or a refusal."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import NFD, NFKC, BertNormalizer, Lowercase, Replace, Sequence
from tokenizers.pre_tokenizers import BertPreTokenizer, Whitespace
from tokenizers.processors import TemplateProcessing

from data.tokenizer import load_vocabulary, save_vocabulary
from data.vocabulary import SPECIAL_TOKENS, Vocabulary
from model.errors import InputError

WORDS = (
    "the list café cafe naive The ﬁ fi ① 日 本 日本 foo οδος οδοσ ο δ σ ς covid new york , . [ ]"
)
LETTERS = "abcdefghijklmnopqrstuvwxyzE12"
PIECES = list(
    dict.fromkeys([*SPECIAL_TOKENS, *WORDS.split(), *LETTERS, *(f"##{c}" for c in LETTERS)])
)
TEXTS = [
    *("[E1] list", "the [e1]the[E1]x", "The café cafe\u0301 naïve NAÏVE", "ﬁ ① 12 foo bar"),
    *(
        "日本 日x",
        "ΟΔΟΣ Σ ς οδος",
        "a\u200bb \x00 c\x07\ufffd",
        "İstanbul ǅ ﬀ",
        "",
        " \t\n the\u00a0a",
    ),
    *("covidx COVID new york  new  york", "[MASK] the[MASK] x [PAD] [mask]", "a" * 101),
    "<ent> <s> </s> [CLS] [SEP] unaffable",
]
CLASSES = ["BertTokenizer", "BertTokenizerFast", "DistilBertTokenizer", "DistilBertTokenizerFast"]
OTHERS = [
    "PreTrainedTokenizerFast",
    "TokenizersBackend",
    "BertJapaneseTokenizer",
    "RobertaTokenizer",
]
ROLES = {f"{token[1:-1].lower()}_token": token for token in SPECIAL_TOKENS}


class Folder:
    """A folder of a tokenizer, with some of its files and some of their settings."""

    def __init__(self, path: Path, seed: int):
        self.path, self.draw = path, random.Random(seed)
        path.mkdir()
        pieces = list(PIECES)
        if self.sometimes(0.1):
            pieces.insert(self.draw.randrange(6, len(pieces)), "")
        self.ids = {piece: index for index, piece in enumerate(pieces)}
        new = self.draw.sample(["[E1]", "[E2]", "new york", "<ent>"], self.draw.randrange(4))
        self.added = {token: len(pieces) + index for index, token in enumerate(new)}
        if self.sometimes(0.3):
            self.added["covid"] = self.ids["covid"]
        self.write("config.json", {"model_type": self.draw.choice(["bert", "distilbert"])})
        self.write("tokenizer_config.json", self.config())
        if self.sometimes(0.3):
            self.write("special_tokens_map.json", self.roles({}) | self.further())
        if self.sometimes(0.3):
            shift = self.sometimes(0.1)
            self.write("added_tokens.json", {t: i + shift for t, i in self.added.items()})
        files = self.draw.choice(["json", "text", "both"])
        if files != "json":
            content = "".join(piece + "\n" for piece in pieces)
            end = self.draw.choice(["\n", "\r\n"])
            (path / "vocab.txt").write_bytes(content.replace("\n", end).encode())
        if files != "text":
            self.tokenizer().save(str(path / "tokenizer.json"))

    def sometimes(self, share: float) -> bool:
        return self.draw.random() < share

    def write(self, name: str, content: dict[str, Any]) -> None:
        (self.path / name).write_text(json.dumps(content))

    def token(self, content: str) -> dict[str, Any]:
        flags = ("single_word", "lstrip", "rstrip", "normalized", "special")
        return {"content": content} | {flag: self.sometimes(0.25) for flag in flags}

    def roles(self, kind: dict[str, str]) -> dict[str, Any]:
        return {
            role: token if self.sometimes(0.7) else self.token(token) | kind
            for role, token in ROLES.items()
        }

    def further(self) -> dict[str, Any]:
        tokens = list(self.added)[:2]
        as_object = {"extra_special_tokens": {f"ent{i}_token": t for i, t in enumerate(tokens)}}
        return self.draw.choice([{}, {"additional_special_tokens": tokens}, as_object])

    def config(self) -> dict[str, Any]:
        config: dict[str, Any] = {}
        if self.sometimes(0.7):
            classes = CLASSES if self.sometimes(0.7) else OTHERS
            config["tokenizer_class"] = self.draw.choice(classes)
        for flag in ("do_lower_case", "strip_accents", "tokenize_chinese_chars"):
            if self.sometimes(0.5):
                config[flag] = self.sometimes(0.5)
        if self.sometimes(0.3):
            config |= self.roles({"__type": "AddedToken"})
        if self.sometimes(0.2):
            config["bos_token"] = self.draw.choice(["[CLS]", "<s>"])
        if self.sometimes(0.3):
            some = self.draw.sample(SPECIAL_TOKENS, self.draw.randrange(6))
            listed = self.added | {token: self.ids[token] for token in some}
            config["added_tokens_decoder"] = {str(i): self.token(t) for t, i in listed.items()}
        return config | (self.further() if self.sometimes(0.3) else {})

    def tokenizer(self) -> Tokenizer:
        longest = 50 if self.sometimes(0.05) else 100
        tokenizer = Tokenizer(
            WordPiece(self.ids, unk_token="[UNK]", max_input_chars_per_word=longest)
        )
        accents = self.draw.choice([None, True, False])
        own = BertNormalizer(
            not self.sometimes(0.1), self.sometimes(0.8), accents, self.sometimes(0.5)
        )
        others = [Sequence([NFKC(), own]), Sequence([own, Replace("foo", "the")])]
        others.append(Sequence([NFD(), Lowercase()]))
        tokenizer.normalizer = own if self.sometimes(0.7) else self.draw.choice(others)
        tokenizer.pre_tokenizer = Whitespace() if self.sometimes(0.1) else BertPreTokenizer()
        tokenizer.add_special_tokens([*SPECIAL_TOKENS] if self.sometimes(0.9) else [])
        tokenizer.add_tokens([AddedToken(**self.token(token)) for token in self.added])
        ends = [("[CLS]", 2), ("[SEP]", 3)]
        if self.sometimes(0.9):
            pair = "[CLS] $A [SEP] $B:1 [SEP]:1"
            tokenizer.post_processor = TemplateProcessing("[CLS] $A [SEP]", pair, ends)
        return tokenizer


def assert_same_ids(ours: Vocabulary, folder: Path) -> None:
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(folder)
    for text in TEXTS:
        expected = theirs(text, truncation=False)["input_ids"]
        assert ours.tokenizer.encode(text).ids == expected, (folder, text)


@pytest.mark.oracle
@pytest.mark.parametrize("seeds", [range(0, 100), range(100, 200)])
def test_ids_are_those_of_transformers_or_the_folder_is_refused(tmp_path, seeds):
    read = 0
    for seed in seeds:
        folder = Folder(tmp_path / str(seed), seed).path
        try:
            vocabulary = load_vocabulary(folder)
        except InputError as error:
            assert "\n" not in str(error)
            continue
        read += 1
        assert_same_ids(vocabulary, folder)
        saved = folder / "saved"
        save_vocabulary(vocabulary, saved)
        (saved / "config.json").write_text('{"model_type": "bert"}')
        assert_same_ids(vocabulary, saved)
        assert_same_ids(load_vocabulary(saved), saved)
    assert read > 40


@pytest.mark.oracle
def test_tokens_that_a_user_added_in_transformers_are_read_and_written_again(tmp_path):
    from transformers import AutoTokenizer, BertTokenizer

    ids = {piece: index for index, piece in enumerate(PIECES)}
    theirs = BertTokenizer(vocab=ids, do_lower_case=False)
    theirs.add_tokens(["covid", "New York"])
    theirs.add_special_tokens({"additional_special_tokens": ["[E1]", "<ent>"]})
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load_vocabulary(tmp_path / "theirs")
    assert ours.size == len(theirs)
    save_vocabulary(ours, tmp_path / "ours")
    for folder in (tmp_path / "theirs", tmp_path / "ours"):
        (folder / "config.json").write_text('{"model_type": "distilbert"}')
        assert_same_ids(ours, folder)
        read = AutoTokenizer.from_pretrained(folder)
        assert sorted(read.all_special_tokens) == sorted(theirs.all_special_tokens)
