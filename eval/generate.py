"""Texts that a model makes up, and how diverse they are beside human text.

    python -m eval.generate assets/bert-tiny-pydocs --teacher assets/bert-tiny-pydocs
    python -m eval.generate MODEL --samples 1000 --length 32 --temperatures 0.5 0.7 1.0 1.3
    python -m eval.generate STUDENT --beside TEACHER --teacher TEACHER --picture diversity.png
    python -m eval.generate MODEL --reference wikitext-2/wiki.valid.tokens --texts texts.jsonl

From a decoder (transformers' BertLMHeadModel) texts are drawn token by token, from a masked LM by
the sampler of Wang and Cho 2019: masked places are drawn again and again. It is called a sampler,
because the conditional probabilities of a masked LM belong to no joint distribution of texts, and
so it is no Gibbs sampling of one.

distinct-1, -2 and -3: different n-grams of tokens over all n-grams. self-BLEU: the mean BLEU-4 of
each text against the others (of at most 500), 100 if all are equal. Neither is quality: random
tokens are the most diverse. Hence the pseudo-perplexity under --teacher, a masked LM, beside them
(of the same 500 texts), and a line of human text, as many stretches of the same length.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import shorten
from typing import Annotated, Any

import numpy as np
import tyro
from rich.console import Console

from data.config import DataConfig
from data.corpora.open import Corpus, open_corpus
from data.open import open_other_heldout, open_vocabulary
from data.prepare import prepare_sequences
from data.storage.atomic import check_writable, write_text
from data.storage.provenance import provenance, write_json_atomic
from data.tokenizer import load_vocabulary
from data.vocabulary import Vocabulary
from eval.diversity.drawing import Drawing, DrawnTexts, draw_texts, load_reader, load_writer
from eval.diversity.human import human_texts
from eval.diversity.measure import COMPARED, measure_texts, surprisals
from eval.diversity.ngrams import check_self_bleu
from eval.diversity.table import MeasuredTexts, diversity_table
from model.errors import InputError
from model.hf.checkpoint import Checkpoint, open_checkpoint
from model.ranges import Range
from model.terminal import say

HUMAN = "human text"
PRINTED = 2
"""Texts of each model and temperature that are printed."""


@dataclass(frozen=True, kw_only=True)
class GenerateConfig(Drawing):
    """Draw texts from a model, and measure their diversity."""

    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL")]
    """A folder or hub name of a masked LM or of a decoder."""
    beside: tuple[str, ...] = ()
    """Other models of the same vocabulary, such as its teacher, to draw from too."""
    temperatures: tuple[Annotated[float, Range(0, 100, above=True)], ...] = (1.0,)
    """Each divides the logits: below 1, probable tokens become more probable."""
    teacher: str | None = None
    """A masked LM of the same vocabulary, whose pseudo-perplexity of the texts is measured."""
    reference: str | None = None
    """The human text, a file or another name as --data.corpus takes it; by default the held-out
    part of --data.corpus."""
    data: DataConfig = DataConfig()
    texts: Path | None = None
    """A file for all texts, jsonl."""
    picture: Path | None = None
    """A file for a picture of diversity against pseudo-perplexity, png."""
    json: Path | None = None
    """A file for the measures and their provenance."""

    def check(self) -> None:
        super().check()
        if self.picture is not None and self.teacher is None:
            raise InputError(
                "--picture shows diversity against pseudo-perplexity: give --teacher, a masked LM"
            )
        if self.data.sequence_length != DataConfig.sequence_length:
            raise InputError("--data.sequence-length follows from --length here: leave it out")
        if len({self.model, *self.beside}) <= len(self.beside):
            raise InputError("--beside names a model a second time: name others than MODEL")
        for path in (self.texts, self.picture, self.json):
            check_writable(path)
        check_self_bleu()


def generate(config: GenerateConfig) -> list[MeasuredTexts]:
    """Draws, measures, prints and writes; returns the measures, those of human text first.

    Raises:
        InputError: a model cannot be drawn from or has another vocabulary, there is too little
            human text, or a library is not installed.
    """
    config.check()
    opened = {name: open_checkpoint(name) for name in (config.model, *config.beside)}
    writers = {name: load_writer(each, config.length) for name, each in opened.items()}
    corpus = open_corpus(config.data)
    tokenizer = config.data.tokenizer or opened[config.model].place
    vocabulary = open_vocabulary(replace(config.data, tokenizer=tokenizer), corpus)
    teacher = None
    if config.teacher is not None:
        opened["--teacher"] = open_checkpoint(config.teacher)
        teacher = load_reader(opened["--teacher"], config.length)
    for each in opened.values():
        check_vocabulary(vocabulary, each, config.model)
    texts: dict[tuple[str, float | None], DrawnTexts] = {
        (HUMAN, None): read_human(config, corpus, vocabulary)
    }
    for name, model in writers.items():
        for temperature in config.temperatures:
            drawn = draw_texts(model, vocabulary, config, temperature)
            texts[name, temperature] = drawn
            say(f"{name} at temperature {temperature:g}:")
            for text in decoded(vocabulary, drawn[:PRINTED]):
                say(f"  {shorten(text, 300, placeholder=' ...')}")
    nats: Sequence[Any] = [None] * len(texts)
    if teacher is not None:
        first = [ids[:COMPARED] for ids in texts.values()]
        rows, special = config.batch_size, vocabulary.special
        nats = np.split(surprisals(teacher, np.concatenate(first), special, rows=rows), len(first))
    sources = [
        MeasuredTexts(*source, measure_texts(ids, each))
        for (source, ids), each in zip(texts.items(), nats, strict=True)
    ]
    title = f"{config.samples:,} texts of {config.length} tokens"
    # In a file or pipe lines are not broken; rich would fold a table at 80 columns.
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 120)
    console.print(diversity_table(title, sources))
    say("± is half the 95 % interval over texts, which are taken as independent of each other.")
    if config.texts is not None:
        write_text(config.texts, "".join(text_lines(vocabulary, texts)))
    if config.picture is not None:
        from eval.diversity.picture import draw_diversity  # matplotlib takes a second to import

        draw_diversity(config.picture, title, sources)
    if config.json is not None:
        record = {"settings": config, "human": config.reference or corpus.name}
        measured = [each.record() for each in sources]
        write_json_atomic(config.json, {**record, "texts": measured, "provenance": provenance()})
    return sources


def check_vocabulary(vocabulary: Vocabulary, checkpoint: Checkpoint, first: str) -> None:
    """Raises InputError unless a checkpoint has this vocabulary, which is that of the `first`."""
    if checkpoint.name != first and load_vocabulary(checkpoint.place).pieces != vocabulary.pieces:
        raise InputError(
            f"{checkpoint.name} has another vocabulary than {first}: n-grams of tokens and "
            "perplexities can be compared within one vocabulary only"
        )
    say(*vocabulary.check_rows(checkpoint.config.vocab_size, checkpoint.name))


def read_human(config: GenerateConfig, corpus: Corpus, vocabulary: Vocabulary) -> DrawnTexts:
    """As many human texts of the same length.

    Raises:
        InputError: there are not so many.
    """
    settings = replace(config.data, sequence_length=config.length + 2)
    try:
        if config.reference is not None:
            sequences = open_other_heldout(settings, (config.reference,), vocabulary)
        else:
            sequences = prepare_sequences(
                corpus,
                vocabulary,
                mode=settings.mode,
                sequence_length=settings.sequence_length,
                split="heldout",
                cache=settings.cache,
            )
    except InputError as error:  # of text that is shorter than one sequence
        raise InputError(str(error).replace("--data.sequence-length", "--length")) from None
    return human_texts(
        sequences,
        vocabulary.special,
        samples=config.samples,
        length=config.length,
        name=config.reference or f"the held-out part of {corpus.name}",
    )


def decoded(vocabulary: Vocabulary, texts: DrawnTexts) -> list[str]:
    """Texts of tokens as they are written; one that begins within a word keeps its ##."""
    return vocabulary.tokenizer.decode_batch(texts.tolist())


def text_lines(
    vocabulary: Vocabulary, texts: Mapping[tuple[str, float | None], DrawnTexts]
) -> Iterator[str]:
    """All texts as jsonl: `source`, `temperature` (null of human text), `number`, `text`."""
    for (source, temperature), ids in texts.items():
        for number, text in enumerate(decoded(vocabulary, ids)):
            about = {"source": source, "temperature": temperature, "number": number}
            yield json.dumps({**about, "text": text}, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    from train.command.cli import main, parse

    main(
        lambda: generate(parse(GenerateConfig, prog="python -m eval.generate", description=__doc__))
    )
