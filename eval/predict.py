"""Predictions of a model for a text: any checkpoint, with whichever head it has.

    python -m eval.predict runs/finetune-sst2/model "a charming film" "dull from start to end"
    python -m eval.predict runs/finetune-mrpc/model "He left." --pair "He went away."
    python -m eval.predict runs/finetune-wnut17/model --file sentences.txt --jsonl
    python -m eval.predict runs/finetune-squad/model "Ada came at noon." --question "Who came?"
    echo "The list is [MASK]." | python -m eval.predict assets/bert-tiny-pydocs

From Python:

    model, vocabulary = open_model("runs/finetune-squad/model")
    predict(model, vocabulary, ["Ada came at noon."], Asked(question="Who came?"))
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Annotated, Any

import tyro

from data.storage.lines import read_lines
from data.tokenizer import load_vocabulary
from data.vocabulary import Vocabulary
from eval.inference import Description, check_asked, describe, kind_of, lines_of
from model.errors import InputError
from model.hf.checkpoint import open_checkpoint
from model.pretrained import load
from model.ranges import check_settings
from model.terminal import say
from tasks.reading import Asked
from tasks.words.encode import check_text


@dataclass(frozen=True, kw_only=True)
class PredictConfig(Asked):
    """Ask a model about texts: arguments, the lines of a file, or those of standard input.

    Its config.json says what it predicts: labels with probabilities, a value, entities or
    tagged words with their places, answers to a question, or fillings for [MASK].
    """

    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL")]
    """A folder or hub name of a BERT or DistilBERT, ours or Hugging Face's."""
    texts: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="TEXT ...")] = ()
    """The texts, each in quotes; a question answerer looks for answers in them."""
    file: Path | None = None
    """Read the texts from here, one a line; blank lines are passed over."""
    jsonl: bool = False
    """Print a JSON object for each text, on a line of its own, for programs."""


def predict(
    model: Any, vocabulary: Vocabulary, texts: Sequence[str], asked: Asked | None = None
) -> list[Description]:
    """The predictions of a model for each text; a warning in the log counts those too long.

    Args:
        model: of `model.tasks`, with any head but multiple choice and next sentence.
        vocabulary: its own, from `data.tokenizer.load_vocabulary`.
        texts: not empty.
        asked: a second text, a question, how many results; by default none of these.

    Returns:
        For each text its `text`, the `pair` or `question` if there is one, and, likeliest first,

        - of a classifier: `label`, `probability`, and `probabilities` by label;
        - of one with a single output: `value`;
        - of a tagger: `entities` as they come, each with `type`, `text`, `start` and `end`; where
          its tags are of no scheme such as IOB, `words`, each with `tag`, `text`, `start`, `end`;
        - of a question answerer: `answers`, each with `text`, `start`, `end` and `probability`
          (among 20 candidates); an empty `text` means that there is no answer;
        - of a masked LM: `masks`, for each [MASK] a list of `token` and `probability`.

        Places are numbers of characters: `text[start:end]`.

    Raises:
        InputError: a text is empty, or what is asked does not go with the model.
    """
    asked = asked or Asked()
    check_asked(kind_of(model), asked)
    for number, text in enumerate(texts, 1):
        check_text(text, f"text {number}")
    if not texts:
        return []
    both = {name: getattr(asked, name) for name in ("pair", "question")}
    context = {name: value for name, value in both.items() if value is not None}
    found = describe(model, vocabulary, texts, asked)
    return [{"text": text, **context, **more} for text, more in zip(texts, found, strict=True)]


def open_model(path: str) -> tuple[Any, Vocabulary]:
    """A checkpoint with the head that its config.json names, and its vocabulary.

    Raises:
        InputError: there is none, or it gives several labels at once.
    """
    checkpoint = open_checkpoint(path)
    if checkpoint.settings.get("problem_type") == "multi_label_classification":
        raise InputError(f"{path} gives a text several labels at once, which is not supported")
    return load(checkpoint), load_vocabulary(checkpoint.place)


def run(config: PredictConfig) -> None:
    """Prints the model's predictions for the texts.

    Raises:
        InputError: as `predict`; the message names the argument, or the file and line.
    """
    check_settings(config)
    model, vocabulary = open_model(config.model)
    kind = kind_of(model)
    check_asked(kind, config)
    for number, result in enumerate(predict(model, vocabulary, _texts(config), config)):
        if config.jsonl:
            say(json.dumps(result, ensure_ascii=sys.stdout.encoding.lower() != "utf-8"))
            continue
        asked = [result[name] for name in ("text", "pair", "question") if name in result]
        quoted = [shorten(text, 100, placeholder=" ...") for text in asked]
        say(*[""] * (number > 0), *quoted, *lines_of(kind, result))


def _texts(config: PredictConfig) -> list[str]:
    if config.texts and config.file:
        raise InputError("--file goes without texts as arguments: give one or the other")
    if config.texts:
        return list(config.texts)
    name = config.file or "standard input"
    lines = read_lines(config.file) if config.file else _standard_input()
    numbered = {number: line.rstrip("\r\n") for number, line in enumerate(lines, 1)}
    texts = {number: text for number, text in numbered.items() if text.strip()}
    if len(texts) < len(numbered):
        blank = sorted(numbered.keys() - texts.keys())
        count = f"{len(blank):,} blank lines are" if len(blank) > 1 else "a blank line is"
        say(f"{name}: {count} passed over, the first is line {blank[0]}", error=True)
    for number, text in texts.items():
        check_text(text, f"{name}, line {number},")
    if not texts:
        raise InputError(
            f"{name} has no text: give texts as arguments, or one a line in --file or on standard "
            "input"
        )
    return list(texts.values())


def _standard_input() -> Iterator[str]:
    if sys.stdin.isatty():
        say("One text a line; Ctrl-D after the last.", error=True)
    for number, line in enumerate(sys.stdin.buffer, 1):
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError:
            raise InputError(f"standard input, line {number}, is not UTF-8 text") from None


if __name__ == "__main__":
    from train.command.cli import main

    main(lambda: run(tyro.cli(PredictConfig, prog="python -m eval.predict", description=__doc__)))
