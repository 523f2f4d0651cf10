"""The card of a trained model: what it is, how it was made, how good it is, what nobody tested.

Scores have 95 % intervals where they are measured on examples one can count. What a base model's
card says of licence and language holds for what is made of it, as far as that card is on this
machine; where nothing says it, the card says so.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any, NamedTuple, cast

import huggingface_hub
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from data.corpora.hub import HUB_NAME
from data.storage.atomic import write_text
from data.storage.run_folder import RunRecord, read_metrics, read_run_record
from model.errors import InputError, first_line
from model.hf.card import (
    CARD_FILE,
    card_text,
    header,
    how_to_load,
    is_ours,
    model_sentence,
    parameter_count,
)
from model.hf.checkpoint import Checkpoint, open_checkpoint
from model.pretrained import load
from report.evaluations import kept_evaluation, measured_metrics
from report.markdown import escaped, fenced, text_table
from report.naming import NAMES, in_full, with_interval
from report.run import (
    heldout_table,
    settings_table,
    what_came_out,
    what_was_run,
)
from report.seeds import INTERVALS
from tasks.task import Task

SplitRecords = Mapping[str, Mapping[str, Any]]
"""Of each split a record as `tasks.score.split_record` has it."""


class Card(NamedTuple):
    """A card's header and its text."""

    data: ModelCardData
    text: str


def write_card(folder: Path, task: Task | None = None, scores: SplitRecords | None = None) -> None:
    """Writes the card of `folder`/model, unless somebody else's is there.

    Args:
        folder: of the run.
        task: of a fine-tuning.
        scores: of the model that is left, by split, likewise.

    Raises:
        InputError: the folder holds no run, or the disk refuses.
    """
    model = folder / "model"
    if not is_ours(model):
        return
    run, rows, checkpoint = read_run_record(folder), read_metrics(folder), open_checkpoint(model)
    heldout = [row for row in rows if row["kind"] == "heldout"]
    where = "the development set" if task else "held-out text"
    name = folder.absolute().name
    shown = without_folders(run)
    made = f"{what_was_run(folder, shown, rows)} {escaped(what_came_out(run, where, heldout))}"
    if task and scores:
        results = ["## Results", *_split_tables(task, scores), INTERVALS]
        found = _task_results(task, checkpoint, scores)
    else:
        alone = "It is one run with one seed: no interval says what another seed would change."
        results = [*heldout_table(where, heldout), alone]
        kept = kept_evaluation(run, heldout) or (heldout[-1] if heldout else {})
        found = _text_results(run, checkpoint, kept)
    text = card_text(
        _header(run, checkpoint, name, task, found),
        f"# {escaped(name)}",
        _what_it_is(checkpoint),
        "## How it was made",
        made,
        *_origin(shown),
        *results,
        *_not_tested(run, task, scores or {}),
        how_to_load(checkpoint.model_class(), checkpoint.config),
    )
    write_text(model / CARD_FILE, text)


def without_folders(run: RunRecord) -> RunRecord:
    """The record of a run in which paths of this machine end in their last names alone.

    A card may become public, and a path tells who works where.
    """

    def short(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: short(each) for name, each in value.items()}
        if isinstance(value, list):
            return [short(each) for each in value]
        if not isinstance(value, str):
            return value
        flag, equals, path = value.rpartition("=") if value.startswith("--") else ("", "", value)
        return f"{flag}{equals}.../{PurePath(path).name}" if path.startswith("/") else value

    settings = short(run.settings)
    origin = settings["provenance"]
    if command := origin.get("command"):
        settings["provenance"] = {**origin, "command": shlex.join(map(short, shlex.split(command)))}
    names = {name: short(getattr(run, name)) for name in ("model", "start", "teacher")}
    return replace(run, settings=settings, **names)


