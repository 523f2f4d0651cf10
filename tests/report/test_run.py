import json
import math
import random
import re
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib import _pylab_helpers
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from model.errors import InputError
from report.panel import Panel
from report.plots import _draw, plot_panels, smooth
from report.results import totals, write_results
from report.run import write_report
from tests.disk import edited_by_hand, full_disk, written_or_refused

CONFIG = {
    "kind": "distill",
    "teacher": "assets/bert-tiny",
    "data": {"corpus": ["a|b"], "sequence_length": 64},
    "seed": 56,
    "facts": {"total_steps": 40, "parameters": 1000},
    "provenance": {"devices": {"kind": "cpu", "count": 4}},
}


def train_row(step: int) -> dict:
    decay = math.exp(-step / 10)
    losses = {"loss": 9 * decay, "ce": 4 * decay, "mlm": 2 * decay, "cos": 0.5 * decay}
    run = {"grad_norm": 1 + decay, "clipped": float(step % 3 == 0), "learning_rate": 1e-4}
    timings = {"tokens_per_second": 500.0, "seconds": 2.0, "data_seconds": 0.25}
    if step == 1:
        timings |= {"tokens_per_second": 50.0, "compiles": 1.0}
    return {"step": step, "kind": "train", **losses, **run, **timings}


def heldout_row(step: int, loss: float, accuracy: float) -> dict:
    quality = {"masked_lm_loss": loss, "masked_lm_accuracy": accuracy}
    floors = {"unigram_loss": 6.25, "unigram_accuracy": 0.0625}
    teacher = {"kl_to_teacher": loss / 4, "top1_agreement": accuracy * 2, "hidden_cosine": 0.875}
    rest = {"exp_masked_lm_loss": math.exp(loss), "seconds": 10.0}
    # The order of what jax returns.
    return {
        "step": step,
        "kind": "heldout",
        **dict(sorted((quality | floors | teacher).items())),
        **rest,
    }


ROWS = [
    heldout_row(0, 9.0, 0.001),
    *map(train_row, range(1, 21)),
    heldout_row(20, 3.25, 0.25),
    *map(train_row, range(21, 41)),
    heldout_row(40, 3.5, 0.375),
]


def run_folder(folder: Path, rows: list[dict] = ROWS, config: dict = CONFIG) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def png_size(path: Path) -> tuple[int, int]:
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG")
    return struct.unpack(">II", data[16:24])


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    return write_report(run_folder(tmp_path_factory.mktemp("runs") / "my-run"))


def test_the_first_paragraph_says_what_was_run_and_what_came_out(report):
    title, first, *_ = report.read_text().split("\n\n")
    assert title == "# my-run"
    # 39 updates of 1,000 tokens and one, with compilation, of 100; 40 * 2 s and 3 * 10 s.
    assert first == (
        "Distillation from `assets/bert-tiny`: 40 updates on 39,100 tokens in 2 min on 4 × cpu, "
        "500 tokens/s at the median (compilation and evaluation are in the time, not in the "
        "speed). Waiting for data took 12.5 % of the time of the updates. On held-out text the "
        "masked-LM loss went from 9.000 to 3.500 and the masked-LM "
        "accuracy went from 0.1 % to 37.5 %. For comparison, the unigram floor, a model that "
        "knows only how often each token occurs, has 6.250 and 6.2 %. The best masked-LM loss was "
        "3.250, after 20 updates. Its first guess is its teacher's for 75.0 % of the predicted "
        "tokens."
    )


def test_padding_is_no_token_and_is_reported(tmp_path):
    # 1,000 tokens of 2,000 places and 1,000 of 1,250.
    rows = [train_row(2) | {"padding": 0.5}, train_row(3) | {"padding": 0.2}]
    folder = run_folder(tmp_path / "padded", rows)
    text = write_report(folder).read_text()
    assert "on 2,000 tokens in 4 s" in text
    assert "Padding, which is no token, fills 38.5 % of the batches." in text
    assert totals(folder, rows)["padding"] == pytest.approx(1 - 2000 / 3250)


