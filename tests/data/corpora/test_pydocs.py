"""The embedded corpus, harvested from small invented packages."""

import json
import random
import sys
from pathlib import Path

import pytest

from data.config import DataConfig
from data.corpora import pydocs
from data.corpora.open import open_corpus
from data.corpora.overlap import ngrams
from data.corpora.pydocs import PYTHON, open_pydocs
from model.errors import InputError

NAMES = ("harbour", "orchard", "library", "station")
SHARED = (
    "This long sentence stands in more than one of the packages, because their authors have "
    "copied it from each other without a second thought."
)


def sentences(name: str, count: int) -> list[str]:
    """Sentences that differ from each other and between packages."""
    draw = random.Random(name)

    def word() -> str:
        return "".join(draw.choice(part) for part in ("bdfgklmnprst", "aeiou", "lmnrst", "aeiou"))

    form = "In the {} of {}, the {} is {} and a {} will be {} by the {}."
    return [form.format(name, *(word() for _ in range(6))) for _ in range(count)]


def install(folder: Path, name: str, files: dict[str, str], version: str = "1.0") -> None:
    """A package as pip installs it."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\n"
        f"The readme of the {name} is a text that people are meant to read.\n",
        **files,
    }
    files[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in files)
    for file, text in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text)


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of four packages and an empty standard library."""
    site = tmp_path / "site"
    for name, count in {"harbour": 8, "orchard": 30, "library": 40, "station": 50}.items():
        body = "\n".join(
            f'def f{n}():\n    """{s}"""' for n, s in enumerate(sentences(name, count))
        )
        install(
            site, name, {f"{name}/code.py": f"raise ImportError('never import this')\n{body}\n"}
        )
    monkeypatch.syspath_prepend(site)
    (tmp_path / "stdlib").mkdir()
    monkeypatch.setattr(pydocs.sysconfig, "get_path", lambda name: str(tmp_path / "stdlib"))
    monkeypatch.setattr(pydocs, "DOCUMENTED", (*NAMES, PYTHON))
    return site


def texts(corpus: pydocs.Pydocs, split=None) -> list[str]:
    return [text.text for text in corpus.texts(split)]


def test_docstrings_and_readmes_are_found_without_importing(packages: Path, tmp_path: Path):
    found = texts(open_pydocs(tmp_path, 0.1))
    assert set(sentences("library", 40)) <= set(found)
    assert "The readme of the library is a text that people are meant to read." in found
    assert not {"harbour", "library"} & set(sys.modules)


def test_every_kind_of_documentation_is_read_and_nothing_else(packages: Path, tmp_path: Path):
    kept = {
        "variable.py": ('DOC = """{}"""', "The text in a variable is read as that of a function."),
        "stub.pyi": ('"""{}"""', "What a stub says of the module is to be read as well."),
        "fast.pyx": ('cdef f():\n  """{}"""', "What is written in Cython is read like Python."),
        "guide.rst": (
            "The guide\n=========\n\n{}",
            "The guide is a file of its own in the package.",
        ),
    }
    dropped = {
        "pieces.py": ('x = f"{}{x}"', "The pieces of a template are not a sentence one reads."),
        "broken.py": (
            'def :\n"""{}"""',
            "This is the text of a file that cannot be parsed at all.",
        ),
        "tests/test.py": ('"""{}"""', "The tests of a package are not a part of what is read."),
        "LICENSE.md": ("{}", "The licence is a text that is the same for all of the packages."),
    }
    files = {**kept, **dropped}
    install(
        packages,
        "station",
        {f"station/{name}": form.replace("{}", text) for name, (form, text) in files.items()},
    )
    found = set(texts(open_pydocs(tmp_path, 0.1)))
    assert {text for _, text in kept.values()} <= found
    assert not {text for _, text in dropped.values()} & found


def test_whole_packages_are_held_out_in_a_fixed_order(packages: Path, tmp_path: Path):
    def held_out(share: float) -> list[str]:
        return open_pydocs(tmp_path, share).manifest["heldout_packages"]

    assert held_out(0.02) == ["harbour"]
    assert held_out(0.3) == ["harbour", "orchard"]
    corpus = open_pydocs(tmp_path, 0.3)
    assert {t.document.split("/")[0] for t in corpus.texts("heldout")} == {"harbour", "orchard"}
    assert {t.document.split("/")[0] for t in corpus.texts("train")} == {"library", "station"}
    sizes = corpus.manifest["characters_by_package"]
    assert corpus.manifest["characters"] == {
        "heldout": sizes["harbour"] + sizes["orchard"],
        "train": sizes["library"] + sizes["station"],
    }
    assert sum(map(len, texts(corpus))) == sum(sizes.values())


