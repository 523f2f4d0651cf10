"""The embedded corpus: documentation of the Python standard library and of our dependencies.

Every machine that can run this project holds some thirteen megabytes of English written by people:
docstrings, and the documentation files of packages. They are found by parsing source files, without
importing them. Code, markup and copies are removed. Whole packages are held
out, because packages of one author repeat each other. The harvest takes about a minute and is kept
in the cache, so it is done once for a set of package versions.
"""

import ast
import hashlib
import json
import platform
import re
import sysconfig
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from data.corpora import overlap, prose
from data.corpora.heldout import Split
from data.corpora.text import Text
from data.storage.atomic import writing
from data.storage.cache import make_once
from model.errors import InputError

PYTHON = "python"
# Dependencies of this project, direct or not. They are held out in this order, until their text
# reaches the given share. The order is fixed, so that training text and held-out text of a model
# stay separate whatever versions are installed. The first are small, on different subjects, and by
# other authors than most of the rest.
DOCUMENTED = (
    "optax", "click", "pyparsing", "rich", "fsspec", "tokenizers", "pillow", "filelock",
    "treescope", "absl-py", "packaging", "psutil", "python-dateutil", "pygments", "tyro", "tqdm",
    "typeguard", "prometheus-client", "opt-einsum", "anyio", "jaxtyping", "humanize", "dill",
    "contourpy", "etils", "markdown-it-py", "safetensors", "tensorboardx", "multiprocess",
    "ml-dtypes", "pyyaml", "grain", "fonttools", "tensorstore", "datasets", "orbax-checkpoint",
    "huggingface-hub", "flax", "jaxlib", "pyarrow", "matplotlib", "jax", "numpy", "pandas",
    "scipy", PYTHON,
)  # fmt: skip

_SKIPPED_FOLDERS = {
    *("test", "tests", "idle_test", "_vendor", "vendored", "site-packages", "dist-packages"),
    *("idlelib", "turtledemo", "lib2to3", "ensurepip", "__pycache__"),
}
_SKIPPED_FILES = re.compile(r"licen[cs]e|copying|notice|authors|third_?party", re.IGNORECASE)
_LITERAL = re.compile(r'"""(.*?)"""', re.DOTALL)
# Shorter literals are names, formats and commands, not sentences.
_SHORTEST_LITERAL = 40


@dataclass(frozen=True)
class Pydocs:
    """The corpus, harvested into `folder` (train.jsonl, heldout.jsonl, manifest.json)."""

    folder: Path

    name = "pydocs"
    own_heldout = True

    @property
    def manifest(self) -> dict[str, Any]:
        """Package versions, sizes in characters, what is held out, fingerprint."""
        return json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))

    @property
    def fingerprint(self) -> str:
        """A digest of the text itself: versions with the same documentation have the same one."""
        return self.manifest["fingerprint"]

    def texts(self, split: Split | None) -> Iterator[Text]:
        """One text for each docstring or documentation file, its paragraphs on lines."""
        for part in (split,) if split else ("train", "heldout"):
            with (self.folder / f"{part}.jsonl").open(encoding="utf-8") as file:
                yield from (Text(*json.loads(line)) for line in file)


def open_pydocs(cache: Path, heldout_share: float) -> Pydocs:
    """The corpus from the cache, harvested first if it lacks these package versions.

    Raises:
        InputError: a package is not installed, or the cache cannot be written.
    """
    versions = package_versions()
    sources = [Path(module.__file__ or "").read_bytes() for module in (prose, overlap)]
    sources.append(Path(__file__).read_bytes())
    key = hashlib.sha256(json.dumps([versions, heldout_share]).encode() + b"".join(sources))

    def make(folder: Path) -> None:
        training, heldout, manifest = _split(_harvest(), heldout_share)
        fingerprint = hashlib.sha256()
        with writing(cache, "--data.cache"):
            for split, texts in (("train", training), ("heldout", heldout)):
                lines = "".join(json.dumps(text, ensure_ascii=False) + "\n" for text in texts)
                fingerprint.update(f"{split}{lines}".encode())
                (folder / f"{split}.jsonl").write_bytes(lines.encode())
            manifest = {"fingerprint": fingerprint.hexdigest(), "versions": versions, **manifest}
            (folder / "manifest.json").write_text(json.dumps(manifest, indent=2), "utf-8")

    return Pydocs(make_once(cache / f"pydocs-{key.hexdigest()[:16]}", make))