def test_results_are_reported_for_the_start_the_best_and_the_end(report):
    text = report.read_text()
    table = [re.split(r" *\| *", line)[1:-1] for line in text.split("\n") if line[:1] == "|"]
    assert table[0] == ["held-out text", "start (0)", "best (20)", "final (40)", "unigram floor"]
    assert [row[0] for row in table[2:8]] == [
        "masked-LM loss (nats)",
        "masked-LM accuracy",
        "exp(masked-LM loss)",
        "KL to teacher (nats)",
        "top-1 agreement with teacher",
        "cosine of hidden states",
    ]
    assert ["masked-LM loss (nats)", "9.000", "3.250", "3.500", "6.250"] in table
    assert ["masked-LM accuracy", "0.1 %", "25.0 %", "37.5 %", "6.2 %"] in table
    assert ["KL to teacher (nats)", "2.250", "0.812", "0.875", ""] in table
    assert ["exp(masked-LM loss)", "8,103", "25.790", "33.115", ""] in table


def test_a_best_that_is_also_the_last_is_one_column(tmp_path):
    text = write_report(run_folder(tmp_path, ROWS[:22])).read_text()
    assert "| held-out text | start (0) | best, final (20) | unigram floor |" in text
    assert "The best" not in text
    assert "20 of 40 updates" in text


@pytest.mark.long
@pytest.mark.parametrize("teacher", [None, "assets/bert"])
def test_a_fine_tuning_is_named_by_its_model_and_its_task(tmp_path, teacher):
    config = {"kind": "finetune", "model": "assets/small", "task": "cola", "teacher": teacher}
    config = CONFIG | config
    scores = {"score": 0.5, "matthews": 0.5, "collapsed": 0.0, "seconds": 1.0}
    rows = [
        {"step": 0, "kind": "heldout", **scores},
        *ROWS[1:3],
        {"step": 2, "kind": "heldout", **scores, "score": 0.25, "matthews": 0.25, "collapsed": 1.0},
    ]
    text = write_report(run_folder(tmp_path, rows, config)).read_text()
    source = " from `assets/bert`" if teacher else ""
    assert f"Fine-tuning of `assets/small` for cola{source}: 2 of 40 updates" in text
    assert "went from 50.0 % to 25.0 %. It has collapsed: all examples" in text
    assert "The best Matthews correlation was 50.0 %, after 0 updates." in text
    assert "| Matthews correlation | 50.0 % | 25.0 % |" in text
    assert "score" not in text and "| collapsed" not in text

    text = write_report(run_folder(tmp_path, rows, config | {"report": "best"})).read_text()
    assert "the Matthews correlation is 50.0 %. The last Matthews correlation was 25.0 %" in text
    assert "collapsed" not in text and "Training ended" not in text
    ended = config | {"report": "best", "patience": 1}
    text = write_report(run_folder(tmp_path, rows, ended)).read_text()
    assert "after 2 updates. Training ended there (--patience 1): no later" in text


def test_settings_and_origin_are_listed_by_their_dotted_names(report):
    text = report.read_text()
    settings, origin = text.split("## Settings")[1].split("## Where it comes from")
    assert '| `data.corpus` | `["a\\|b"]` |' in settings
    assert "provenance" not in settings
    assert "| `provenance.devices.count` | `4` |" in origin
    assert "| `facts.total_steps` | `40` |" in origin


def test_every_picture_is_there_and_shown(report):
    text = report.read_text()
    shown = re.findall(r"!\[[^]]+\]\((.+)\)", text)
    assert shown == ["heldout.png", "losses.png", "running.png"]
    assert all(min(png_size(report.parent / name)) > 500 for name in shown)
    assert {path.name for path in report.parent.iterdir()} == {
        "config.json",
        "metrics.jsonl",
        "report.md",
        *shown,
    }


@pytest.mark.parametrize(
    ("rows", "checkpoint", "sentence"),
    [
        (ROWS[:13], 12, ": 12 of 40 updates on 11,100 tokens in 34 s"),
        (ROWS[13:22], 12, ": 20 of 40 updates, of which only 8 are recorded. These were on 8,000 "),
        (ROWS[13:], 0, ": 40 updates, of which only 28 are recorded. These were on 28,000 tokens"),
        (ROWS[:9], 12, ": 12 of 40 updates, of which only 8 are recorded. These were on 7,100 "),
        ([], 12, ": 12 of 40 updates, none of which is recorded."),
        ([], 40, ": 40 updates, none of which is recorded."),
    ],
)
def test_updates_of_which_nothing_is_recorded_are_counted(
    tmp_path, monkeypatch, rows, checkpoint, sentence
):
    monkeypatch.setattr("report.plots.plot_panels", lambda *_, **__: None)
    run_folder(tmp_path, rows)
    (tmp_path / "checkpoints" / f"{checkpoint}").mkdir(parents=True)
    text = write_report(tmp_path).read_text()
    assert sentence in text
    assert ("| held-out text | start" in text) == (rows[:1] == ROWS[:1])
    write_results(tmp_path)
    record = json.loads((tmp_path / "results.json").read_text())
    train = [row for row in rows if row["kind"] == "train"]
    assert record["updates"] == max([checkpoint, *(row["step"] for row in rows)])
    assert record["recorded_updates"] == len(train)
    assert record["seconds"] == sum(row["seconds"] for row in rows)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("kind", ["distill", "finetune"])
