"""Predictions of a model for a text: any checkpoint, with whichever head it has.

    python -m eval.predict runs/finetune-sst2/model "a charming film" "dull from start to end"
    python -m eval.predict runs/finetune-mrpc/model "He left." --pair "He went away."
    python -m eval.predict runs/finetune-wnut17/model --file sentences.txt --jsonl
    python -m eval.predict runs/finetune-mrpc/model --file pairs.csv --jsonl
    python -m eval.predict runs/finetune-sts/model --file sentences.txt --embed vectors.npy
    python -m eval.predict runs/finetune-squad/model "Ada came at noon." --question "Who came?"
    python -m eval.predict runs/finetune-swag/model "He sits." --choices "He eats." "It barks."
    python -m eval.predict runs/finetune-scitldr/model --file abstracts.txt --top 1
    python -m eval.predict ENCODER "She has [[copper fever]]." --link dictionary.txt
    python -m eval.predict runs/finetune-wnut17/model --file sentences.txt --link dictionary.txt
    echo "The list is [MASK]." | python -m eval.predict assets/bert-tiny-pydocs

From Python:

    model, vocabulary = open_model("runs/finetune-squad/model")
    predict(model, vocabulary, ["Ada came at noon."], Asked(question="Who came?"))
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from textwrap import shorten
from typing import Annotated, Any

import tyro

from data.tokenizer import load_vocabulary
from data.vocabulary import Vocabulary
from eval.asking.inference import (
    Answering,
    Description,
    Input,
    check_asked,
    check_input,
    describe,
    kind_of,
    lines_of,
)
from eval.asking.inputs import read_inputs
from eval.asking.linked import link_answering
from eval.asking.vectors import write_npy
from model.errors import InputError
from model.hf.checkpoint import open_checkpoint
from model.pretrained import load
from model.ranges import Prompt, check_settings
from model.terminal import say, say_json
from tasks.reading import Asked
from tasks.windows import Remark, add_up

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PredictConfig(Asked):
    """Ask a model about texts: arguments, the lines or rows of a file, or lines of standard input.

    Its config.json says what it predicts: labels with probabilities, values, entities or tagged
    words with their places, answers to a question, choices, the sentences of a summary, a
    translation or summary that it writes, fillings for [MASK], or the cosine of two texts.
    """

    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL")]
    """A folder or hub name of a BERT or DistilBERT, ours or Hugging Face's."""
    texts: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="TEXT ...")] = ()
    """The texts, each in quotes; a question answerer looks for answers in them."""
    file: Path | None = None
    """Read the texts from here: one a line, without blank lines, or a row of a csv, tsv, jsonl,
    json or parquet file. Its columns are called `text` and, of pairs, `pair`; for questions
    `context` and, unless --question is given, `question`; of choices `choices`, or `choice0`,
    `choice1` and so on. An `id` comes out again."""
    link: Path | None = None
    """A dictionary, a line for each concept: ID|OTHER ID||NAME|OTHER NAME. The entities that a
    tagger finds or, with any other model, the mentions that you mark [[like this]] are linked to
    its concepts."""
    link_model: str | None = None
    """The encoder that ranks the candidates for a tagger's entities; by default their spelling
    does. For marked mentions it is MODEL."""
    embed: Path | None = None
    """Write the vectors of the texts to this file instead, in NumPy's format (npy): float32, a row
    for each text. Any encoder has them; its folder says how, if it is sentence-transformers'."""
    prompt: Prompt | None = None
    """For --embed: what to put before each text, such as "query: ". A model that was trained with
    prompts needs one, or "" for none."""
    jsonl: bool = False
    """Print a JSON object for each text, on a line of its own, for programs."""