def add_scores(folder: Path, task: Task, scores: SplitRecords) -> Path:
    """Writes scores into the header and the text of a model's card, over those of the same task.

    Returns:
        The card, which is written anew if there is none.

    Raises:
        InputError: the folder is no model, its card has no header that can be read, or the disk
            refuses.
    """
    checkpoint, path = open_checkpoint(folder), folder / CARD_FILE
    card = read_card(path)
    if card is None:
        kind = checkpoint.model_class()
        card = parse_card(card_text(header(kind, checkpoint.config), _what_it_is(checkpoint)))
    data = card.data
    data.model_name = data.model_name or folder.absolute().name
    found = _task_results(task, checkpoint, scores)
    new = {_measured(each) for each in found}
    old = [each for each in data.eval_results or () if _measured(each) not in new]
    data.eval_results = [*old, *found]
    data.metrics = list(dict.fromkeys([*(data.metrics or ()), *task.metrics]))
    heading = f"## Scores on {escaped(task.title)}"
    section = "\n\n".join([heading, *_split_tables(task, scores), INTERVALS])
    before, there, after = f"\n{card.text.strip()}\n".partition(f"\n{heading}\n")
    _, more, rest = after.partition("\n## ") if there else ("", "", "")
    parts = [before.strip(), section, *([f"## {rest.strip()}"] if more else [])]
    write_text(path, "\n\n".join([f"---\n{data.to_yaml()}\n---", *parts]) + "\n")
    return path


def parse_card(text: str) -> Card:
    """The parts of a card; its header may be missing."""
    card = ModelCard(text if text.startswith("---") else f"---\n{{}}\n---\n{text}")
    return Card(cast(ModelCardData, card.data), card.text)


def read_card(path: Path) -> Card | None:
    """A card in a file; None if there is none.

    Raises:
        InputError: its header is no YAML, or not what the hub reads.
    """
    if not path.is_file():
        return None
    try:
        return parse_card(path.read_text("utf-8"))
    except Exception as error:  # of YAML, of the client's checks, of the disk
        raise InputError(f"{path}: its header cannot be read ({first_line(error)})") from None


def _what_it_is(checkpoint: Checkpoint) -> str:
    kind, count = checkpoint.model_class(), parameter_count(load(checkpoint))
    return model_sentence(kind, checkpoint.config, checkpoint.decoder, count)


def _header(
    run: RunRecord,
    checkpoint: Checkpoint,
    name: str,
    task: Task | None,
    results: Sequence[EvalResult],
) -> ModelCardData:
    bases = [name for name in (run.teacher, run.start, run.model) if isinstance(name, str)]
    known = [card.data for card in map(_card_of, bases) if card is not None]
    corpora = () if task else tuple(run.settings.get("data", {}).get("corpus", ()))
    own = set(corpora) == {"pydocs"}
    return header(
        checkpoint.model_class(),
        checkpoint.config,
        model_name=name,
        license=next((data.license for data in known if data.license), "unknown"),
        language=next((data.language for data in known if data.language), "en" if own else None),
        base_model=[name for name in map(_hub_name, bases) if name] or None,
        datasets=_data_sets(run, task, corpora) or None,
        metrics=list(dict.fromkeys(each.metric_type for each in results)) or None,
        eval_results=list(results) or None,
    )


def _data_sets(run: RunRecord, task: Task | None, corpora: Sequence[str]) -> list[str]:
    if task is None:
        return [name for name in map(_hub_name, corpora) if name]
    data = run.settings.get("data", {})
    own = data.get("root") or data.get("train")
    name = None if own or not task.hub else _hub_name(task.hub)
    return [name] if name else []


def _hub_name(name: str) -> str | None:
    """`owner/name` of a name on the hub; None for folders and files."""
    match = HUB_NAME.fullmatch(name)
    return match[1] if match and not Path(name).expanduser().exists() else None


def _card_of(name: str) -> Card | None:
    """The card of a base model, if it is on this machine and can be read."""
    folder = Path(name).expanduser()
    if not folder.is_dir():
        repository = _hub_name(name)
        found = repository and huggingface_hub.try_to_load_from_cache(repository, CARD_FILE)
        if not isinstance(found, str):
            return None
        folder = Path(found).parent
    try:
        return read_card(folder / CARD_FILE)
    except InputError:
        return None  # the card then says that the licence is unknown