def test_whatever_was_edited_by_hand_is_a_report_or_one_sentence(tmp_path, monkeypatch, kind, seed):
    monkeypatch.setattr("report.plots.plot_panels", lambda *_, **__: None)
    config = CONFIG | {"kind": kind, "model": "m", "task": "cola"}
    chance, outcomes = random.Random(seed), Counter()
    rows = [*ROWS[:4], heldout_row(3, 2.0, 0.5), *map(train_row, range(4, 7))]
    for _ in range(100):
        parts: list[Any] = [config, rows]
        place = chance.randrange(2)
        parts[place] = edited_by_hand(parts[place], chance)
        if not isinstance(parts[1], list):
            continue
        run_folder(tmp_path, parts[1], parts[0])
        outcomes[written_or_refused(write_report, tmp_path)] += 1
    assert min(outcomes["refused"], outcomes["written"]) > 10


@pytest.mark.parametrize(
    "rows",
    [
        [],
        ROWS[:1],
        ROWS[1:2],
        ROWS[1:21],
        [{"step": 3, "kind": "heldout", "f1": 0.5, "seconds": 1.0}],
        [{"step": 3, "kind": "heldout", "masked_lm_loss": 0.5, "seconds": 1.0}],
        [{"step": 1, "kind": "train", "tokens_per_second": 3.0, "seconds": 1.0, "data_seconds": 0}],
        [{**train_row(1), "grad_norm": 0.0, "ce": 0.0}],
        [*ROWS[:5], {**train_row(5), "loss": math.nan, "grad_norm": math.inf}],
        [{**row, "loss": row["mlm"]} for row in ROWS[1:9]],
    ],
)
def test_any_subset_of_what_is_measured_makes_a_report(tmp_path, rows):
    text = write_report(run_folder(tmp_path, rows)).read_text()
    assert "\n\nDistillation from" in text
    assert "nan" not in text.split("## Settings")[0]


def test_a_loss_of_one_term_is_drawn_once(tmp_path, monkeypatch):
    drawn = {}
    monkeypatch.setattr(
        "report.plots.plot_panels",
        lambda path, panels, **_: drawn.update({path.name: [panel.ylabel for panel in panels]}),
    )
    write_report(run_folder(tmp_path, [{**row, "loss": row["mlm"]} for row in ROWS[1:9]]))
    assert drawn["losses.png"] == [
        "masked LM (nats a token)",
        "T² KL to teacher (nats a token)",
        "cosine distance of hidden states",
    ]