def predict(
    model: Any, vocabulary: Vocabulary, texts: Sequence[str], asked: Asked | None = None
) -> list[Description]:
    """The predictions of a model for each text; a warning in the log counts those too long.

    Args:
        model: of `model.tasks`, with any head but next sentence.
        vocabulary: its own, from `data.tokenizer.load_vocabulary`.
        texts: not empty.
        asked: a second text, a question, choices, how many results; by default none of these.

    Returns:
        For each text its `text`, its `pair`, `question` or `choices`, and, likeliest first,

        - of a classifier: `label`, `probability`, and `probabilities` by label;
        - of one with any number of labels: `labels`, those above the threshold, and
          `probabilities` by label;
        - of a model of values: `value`, or of several `values` by name, as the model orders them;
        - of a tagger: `entities` as they come, each with `type`, `text`, `start` and `end`; where
          its tags are of no scheme such as IOB, `words`, each with `tag`, `text`, `start`, `end`;
        - of a question answerer: `answers`, each with `text`, `start`, `end` and `probability`
          (among 20 candidates); an empty `text` means that there is no answer;
        - of a model of multiple choice: `choice`, `probability`, and `probabilities` by choice;
        - of a summariser: `summary`, its sentences on lines, and the same in `sentences`, each with
          `text`, `start`, `end` and `probability`, in the order of the text;
        - of a model that writes: `written`, and its `log_probability`, divided by a power of its
          length;
        - of a masked LM: `masks`, for each [MASK] a list of `token` and `probability`.

        Places are numbers of characters: `text[start:end]`.

    Raises:
        InputError: a text is empty, or what is asked does not go with the model.
    """
    asked = asked or Asked()
    check_asked(kind_of(model), asked)
    inputs = [Input(f"text {number}", text, asked) for number, text in enumerate(texts, 1)]
    for each in inputs:
        check_input(model, vocabulary, each)
    if not inputs:
        return []
    found, remarks = describe(model, vocabulary, inputs)
    _log(remarks)
    return found


def open_model(path: str) -> tuple[Any, Vocabulary]:
    """A checkpoint with the head that its config.json names, and its vocabulary.

    Raises:
        InputError: there is none.
    """
    checkpoint = open_checkpoint(path)
    return load(checkpoint), load_vocabulary(checkpoint.place)


def answering(config: PredictConfig) -> Answering:
    """The answers of the model's head or, with --link, links of what it finds or what is marked.

    Raises:
        InputError: there is no such model, or flags do not go together.
    """
    if config.link is None:
        if config.link_model is not None:
            raise InputError("--link-model ranks the candidates of --link: give both or neither")
        model, vocabulary = open_model(config.model)
        kind = kind_of(model)
        return Answering(
            kind,
            config,
            partial(check_input, model, vocabulary),
            partial(describe, model, vocabulary),
            partial(lines_of, kind),
        )
    return link_answering(config.model, config.link, config.link_model, config)


def run(config: PredictConfig) -> None:
    """Prints the model's predictions for the texts, a chunk of them at a time.

    Raises:
        InputError: as `predict`; the message names the argument, or the file and line, and counts
            the texts that were answered before.
    """
    check_settings(config)
    if config.embed is not None:
        return _embed(config, config.embed)
    if config.prompt is not None:
        raise InputError("--prompt is put before the texts of --embed: give both or neither")
    kind, asked, check, answer, lines = answering(config)
    remarks: list[Remark] = []
    answered = 0
    try:
        for chunk in read_inputs(kind, config.texts, config.file, asked, check):
            found, more = answer(chunk)
            remarks += more
            for result in found:
                if config.jsonl:
                    say_json(result)
                else:
                    say(*[""] * (answered > 0), *_for_people(result, lines))
                answered += 1
    except InputError as error:
        if not answered:
            raise
        count = "1 answer" if answered == 1 else f"{answered:,} answers"
        raise InputError(f"after {count}: {error}") from None
    finally:
        _log(add_up(remarks, answered))


def _embed(config: PredictConfig, path: Path) -> None:
    for flag, given in {
        "--link": config.link,
        "--link-model": config.link_model,
        "--jsonl": config.jsonl,
    }.items():
        if given:
            raise InputError(f"{flag} means nothing to --embed, which writes vectors")
    asked = Asked(**{field.name: getattr(config, field.name) for field in fields(Asked)})
    write_npy(path, config.model, config.texts, config.file, asked, config.prompt)


def _for_people(
    result: Description, lines: Callable[[Description], Iterable[str]]
) -> Iterator[str]:
    for name in ("id", "text", "pair", "question"):  # choices come with their probabilities
        if name in result:
            yield shorten(str(result[name]), 100, placeholder=" ...")
    yield from lines(result)


def _log(remarks: Iterable[Remark]) -> None:
    for remark in remarks:
        logger.warning("texts: %s", remark)


if __name__ == "__main__":
    from train.command.cli import main, parse

    main(lambda: run(parse(PredictConfig, prog="python -m eval.predict", description=__doc__)))
