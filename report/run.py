"""report.md: the settings and results of a training run, for people, with pictures."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flax.traverse_util import flatten_dict

from data.storage.atomic import write_text
from data.storage.run_folder import (
    RunRecord,
    read_metrics,
    read_run_record,
    without_compilation,
)
from model.hf.card import elsewhere
from model.hf.checkpoint import open_checkpoint
from model.tasks import DocumentClassification
from report.evaluations import (
    Record,
    best_evaluation,
    curve_of,
    kept_evaluation,
    measured_metrics,
    yardstick,
)
from report.first_hour import first_hour
from report.gradients import HOW_TO_READ_GRADIENTS, gradient_rows, gradients_of
from report.markdown import code, escaped, fenced, text_table
from report.naming import AGREEMENT, FLOORS, NAMES, SHARES, noun, written
from report.panel import Panel, Smoothing
from report.results import totals
from report.tables import duration, listed
from tasks.catalogue import TASKS

LOOP_TITLES = {
    "pretrain": "Pretraining",
    "distill": "Distillation",
    "finetune": "Fine-tuning",
}
RUNNING = ("learning_rate", "grad_norm", "clipped", "tokens_per_second")
SMOOTHING: dict[str, Smoothing] = {"learning_rate": "off", "clipped": "alone"}


def write_report(folder: Path) -> Path:
    """Writes `folder`/report.md and its pictures from config.json and metrics.jsonl.

    Returns:
        The path of the report.

    Raises:
        InputError: the folder holds no run, or the disk refuses.
    """
    run, rows = read_run_record(folder), read_metrics(folder)
    train = [row for row in rows if row["kind"] == "train"]
    heldout = [row for row in rows if row["kind"] == "heldout"]
    where = "the development set" if run.kind == "finetune" else "held-out text"
    parts = [
        f"# {escaped(folder.absolute().name)}",
        f"{what_was_run(folder, run, rows)} {escaped(what_came_out(run, where, heldout))}",
        *heldout_table(where, heldout),
        *first_hour(run, train),
        *_pictures(folder, where, train, heldout),
        *_gradients(train),
        *_how_to_load(folder / "model", kept_evaluation(run, heldout)),
        *_settings(run.settings),
    ]
    path = folder / "report.md"
    write_text(path, "\n\n".join(parts) + "\n")
    return path


def what_was_run(folder: Path, run: RunRecord, rows: Sequence[Record]) -> str:
    """Sentences on a run: its models, its length and its speed."""
    what = LOOP_TITLES.get(run.kind, "Training")
    if run.kind == "finetune":
        what += f" of {code(f'{run.model}')} for {escaped(f'{run.task}')}"
    if run.start:
        what += f" of {code(run.start)}, further"
    if run.teacher:
        what += f" from {code(run.teacher)}"
    sums = totals(folder, rows)
    done, recorded, planned = sums["updates"], sums["recorded_updates"], run.facts.total_steps
    counted = f"{done:,} updates" if planned == done else f"{done:,} of {planned:,} updates"
    if not done:
        return f"{what}, before the first update."
    if not recorded:
        return f"{what}: {counted}, none of which is recorded."
    if recorded < done:
        counted += f", of which only {recorded:,} are recorded. These were"
    running = without_compilation(rows)
    waited, updating = (sum(row[name] for row in running) for name in ("data_seconds", "seconds"))
    share = waited / updating if updating else 0.0
    devices = run.provenance.devices
    padding = ""
    if sums["padding"] >= 0.0005:
        padding = (
            f" Padding, which is no token, fills {100 * sums['padding']:.1f} % of the batches."
        )
    return (
        f"{what}: {counted} on {sums['tokens']:,} tokens in {duration(sums['seconds'])} on "
        f"{devices.count} × {escaped(devices.kind)}, {sums['tokens_per_second']:,.0f} tokens/s at "
        f"the median (compilation and evaluation are in the time, not in the speed).{padding} "
        f"Waiting for data took {100 * share:.1f} % of the time of the updates."
    )


def what_came_out(run: RunRecord, where: str, heldout: Sequence[Record]) -> str:
    """Sentences on the held-out metrics of the model that is left."""
    if not heldout:
        return f"It was not evaluated on {where}."
    first, best, last = heldout[0], best_evaluation(heldout), heldout[-1]
    kept = kept_evaluation(run, heldout) or last
    names = [name for name in FLOORS if name in last] or measured_metrics(last)

    def change(name: str) -> str:
        start = f"went from {written(name, first[name])} to" if name in first is not kept else "is"
        return f"the {noun(name)} {start} {written(name, kept[name])}"

    text = f"On {where} {listed([change(name) for name in names])}."
    floors = [written(name, last[FLOORS[name]]) for name in names if FLOORS.get(name) in last]
    if floors:
        text += (
            " For comparison, the unigram floor, a model that knows only how often each token "
            f"occurs, has {listed(floors)}."
        )
    if kept.get("collapsed") and run.task in TASKS:
        text += f" It has collapsed: {TASKS[run.task].kind.collapse}."
    if best["step"] != last["step"]:
        name = yardstick(last) if yardstick(last) in names else names[0]
        other = last if kept is best else best
        which, value, step = "last" if other is last else "best", other.get(name), other["step"]
        text += f" The {which} {noun(name)} was {written(name, value)}, after {step:,} updates."
    if len(heldout) - 1 - heldout.index(best) == run.patience:
        text += f" Training ended there (--patience {run.patience}): no later score was better."
    if AGREEMENT in last:
        share = written(AGREEMENT, last[AGREEMENT])
        text += f" Its first guess is its teacher's for {share} of the predicted tokens."
    return text


def heldout_table(where: str, heldout: Sequence[Record]) -> list[str]:
    """The section on held-out metrics at the start, the best step and the end; [] without any."""
    if not heldout:
        return []
    columns: dict[int, tuple[list[str], Record]] = {}
    first = "first" if heldout[0]["step"] else "start"
    for title, row in [
        (first, heldout[0]),
        ("best", best_evaluation(heldout)),
        ("final", heldout[-1]),
    ]:
        columns.setdefault(row["step"], ([], row))[0].append(title)
    last = heldout[-1]
    floors = {name: last[floor] for name, floor in FLOORS.items() if floor in last}
    header = [where, *(f"{', '.join(t)} ({step:,})" for step, (t, _) in columns.items())]
    header += ["unigram floor"] if floors else []
    lines = []
    for name in measured_metrics(last):
        cells = [written(name, row.get(name)) for _, row in columns.values()]
        cells += [written(name, floors.get(name))] if floors else []
        lines.append([NAMES.get(name, name), *cells])
    return ["## Results", text_table(header, lines)]


def _pictures(
    folder: Path, where: str, train: Sequence[Record], heldout: Sequence[Record]
) -> list[str]:
    from report.plots import plot_panels  # matplotlib takes a second to import

    measured = measured_metrics(heldout[-1] if heldout else {})
    quality = [name for name in measured if name not in ("exp_masked_lm_loss", "perplexity")]
    terms = [name for name in measured_metrics(train[-1] if train else {}) if name not in RUNNING]
    if any(curve_of(train, name) == curve_of(train, "loss") for name in terms if name != "loss"):
        terms.remove("loss")  # it is a single term, of weight 1
    running = [name for name in RUNNING if train and name in train[-1]]
    parts = []
    for file, title, rows, names in [
        ("heldout.png", f"On {where}", heldout, quality),
        ("losses.png", "What training minimises", train, terms),
        ("running.png", "How the training ran", train, running),
    ]:
        if names:
            panels = [_panel(rows, name) for name in names]
            plot_panels(folder / file, panels, xlabel="updates", title=title)
            parts.append(f"![{title}]({file})")
    note = "Noisy curves are means over a fortieth of the run, before the pale original."
    return ["## Curves", *parts, note] if parts else []


def _gradients(train: Sequence[Record]) -> list[str]:
    """The section on the gradients of the terms; [] where they were not measured."""
    measured = {row["step"]: gradients_of(row) for row in train}
    measured = {step: numbers for step, numbers in measured.items() if numbers}
    if not measured:
        return []
    columns = [{n: written(n, value) for n, value in each.items()} for each in measured.values()]
    header = ["", *(f"update {step:,}" for step in measured)]
    table = text_table(header, gradient_rows(columns))
    return ["## Gradients of the terms", table, HOW_TO_READ_GRADIENTS]


def _panel(rows: Sequence[Record], name: str) -> Panel:
    return Panel(
        {name: curve_of(rows, name)},
        ylabel=NAMES.get(name, name),
        floor=rows[-1].get(FLOORS.get(name, "")),
        smoothing=SMOOTHING.get(name, "over original"),
        share=name in SHARES,
        log=name == "grad_norm",
        from_zero=name in ("tokens_per_second", "learning_rate", "clipped"),
    )


def _how_to_load(model: Path, kept: Record | None) -> list[str]:
    if not (model / "model.safetensors").is_file():
        return []
    checkpoint = open_checkpoint(model)
    kind = checkpoint.model_class()
    which = f"the model after {kept['step']:,} updates, the best, and " if kept else ""
    if kind is DocumentClassification:
        which += "the folder of its encoder, with what is behind it in document.safetensors, and "
    library, program = elsewhere(kind, checkpoint.config, str(model))
    return [
        "## The model",
        f"{code(f'{model.name}/')} is {which}a Hugging Face folder; {library} loads it:",
        fenced(program, "python"),
    ]


def _settings(config: Record) -> list[str]:
    origin = {name: config[name] for name in ("facts", "provenance")}
    settings = {name: value for name, value in config.items() if name not in origin}
    parts = []
    for title, tree in [("Settings", settings), ("Where it comes from", origin)]:
        parts += [f"## {title}", settings_table(tree)]
    return parts


def settings_table(tree: Record) -> str:
    """The leaves of nested settings, by their dotted names."""
    leaves = flatten_dict(tree, sep=".")
    lines = [[code(name), code(_value(value))] for name, value in leaves.items()]
    return text_table(["field", "value"], lines, left=2)


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