def package_versions() -> dict[str, str]:
    """The installed version of each package whose documentation is in the corpus."""
    versions = {PYTHON: platform.python_version()}
    for package in DOCUMENTED:
        if package != PYTHON:
            try:
                versions[package] = metadata.version(package)
            except metadata.PackageNotFoundError:
                raise InputError(
                    f"the corpus pydocs reads the documentation of {package}, which is not "
                    "installed: install this project with its dependencies (pip install -e .)"
                ) from None
    return versions


def documentation_files(package: str) -> Iterator[tuple[str, Path]]:
    """(name, path) of the files of a package that may hold documentation, in a fixed order."""
    if package == PYTHON:
        root = Path(sysconfig.get_path("stdlib"))
        found = [(path.relative_to(root).as_posix(), path) for path in root.rglob("*.py")]
    else:
        files = metadata.files(package) or []
        found = [(file.as_posix(), Path(str(file.locate()))) for file in files]
    for name, path in sorted(found):
        kind = path.suffix in (".py", ".pyi", ".pyx", ".pxi", ".md", ".rst") or (
            path.name == "METADATA"
        )
        parts = name.split("/")
        if kind and not _SKIPPED_FOLDERS & set(parts) and not _SKIPPED_FILES.search(parts[-1]):
            yield name, path


def literals(path: Path) -> Iterator[str]:
    """The texts in a file: string literals of a module, or a documentation file as a whole."""
    source = path.read_text(encoding="utf-8", errors="replace")
    if path.suffix in (".py", ".pyi"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in other people's code
            try:
                tree = ast.parse(source)
            except (SyntaxError, ValueError):
                return  # templates and files for another version of Python
        pieces: set[int] = set()
        # All literals, not docstrings alone: NumPy, SciPy and pandas keep many in variables.
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                pieces.update(map(id, node.values))  # parts of sentences, visited later
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and len(text) >= _SHORTEST_LITERAL and id(node) not in pieces:
                yield text
    elif path.suffix in (".pyx", ".pxi"):
        yield from _LITERAL.findall(source)
    elif path.name == "METADATA":
        yield source.partition("\n\n")[2]  # the description follows the fields
    else:
        yield source


def _harvest() -> Iterator[tuple[str, Text]]:
    """(package, text) without copies; text that packages share belongs to the first of them."""
    copies = overlap.CopyFilter()
    console = Console(stderr=True, markup=False)
    shown = {"console": console, "transient": True, "disable": not console.is_terminal}
    for package in track(DOCUMENTED, "Reading documentation (once)", **shown):
        for name, path in documentation_files(package):
            for literal in literals(path):
                kept = [p for p in prose.paragraphs(literal) if copies.is_new(p)]
                if kept:
                    yield package, Text("\n".join(kept), f"{package}/{name}")


def _split(
    harvest: Iterator[tuple[str, Text]], heldout_share: float
) -> tuple[list[Text], list[Text], dict[str, Any]]:
    """Training text, held-out text, and their description for the manifest."""
    texts: dict[str, list[Text]] = {package: [] for package in DOCUMENTED}
    for package, text in harvest:
        texts[package].append(text)
    sizes = {package: sum(len(t.text) for t in of) for package, of in texts.items()}
    wanted, reached, held = heldout_share * sum(sizes.values()), 0, []
    for package in DOCUMENTED[:-1]:
        if held and abs(reached + sizes[package] - wanted) >= abs(reached - wanted):
            break
        held.append(package)
        reached += sizes[package]
    heldout = [text for package in held for text in texts[package]]
    training = [text for package in DOCUMENTED if package not in held for text in texts[package]]
    clean = list(_without_leaks(training, heldout))
    return clean, heldout, {
        "heldout_packages": held,
        "characters": {"train": sum(len(t.text) for t in clean), "heldout": reached},
        "characters_by_package": sizes,
    }  # fmt: skip


def _without_leaks(training: list[Text], heldout: list[Text]) -> Iterator[Text]:
    """Training text without the paragraphs that share 13 words in a row with held-out text."""
    runs = {run for text in heldout for run in overlap.ngrams(text.text, overlap.LEAK_WORDS)}
    for text in training:
        kept = [
            paragraph
            for paragraph in text.text.split("\n")
            if runs.isdisjoint(overlap.ngrams(paragraph, overlap.LEAK_WORDS))
        ]
        if kept:
            yield Text("\n".join(kept), text.document)
