"""Notebooks: each runs, and its kept output is that of its text."""

import re
from dataclasses import replace
from pathlib import Path

import jupytext
import pytest

from data.open import open_data
from train.recipes.distill import TINY_TEACHER, distill_tiny

ROOT = Path(__file__).parent.parent
TEXTS = sorted((ROOT / "notebooks").glob("*.py"))
SECONDS, CORES = 180, 2

# A place on the machine where they last ran, which means nothing to a reader.
MACHINE_PATH = re.compile(r"(?<![\w.])/(home|root|Users|tmp|work|var|usr|opt)/|site-packages")

by_name = pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def corpus():
    """The embedded text, harvested before: its time is not that of the notebooks."""
    open_data(replace(distill_tiny().data, tokenizer=TINY_TEACHER))


@by_name
def test_a_notebook_and_its_text_have_the_same_cells(text):
    """`make notebooks-run` writes the notebook again."""
    cells, kept = jupytext.read(text).cells, jupytext.read(text.with_suffix(".ipynb")).cells
    assert [(c.cell_type, c.source) for c in kept] == [(c.cell_type, c.source) for c in cells]


@by_name
def test_a_notebook_shows_what_one_run_from_top_to_bottom_printed(text):
    kept = text.with_suffix(".ipynb")
    assert kept.stat().st_size < 600_000
    code = [cell for cell in jupytext.read(kept).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    for output in (output for cell in code for output in cell.outputs):
        assert output.output_type != "error"
        assert output.get("name") != "stderr", output.text
        data = output.get("data", {"text/plain": output.get("text")})
        texts = [shown for kind, shown in data.items() if kind.startswith("text/")]
        assert not any(MACHINE_PATH.search(shown) for shown in texts), texts


@pytest.mark.slow
@by_name
def test_a_notebook_runs_offline_within_three_minutes(text, corpus, monkeypatch):
    """Three minutes of two cores, counted in processor time: other tests run beside this one."""
    from nbclient import NotebookClient
    from nbformat.v4 import new_code_cell

    # As a reader has it: pictures, JAX without strictness and with the devices there are.
    strict = ("JAX_NUMPY_DTYPE_PROMOTION", "JAX_NUMPY_RANK_PROMOTION")
    for name in ("MPLBACKEND", "XLA_FLAGS", *strict):
        monkeypatch.delenv(name)
    notebook = jupytext.read(text)
    notebook.cells.append(new_code_cell("import os\nprint(sum(os.times()[:4]))"))
    resources = {"metadata": {"path": str(ROOT)}}
    client = NotebookClient(
        notebook, timeout=5 * SECONDS, kernel_name="python3", resources=resources
    )
    client.execute()
    assert float(notebook.cells[-1].outputs[0].text) < SECONDS * CORES


def test_notebooks_bring_the_repository_to_colab():
    """The address is a placeholder, and the same wherever it is written."""
    addresses = {
        address
        for file in (*TEXTS, ROOT / "mkdocs.yml")
        for address in re.findall(r"https://github\.com/OWNER/\S+?(?=[\"\s]|$)", file.read_text())
    }
    assert addresses == {"https://github.com/OWNER/distilbert-flax"}
    for text in TEXTS:
        first = next(cell for cell in jupytext.read(text).cells if cell.cell_type == "code")
        assert '"google.colab" in sys.modules' in first.source
