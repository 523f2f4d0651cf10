"""Hostile names and texts in every report: they are read as they are, and do nothing."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest

from data.storage.credentials import without_credentials
from eval.glue import Glue, write_table
from model.pretrained import save
from model.tasks import MaskedLM
from model.terminal import visible
from report.markdown import code, escaped, fenced, text_table
from report.panel import Panel
from report.plots import plot_panels, save_figure
from report.predictions.confusion import draw_confusion
from report.predictions.mistakes import write_errors
from report.run import write_report
from report.seeds import report_seeds
from report.study.report import write_study_report
from tasks.kind import ClassScore
from tasks.kinds import KINDS
from tasks.open import find_task
from tasks.score import SplitScores
from tasks.texts.examples import TextExample
from tests.hostile import ADDRESS, HOSTILE, SECRET, rendered
from tests.report.study.test_report import runs_of, study_of, written
from tests.report.test_run import CONFIG, run_folder
from tests.small import BERT, build

OURS = {"h1", "h2", "h3", "p", "table", "thead", "tbody", "tr", "th", "td", "code", "pre", "img"}
"""What our reports consist of."""


def check(markdown: str, *, times: int) -> None:
    """Nothing but our own tags and pictures, and the hostile text as it is, so many times."""
    reader = rendered(markdown)
    assert {tag for tag, _ in reader.tags} <= OURS
    pictures = [attributes for tag, attributes in reader.tags if tag == "img"]
    assert all(picture.keys() == {"src", "alt"} for picture in pictures)
    assert all(re.fullmatch(r"\w+\.png", picture["src"] or "") for picture in pictures)
    assert [tag for tag, _ in reader.tags].count("h1") == 1
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", markdown)
    assert reader.text.count(visible(HOSTILE)) == times
    assert SECRET not in markdown


@pytest.mark.parametrize(
    "text",
    [
        *(
            HOSTILE,
            "",
            " ",
            "`",
            "``",
            "a`",
            "\\",
            "\\|",
            "a|b",
            "|",
            "\\\\|",
            "- a",
            "1. a",
            "# a",
        ),
        *("> a", "---", "a #", "&amp;", "&#38;", "<b>", "</td>", "<!--", "a_b_c", "__init__", "*"),
        *("**", "a * b", "![x](y)", "[x]: y", "C:\\x\\", "+0.05 ± 0.24", "< 0.001", "x<y>z"),
    ],
)
@pytest.mark.parametrize("form", [escaped, code], ids=["text", "code"])
def test_a_text_is_read_as_it_is_wherever_it_stands(text, form):
    shown = visible(text).strip()
    for markdown in (f"# {form(text)}", f"{form(text)}", f"It is {form(text)}."):
        reader = rendered(markdown)
        assert len([tag for tag, _ in reader.tags if tag != "code"]) <= 1
        assert shown in reader.text
    table = rendered(text_table(["a", "b"], [[form(text), form(text)], ["x", form(text)]]))
    cells = [tag for tag, _ in table.tags if tag == "td"]
    assert len(cells) == 4 and {tag for tag, _ in table.tags} <= OURS
    assert table.text.count(shown) >= 3


def test_a_block_of_code_ends_where_it_should():
    reader = rendered(fenced(f"a\n````\n{HOSTILE}", "python"))
    assert [tag for tag, _ in reader.tags] == ["pre", "code"]
    lines = [visible(line) for line in f"a\n````\n{HOSTILE}".split("\n")]
    assert reader.text.strip("\n").split("\n") == lines


def test_the_report_of_a_run(tmp_path):
    folder = tmp_path / HOSTILE.replace("/", "-")
    config = CONFIG | {
        "kind": "finetune",
        "model": HOSTILE,
        "task": HOSTILE,
        "teacher": HOSTILE,
        "data": {"corpus": ADDRESS, HOSTILE: 1},
    }
    run_folder(folder, config=config)
    save(build(MaskedLM, BERT), folder / "model")
    text = write_report(folder).read_text()
    # In the first sentence and as settings; the title has another spelling.
    check(text, times=7)
    assert visible(folder.name).strip() in rendered(text).text
    (program,) = re.findall(r"```python\n(.*?)\n```", text, re.DOTALL)
    strings = [n.value for n in ast.walk(ast.parse(program)) if isinstance(n, ast.Constant)]
    assert strings == [str(folder / "model")] * 2


def test_the_report_of_a_study(tmp_path):
    names = ("full", HOSTILE.replace("/", "-"))
    differences = {"full": [0.0] * 5, names[1]: [-0.03, -0.031, -0.029, -0.03, -0.03]}
    study = study_of(
        names,
        title=HOSTILE,
        teacher=HOSTILE,
        corpus=f"{HOSTILE}, {ADDRESS}",
        command=f"python -m train.ablate {HOSTILE}",
    )
    study["variants"][names[1]] |= {
        "about": HOSTILE,
        "published": {"delta": -1.0, "unit": HOSTILE},
    }
    text = write_study_report(written(tmp_path / "s", study, runs_of(differences))).read_text()
    check(text, times=5)
    assert rendered(text).text.count(visible(names[1])) >= 5


def test_the_results_of_seeds(tmp_path, capsys):
    scores = {"score": 0.5, "matthews": 0.5, HOSTILE: 0.25}
    report_seeds(
        tmp_path,
        find_task("cola"),
        {1: scores},
        {1: {"test": SplitScores(9, scores, {"matthews": 0.1}, {HOSTILE: ClassScore(1, 1, 1, 9)})}},
        model=HOSTILE,
        teacher=ADDRESS,
        reported="best",
        tuned={1e-5: 0.5},
    )
    check((tmp_path / "results.md").read_text(), times=3)  # the model, a metric and a class
    assert SECRET not in (tmp_path / "results.json").read_text()


def test_the_list_of_mistakes(tmp_path):
    example = TextExample(HOSTILE, HOSTILE, None, HOSTILE)
    prediction = {"gold": HOSTILE, "prediction": "b", "probabilities": {"b": 0.9, HOSTILE: 0.1}}
    path = tmp_path / "errors.md"
    write_errors(path, KINDS["classification"], HOSTILE, [example], [prediction])
    text = rendered(path.read_text()).text
    check(path.read_text(), times=1)  # the cells have their white space in one
    assert text.count(visible(" ".join(HOSTILE.split()))) == 3


def test_the_table_of_glue(tmp_path):
    config = Glue(teacher=HOSTILE, student=ADDRESS, output=tmp_path)
    write_table(config, {"teacher": {}, "student": {}}, {"rte": HOSTILE})
    check((tmp_path / "glue.md").read_text(), times=2)


def test_pictures_show_names_as_they_are(tmp_path, recwarn):
    panel = Panel({HOSTILE: [(0, 1.0), (1, 2.0)], "$x^$": [(0, 2.0)]}, ylabel=HOSTILE)
    plot_panels(tmp_path / "a.png", [panel], xlabel=HOSTILE, title=HOSTILE)
    figure = draw_confusion(np.eye(2, dtype=np.int64), (HOSTILE, "$x^$"), title=HOSTILE)
    save_figure(figure, tmp_path / "b.png")
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "b.png"}
    assert not recwarn.list


@pytest.mark.parametrize(
    "text",
    [
        f"https://user:{SECRET}@host/x",
        f"https://{SECRET}@host",
        f"https://host/x?a=1&token={SECRET}",
        f"s3://b/x?X-Amz-Security-Token={SECRET}&X-Amz-Credential={SECRET}%2F20&b=2",
        f"https://account/x?sv=2&sig={SECRET}%3D",
        f"python -m train.distill tiny --hub-token {SECRET} --steps 3",
        f"--api-key={SECRET}",
        f"HF_TOKEN={SECRET} python",
        f"hf_{SECRET}abcdefghijklmnop",
        f"ghp_{SECRET}abcdefghijklmnop",
    ],
)
def test_credentials_are_left_out(text):
    assert SECRET not in without_credentials(text)
    assert "***" in without_credentials(text)


@pytest.mark.parametrize(
    "text",
    [
        "python -m train.distill tiny --data.tokenizer assets/x --data.text-field token",
        "Salesforce/wikitext:wikitext-103-v1@b08601e",
        "gs://bucket/run?x=1",
        "max_tokens=5",
        "git@github.com:x/y",
        "the token [MASK] is a secret",
    ],
)
def test_what_is_no_credential_stays(text):
    assert without_credentials(text) == text


def test_no_report_has_a_table_of_raw_texts():
    """`text_table` makes texts harmless; `markdown_table` takes cells that are Markdown."""
    root = Path(__file__).parent.parent.parent
    users = [
        str(path.relative_to(root))
        for room in ("report", "train", "eval")
        for path in (root / room).rglob("*.py")
        if "markdown_table" in path.read_text()
    ]
    assert sorted(users) == ["report/markdown.py", "report/tables.py"]
