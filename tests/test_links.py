"""Links and paths in the documents: each leads to a file, and to a heading of it, that exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    page.relative_to(ROOT)
    for pattern in ("*.md", "docs/**/*.md", "notebooks/*.py")
    for page in ROOT.glob(pattern)
)
ROOMS = "model|data|tasks|report|train|eval|tests|docs|notebooks|launch|assets"


def prose(page: Path) -> str:
    """The text of a document, or the Markdown cells of a notebook, without blocks of code."""
    text = (ROOT / page).read_text()
    if page.suffix == ".py":
        cells = re.findall(r"^# %% \[markdown\]\n((?:#.*\n)+)", text, re.MULTILINE)
        return re.sub(r"^# ?", "", "\n".join(cells), flags=re.MULTILINE)
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a document."""
    headings = re.findall(r"^#+ (.*)", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_of_results_is_listed():
    listed = re.findall(r"^\| \[\S+\]\(results/(\S+\.md)\)", prose(Path("docs/results.md")), re.M)
    assert sorted(listed) == sorted(page.name for page in (ROOT / "docs/results").glob("*.md"))


def test_the_documents_are_found():
    assert {Path("README.md"), Path("docs/results.md"), Path("notebooks/05-to-the-tpu.py")} <= {
        *PAGES
    }
    assert anchors(Path("docs/results.md")) >= {"results", "at-a-glance"}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_leads_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page.parent / path).resolve() if path else ROOT / page
        assert target.exists(), f"{page}: {link} leads to no file"
        if anchor:
            known = anchors(target.relative_to(ROOT))
            assert anchor in known, f"{page}: {link} leads to none of {sorted(known)}"


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_path_in_the_text_exists(page):
    for path in re.findall(rf"`((?:{ROOMS})/[\w./-]*)`", prose(page)):
        if "NAME" not in path:  # a placeholder
            assert (ROOT / path).exists(), f"{page} names {path}, which does not exist"


def test_every_page_that_the_code_names_exists():
    """Docstrings and messages refer to `docs/...`."""
    for room in ("model", "data", "tasks", "report", "train", "eval", "launch", "tests"):
        for file in (ROOT / room).rglob("*"):
            if file.suffix in (".py", ".sh", ".sbatch"):
                for path in re.findall(r"docs/[\w/-]+(?:\.md)?", file.read_text()):
                    where = file.relative_to(ROOT)
                    assert (ROOT / path).exists(), f"{where} names {path}, which does not exist"
