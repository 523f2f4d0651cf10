"""Speed of reading and of training, as ratios measured at one time on the same machine.

    python -m eval.speed
    python -m eval.speed --against torch --json speed.json
    python -m eval.speed reading --against onnxruntime --repeats 20
    python -m eval.speed predictions --against torch
    python -m eval.speed updates --against torch
    python -m eval.speed updates --device gpu --attention-dropout 0 --minutes 8 --json speed.json
    python -m eval.speed study --size base
    python -m eval.speed vocabulary --batch-size 8 64 --sequence-length 512
    python -m eval.speed search --documents 100000 1000000 --vectors float16
    python -m eval.speed generation --model my-translator --against torch
    python -m eval.speed serving --clients 64 --tokens 32

reading (the default): sentences a second that BERT and DistilBERT read, beside the paper's ratio.
predictions: texts that eval.predict classifies, beside the compiled model without tokenisation, and
transformers' pipeline.
updates: whole updates of pretraining (BERT-base) and distillation (BERT-base reads,
DistilBERT-base reads and learns), and epochs of fine-tuning (DistilBERT-base, texts as long as
SST-2's): tokens/s, model FLOP utilisation, peak memory, and seconds of compilation.
study: the five students of `paper-table-4` trained together, against each of them alone.
vocabulary: the losses over the vocabulary in chunks, against all scores at once.
search: exact search for queries among random vectors of documents, with its memory.
generation: tokens a second that a decoder writes, greedily and by beams, with its memory.
serving: requests that eval.serve answers to many clients at once, with its memory.
Weights and tokens are random: speed does not depend on their values.
What is measured, and about how long that takes, is said before; in updates, a contender that is ten
times slower than the fastest is cut short.

Only the command line needs tyro, and reading and updates without fine-tuning need no grain either:
`from eval.speed import UpdateSpeed, speed; speed(UpdateSpeed(loops=("pretrain", "distill")))`.
"""

import inspect
import sys
from typing import Any

from rich.console import Console

from eval.timing.loops import measure_updates
from eval.timing.measurement import run_measurement
from eval.timing.reading import measure_reading
from eval.timing.settings import (
    GenerationSpeed,
    PredictionSpeed,
    ReadingSpeed,
    SearchSpeed,
    ServingSpeed,
    Speed,
    StudySpeed,
    UpdateSpeed,
    VocabularySpeed,
)
from model.terminal import say

MEASUREMENTS: dict[str, type[Speed]] = {
    "reading": ReadingSpeed,
    "predictions": PredictionSpeed,
    "updates": UpdateSpeed,
    "study": StudySpeed,
    "vocabulary": VocabularySpeed,
    "search": SearchSpeed,
    "generation": GenerationSpeed,
    "serving": ServingSpeed,
}


def speed(settings: Speed) -> dict[str, Any]:
    """Measures, prints, and writes the file that was asked for.

    Raises:
        InputError: a setting makes no sense, or asks for a device or library that is not there.
    """
    result = run_measurement(settings, _measure)
    medians = "" if is_run_once(settings) else f"Medians of {settings.repeats}. "
    say(
        f"{medians}Load average before: {result['load_average_before']:.1f} (the ratios mean "
        "something only on a quiet machine, where it is near 0)."
    )
    return result


def is_run_once(settings: Speed) -> bool:
    """True for what takes too long to be repeated."""
    return isinstance(settings, StudySpeed) and settings.commands


def announcement(settings: Speed) -> str:
    """Sentence on what is measured, and how often."""
    what = inspect.getdoc(type(settings)) or ""
    if is_run_once(settings):
        return f"{what} Each is run once."
    return f"{what} Each is run once, and then {settings.repeats} times for its time."


def _measure(settings: Speed, console: Console) -> dict[str, Any]:
    say(announcement(settings))
    if isinstance(settings, ReadingSpeed):
        return measure_reading(settings, console)
    if isinstance(settings, UpdateSpeed):
        return measure_updates(settings, console)
    if isinstance(settings, PredictionSpeed):  # this and the next two need tyro and grain
        from eval.timing.predictions import measure_predictions

        return measure_predictions(settings, console)
    if isinstance(settings, StudySpeed):
        from eval.timing.study import measure_study

        return measure_study(settings, console)
    if isinstance(settings, VocabularySpeed):
        from eval.timing.vocabulary import measure_vocabulary

        return measure_vocabulary(settings, console)
    if isinstance(settings, GenerationSpeed):
        from eval.timing.generation.measure import measure_generation

        return measure_generation(settings, console)
    if isinstance(settings, ServingSpeed):
        from eval.serve.load import measure_serving

        return measure_serving(settings, console)
    assert isinstance(settings, SearchSpeed)
    from eval.timing.search import measure_search

    return measure_search(settings, console)


if __name__ == "__main__":
    from train.command.cli import choose, main

    argv = sys.argv[1:]
    if not argv or (argv[0].startswith("-") and argv[0] not in ("-h", "--help")):
        argv = ["reading", *argv]
    main(lambda: speed(choose(MEASUREMENTS, "eval.speed", argv, about=__doc__, what="measurement")))