def test_a_folder_that_holds_no_run_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="no run folder"):
        write_report(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    with pytest.raises(InputError, match="no run folder"):
        write_report(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"config\.json: kind is missing, and must be text"):
        write_report(tmp_path)


@pytest.mark.long
def test_the_command_ends_with_one_sentence_and_status_2(tmp_path):
    command = [sys.executable, "-m", "eval.report", str(tmp_path / "nowhere")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "nowhere is no run folder" in done.stderr


@pytest.mark.long
@pytest.mark.parametrize("room", [5_000, 200_000])  # for no picture; for them but not the text
def test_a_full_disk_leaves_the_report_of_before(tmp_path, room):
    run_folder(tmp_path)
    write_report(tmp_path)
    run_folder(tmp_path, ROWS[:22], config={**CONFIG, "note": "x" * 300_000})
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with (
        pytest.raises(InputError, match=r"cannot write .*(png|report\.md): "),
        full_disk(room),
    ):
        write_report(tmp_path)
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert after.keys() == before.keys()
    assert after["report.md"] == before["report.md"]
    if room == 5_000:
        assert after == before


@pytest.mark.oracle
def test_the_lines_that_load_the_model_do(tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.DistilBertConfig(vocab_size=8, dim=8, hidden_dim=8, n_heads=2, n_layers=1)
    transformers.DistilBertForMaskedLM(config).save_pretrained(tmp_path / "model")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c"]
    vocabulary = {word: i for i, word in enumerate(words)}
    transformers.BertTokenizer(vocab=vocabulary).save_pretrained(tmp_path / "model")
    text = write_report(run_folder(tmp_path)).read_text()
    names: dict = {}
    exec(re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)[0], names)
    assert type(names["model"]).__name__ == "DistilBertForMaskedLM"
    assert names["tokenizer"]("a c")["input_ids"] == [2, 5, 7, 3]


@pytest.mark.parametrize(("length", "window"), [(1, 3), (5, 1), (50, 2), (50, 7), (6, 100)])
def test_smoothing_is_the_mean_around_each_point(length, window):
    values = np.random.default_rng(0).normal(size=length)
    reach = window // 2
    expected = [values[max(i - reach, 0) : i + reach + 1].mean() for i in range(length)]
    np.testing.assert_allclose(smooth(values, window), expected, rtol=1e-12, atol=1e-12)


def drawn_axes(panel: Panel):
    figure = Figure(figsize=(7, 4), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    _draw(axes, panel, "updates")
    canvas.draw()
    return axes, canvas.get_renderer()


def test_names_are_in_the_margin_with_the_colours_and_the_order_of_their_curves():
    curves = {"low": [(0, 9.0), (20, 1.0)], "high": [(0, 9.0), (20, 8.0)]}
    axes, renderer = drawn_axes(Panel(curves, "loss", floor=3.0))
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["high", "unigram floor", "low"]
    low, high, floor = (line.get_color() for line in axes.get_lines())
    assert [text.get_color() for text in legend.get_texts()] == [high, floor, low]
    box = legend.get_window_extent(renderer)
    assert axes.get_window_extent().x1 <= box.x0 and box.x1 <= axes.figure.bbox.x1


def test_a_single_curve_is_named_by_its_axis_alone():
    axes, _ = drawn_axes(Panel({"loss": [(0, 9.0), (20, 1.0)]}, "loss"))
    assert axes.get_legend() is None


def test_a_long_noisy_curve_is_smoothed_before_its_pale_original():
    rng = np.random.default_rng(0)
    curve = [(step, float(value)) for step, value in enumerate(rng.normal(size=10_000))]
    axes, _ = drawn_axes(Panel({"a": curve}, "loss"))
    raw, smoothed = axes.get_lines()
    assert len(np.asarray(raw.get_xdata())) <= 2000
    assert (raw.get_alpha() or 1) < 0.5
    assert np.std(np.asarray(smoothed.get_ydata())) < 0.1 < np.std(np.asarray(raw.get_ydata()))


@pytest.mark.parametrize(("smoothing", "lines"), [("off", 1), ("alone", 1), ("over original", 2)])
def test_only_noise_has_an_original_behind_it(smoothing, lines):
    curve = [(step, float(step % 2)) for step in range(1000)]
    axes, _ = drawn_axes(Panel({"a": curve}, "clipped", smoothing=smoothing))
    assert len(axes.get_lines()) == lines
    values = np.asarray(axes.get_lines()[-1].get_ydata())
    if smoothing == "off":
        assert set(values) == {0.0, 1.0}
    else:
        np.testing.assert_allclose(values, 0.5, atol=0.05)


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_one_value_that_is_not_finite_does_not_spoil_the_curve(broken):
    curve = [(step, broken if step == 500 else 1.0) for step in range(1000)]
    axes, _ = drawn_axes(Panel({"a": curve}, "loss"))
    assert all(np.isfinite(np.asarray(line.get_ydata())).all() for line in axes.get_lines())


def test_pictures_leave_the_state_of_matplotlib_alone(tmp_path):
    before = dict(matplotlib.rcParams)
    curves = {"a": [(0, 1.0), (5, 0.5)], "b": [(0, 1.0), (5, 0.25)]}
    plot_panels(
        tmp_path / "a.png", [Panel(curves, "y", floor=0.75, share=True)], xlabel="x", title="t"
    )
    plot_panels(tmp_path / "b.png", [Panel(curves, "y")] * 3, xlabel="x", title="t")
    assert png_size(tmp_path / "a.png") == (1120, 640)
    assert png_size(tmp_path / "b.png")[0] == 1408
    assert dict(matplotlib.rcParams) == before
    assert not _pylab_helpers.Gcf.figs
