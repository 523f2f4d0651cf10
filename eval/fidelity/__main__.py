"""The fidelity of a student to its teacher, beside its accuracy.

    python -m eval.fidelity runs/distill-tiny/model --teacher assets/bert-tiny-pydocs
    python -m eval.fidelity STUDENT --teacher TEACHER --data.corpus my-texts/ --output fidelity
    python -m eval.fidelity STUDENT --teacher TEACHER --tagged pos.conll

Of masked tokens in held-out text: agreement, also where the teacher errs, KL, accuracy, NLL, Brier
score and calibration error. Of hidden states: debiased linear CKA of all pairs of layers, beside an
untrained student and a shuffled teacher. Of attention: heads matched one to one. With --tagged,
linear probes of word classes, beside a control task.

Writes fidelity.md, fidelity.json and pictures. docs/fidelity.md says what each can tell.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from data.config import DataConfig
from data.storage.atomic import check_folder, make_folder, write_text
from data.storage.provenance import provenance, write_json_atomic
from eval.fidelity.measure import Fidelity, measure_fidelity
from eval.fidelity.probe import TaggedWords, read_tagged
from eval.fidelity.tables import head_lines, layer_lines, prediction_lines, probe_lines
from eval.masked_lm import open_models
from model.ranges import Count, Range, Rows, check_settings
from model.terminal import say
from report.markdown import code, escaped, text_table
from report.tables import terminal_table


@dataclass(frozen=True, kw_only=True)
class FidelityConfig:
    """Compare a student with its teacher, in float32."""

    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL")]
    """A folder or hub name of a BERT or DistilBERT with its masked-LM head."""
    teacher: str
    """The model to compare it with, of the same vocabulary."""
    data: DataConfig = DataConfig()
    tagged: Path | None = None
    """A file of words with classes for probes: a word a line, its class in the last column, a blank
    line after each sentence (CoNLL)."""
    tokens: Annotated[int, Range(16, 10**6)] = 4096
    """Tokens whose hidden states are compared."""
    batch_size: Rows = 32
    """Sequences that are read at a time; changes only the speed."""
    heldout_sequences: Count | None = None
    """The largest number of held-out sequences, evenly spread; by default all."""
    output: Path = Path("fidelity")
    """The folder of fidelity.md, fidelity.json and the pictures."""


def evaluate_fidelity(config: FidelityConfig) -> Fidelity:
    """Measures, prints and writes.

    Raises:
        InputError: models, tokenizer, text and tagged words do not fit, or the disk refuses.
    """
    check_settings(config)
    check_folder(config.output)
    models, data = open_models({"model": config.model, "teacher": config.teacher}, config.data)
    words = None
    if config.tagged is not None:
        length = min(model.config.max_positions for model in models.values())
        length = min(length, max(config.data.sequence_length, 4))
        words = read_tagged(config.tagged, data.vocabulary, length=length, rows=config.batch_size)
    limit = config.heldout_sequences
    fidelity = measure_fidelity(
        models, data, words, rows=config.batch_size, limit=limit, tokens=config.tokens
    )
    tables = {
        f"Predictions of {fidelity.predicted:,} masked tokens": prediction_lines(fidelity),
        f"Debiased CKA over {fidelity.tokens:,} tokens": layer_lines(fidelity),
        "Attention heads": head_lines(fidelity),
    }
    if words is not None:
        count = f"{len(words.classes):,} words of {len(words.names)} classes"
        tables[f"Linear probes of {count}"] = probe_lines(fidelity)
    for title, (header, lines) in tables.items():
        Console(highlight=False, markup=False).print(terminal_table(title, header, lines))
    make_folder(config.output)
    heads = models["model"].config.num_heads, models["teacher"].config.num_heads
    pictures = _draw(config.output, fidelity, heads, words)
    parts = [
        f"# Fidelity of {code(config.model)} to {code(config.teacher)}",
        f"On held-out text of {escaped(data.corpus.name)}. ± is half the 95 % interval over "
        "sequences, which are taken as independent of each other. Layers are counted from 0.",
    ]
    for (title, table), picture in zip(tables.items(), pictures, strict=True):
        parts += [f"## {title}", text_table(*table)]
        parts += [f"![{title}]({picture})"] if picture else []
    write_text(config.output / "fidelity.md", "\n\n".join(parts) + "\n")
    record = {"settings": config, "corpus": data.corpus.fingerprint}
    write_json_atomic(
        config.output / "fidelity.json",
        {**record, "fidelity": as_record(fidelity), "provenance": provenance()},
    )
    say(f"written to {config.output}")
    return fidelity


def _draw(
    folder: Path, fidelity: Fidelity, heads: tuple[int, int], words: TaggedWords | None
) -> list[str]:
    """The names of the pictures, one a table; "" where there is none."""
    from eval.fidelity.picture import draw_cka, draw_heads, draw_probes

    draw_cka(folder / "cka.png", fidelity)
    draw_heads(folder / "heads.png", fidelity, heads)
    if words is None:
        return ["", "cka.png", "heads.png"]
    draw_probes(folder / "probes.png", fidelity, words.majority)
    return ["", "cka.png", "heads.png", "probes.png"]


def as_record(fidelity: Fidelity) -> dict:
    """All values, for a file of JSON."""
    return {
        "metrics": fidelity.metrics,
        "intervals": fidelity.intervals,
        "predicted_tokens": fidelity.predicted,
        "tokens": fidelity.tokens,
        "cka": {name: table.tolist() for name, table in fidelity.cka.items()},
        "heads": {
            name: {"affinity": each.affinity.tolist(), "pairs": each.pairs, "mean": each.mean}
            for name, each in fidelity.heads.items()
        },
        "probes": fidelity.probes,
    }


if __name__ == "__main__":
    from train.command.cli import main, parse

    main(
        lambda: evaluate_fidelity(
            parse(FidelityConfig, prog="python -m eval.fidelity", description=__doc__)
        )
    )