def test_text_that_packages_share_is_kept_once(packages: Path, tmp_path: Path):
    for name in ("library", "station"):
        (packages / name / "code.py").write_text(f'"""{SHARED}"""')
    found = texts(open_pydocs(tmp_path, 0.1))
    assert found.count(SHARED) == 1


def test_nothing_of_the_heldout_text_is_in_training(packages: Path, tmp_path: Path):
    """Thirteen words in a row are a leak, even where most of the paragraph is new."""
    (packages / "harbour/code.py").write_text(f'"""{SHARED}"""')
    mixed = f"{' '.join(sentences('station', 6))} {' '.join(SHARED.split()[:15])} {SHARED[-9:]}"
    (packages / "station/code.py").write_text(f'"""{mixed}\n\n{sentences("station", 9)[8]}"""')
    corpus = open_pydocs(tmp_path, 0.02)
    heldout, train = texts(corpus, "heldout"), texts(corpus, "train")
    assert SHARED in heldout
    assert sentences("station", 9)[8] in train and mixed not in train
    runs = {run for text in heldout for run in ngrams(text, 13)}
    assert runs.isdisjoint(run for text in train for run in ngrams(text, 13))


def test_the_harvest_is_kept_until_a_version_changes(
    packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    first = open_pydocs(tmp_path, 0.1)
    assert first.manifest["versions"]["library"] == "1.0"
    monkeypatch.setattr(pydocs, "documentation_files", None)  # not to be called again
    assert texts(open_pydocs(tmp_path, 0.1)) == texts(first)
    monkeypatch.undo()
    monkeypatch.syspath_prepend(packages)
    monkeypatch.setattr(pydocs, "DOCUMENTED", (*NAMES, PYTHON))
    monkeypatch.setattr(pydocs.sysconfig, "get_path", lambda name: str(tmp_path / "stdlib"))
    (packages / "library-1.0.dist-info").rename(packages / "library-2.0.dist-info")
    metadata = packages / "library-2.0.dist-info/METADATA"
    metadata.write_text(metadata.read_text().replace("1.0", "2.0"))
    record = metadata.with_name("RECORD")
    record.write_text(record.read_text().replace("1.0", "2.0"))
    second = open_pydocs(tmp_path, 0.1)
    assert second.folder != first.folder
    assert second.manifest["versions"]["library"] == "2.0"


def test_the_fingerprint_is_that_of_the_text(packages: Path, tmp_path: Path):
    first = open_pydocs(tmp_path / "a", 0.1).fingerprint
    assert open_pydocs(tmp_path / "b", 0.1).fingerprint == first
    assert open_pydocs(tmp_path / "b", 0.5).fingerprint != first
    (packages / "library/code.py").write_text(f'"""{SHARED}"""')
    assert open_pydocs(tmp_path / "c", 0.1).fingerprint != first


def test_a_failed_harvest_leaves_nothing(packages: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(pydocs.json, "dumps", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        open_pydocs(tmp_path / "cache", 0.1)
    assert not list((tmp_path).glob("cache/pydocs-*/*"))


def test_a_package_that_is_not_installed_is_named(packages: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(pydocs, "DOCUMENTED", ("harbour", "lighthouse", PYTHON))
    with pytest.raises(InputError, match="documentation of lighthouse, which is not installed"):
        open_pydocs(tmp_path, 0.1)


def test_it_is_a_corpus_by_name(packages: Path, tmp_path: Path):
    other = tmp_path / "other.txt"
    other.write_text("one\ntwo\n")
    alone = open_corpus(DataConfig(cache=tmp_path))
    assert json.dumps(alone.manifest["pydocs"]["versions"])
    assert {t.document.split("/")[0] for t in alone.texts("heldout")} == {"harbour"}
    # With other text to evaluate on, all of it is for training ...
    whole = open_corpus(DataConfig(heldout=(str(other),), cache=tmp_path))
    assert {t.document.split("/")[0] for t in whole.texts("train")} == set(NAMES)
    # ... and as text to evaluate on, only its held-out part is read.
    evaluate = open_corpus(DataConfig(corpus=(str(other),), heldout=("pydocs",), cache=tmp_path))
    assert list(evaluate.texts("heldout")) == list(alone.texts("heldout"))


def test_every_named_package_is_installed_with_this_project():
    versions = pydocs.package_versions()
    assert set(versions) == set(pydocs.DOCUMENTED) and all(versions.values())
    assert pydocs.DOCUMENTED[-1] == PYTHON