def _task_results(task: Task, checkpoint: Checkpoint, scores: SplitRecords) -> list[EvalResult]:
    hub = HUB_NAME.fullmatch(task.hub or "")
    return [
        EvalResult(
            task_type=_pipeline(checkpoint),
            dataset_type=hub[1] if hub else task.name,
            dataset_config=hub[2] if hub else None,
            dataset_name=task.title,
            dataset_split=split,
            metric_type=name,
            metric_value=round(record["metrics"][name], 6),
            metric_name=_with_half(name, record.get("intervals", {}).get(name)),
        )
        for split, record in scores.items()
        for name in task.metrics
        if name in record["metrics"]
    ]


def _measured(result: EvalResult) -> tuple[str | None, ...]:
    """Equal for the same metric of the same data."""
    data = result.dataset_type, result.dataset_config, result.dataset_split
    return *data, result.metric_type


def _text_results(
    run: RunRecord, checkpoint: Checkpoint, row: Mapping[str, Any]
) -> list[EvalResult]:
    corpora = run.settings.get("data", {}).get("corpus", ())
    names = [name for name in measured_metrics(row) if isinstance(row[name], float)]
    return [
        EvalResult(
            task_type=_pipeline(checkpoint),
            dataset_type=" ".join(_hub_name(each) or Path(each).name for each in corpora) or "text",
            dataset_name="held-out text",
            dataset_split="heldout",
            metric_type=name,
            metric_value=round(row[name], 6),
            metric_name=NAMES.get(name, name),
        )
        for name in names
    ]


def _pipeline(checkpoint: Checkpoint) -> str:
    return header(checkpoint.model_class(), checkpoint.config).pipeline_tag or "other"


def _with_half(name: str, half: float | None) -> str:
    title = NAMES.get(name, name)
    return title if half is None else f"{title}, ± {half:.2g} (95 % interval)"


def _split_tables(task: Task, scores: SplitRecords) -> list[str]:
    parts = []
    for split, record in scores.items():
        metrics, halves = record["metrics"], record.get("intervals", {})
        lines = [
            [NAMES.get(name, name), with_interval(name, metrics.get(name), halves.get(name))]
            for name in in_full(task.metrics, metrics)
        ]
        parts.append(text_table([f"{split}, {record['examples']:,} examples", "score"], lines))
    return parts


def _origin(run: RunRecord) -> list[str]:
    """The command, the versions and the settings of a run."""
    origin = run.settings["provenance"]
    parts: list[str] = [fenced(origin["command"])] if origin.get("command") else []
    versions = ", ".join(f"{name} {each}" for name, each in origin.get("versions", {}).items())
    commit = run.provenance.git.get("commit")
    if versions:
        changed = " with changes" if run.provenance.git.get("dirty") else ""
        parts.append(f"With {versions}" + (f", commit {commit}{changed}." if commit else "."))
    left_out = ("facts", "provenance", "output", "run", "first_hour")
    settings = {name: each for name, each in run.settings.items() if name not in left_out}
    if "data" in settings:
        settings["data"] = {n: each for n, each in settings["data"].items() if n != "cache"}
    table = settings_table(settings)
    return [*parts, f"<details><summary>All settings</summary>\n\n{table}\n\n</details>"]


def _not_tested(run: RunRecord, task: Task | None, scores: SplitRecords) -> list[str]:
    missing = []
    if task is None:
        missing.append("any task: it was measured on held-out text of its own corpus alone")
    elif "test" not in scores:
        missing.append("test examples: the scores are those of the development set")
    missing += [
        "text of another kind, another time or another language than it learned from",
        "what it says of groups of people, and texts that are meant to mislead it",
    ]
    if run.provenance.devices.kind == "cpu":
        missing.append("training on a GPU or TPU: this was a run on a CPU")
    return ["## Not tested", "\n".join(f"* {each}" for each in missing)]
