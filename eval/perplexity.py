"""Perplexity of a language model on text, each kind by its right name, and bits a character.

    python -m eval.perplexity runs/pretrain-causal/model --data.heldout my-texts/
    python -m eval.perplexity runs/distill-causal/model --teacher runs/pretrain-causal/model
    python -m eval.perplexity assets/bert-tiny-pydocs --data.sequence-length 64 --mask word

A decoder that reads from left to right has a perplexity: exp of the mean negated log-probability of
each token given those before it. A masked LM has none. It has a pseudo-perplexity (Salazar et al.
2020), in which each token is masked alone and guessed from both sides, and the exponential of its
masked-LM loss, in which 15 % of the tokens are masked at once. The three are different quantities.

Texts are the rows or lines of the held-out part of --data.corpus, or all those of --data.heldout,
each read for itself. [CLS], [SEP] and [UNK] do not count. Perplexities of different vocabularies
cannot be compared; bits a character can.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from data.config import DataConfig
from data.corpora.open import open_corpus
from data.storage.atomic import check_writable
from data.storage.provenance import provenance, write_json_atomic
from data.tokenizer import load_vocabulary
from eval.likelihood.measure import ScoredTexts, score_texts
from eval.likelihood.score import HiddenPart
from eval.likelihood.texts import choose_texts
from model.decoder.causal_lm import CausalLM
from model.errors import InputError
from model.hf.checkpoint import Checkpoint, open_checkpoint
from model.hf.config import is_decoder
from model.pretrained import load
from model.ranges import Count, Rows, check_settings
from model.tasks import MaskedLM
from model.terminal import say
from report.naming import NAMES, difference, with_interval
from report.tables import terminal_table
from tasks.score import half_widths

PASSES = 10_000
"""Tokens of a masked LM by default: each needs a forward pass."""


@dataclass(frozen=True)
class PerplexityEvaluation:
    """Score a language model on text, in float32."""

    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL")]
    """A folder or hub name of a BERT or DistilBERT with its masked-LM head, or of a decoder."""
    teacher: str | None = None
    """A model of the same kind and vocabulary to compare it with."""
    data: DataConfig = DataConfig()
    mask: HiddenPart = "token"
    """The part that a masked LM does not see: a token, or with it the later pieces of its word
    (Kauf and Ivanova 2023)."""
    tokens: Count | None = None
    """Score whole texts until so many tokens are reached, drawn always alike; by default 10,000 of
    a masked LM, which needs a forward pass for each, and otherwise all."""
    batch_size: Rows = 32
    """Sequences that are read at a time; changes only the speed."""
    json: Path | None = None
    """A file for the metrics and their provenance."""


def evaluate_perplexity(config: PerplexityEvaluation) -> dict[str, dict[str, float]]:
    """The metrics of the model and the teacher, by role; printed, and written if a file is given.

    Raises:
        InputError: model, teacher, tokenizer and text do not fit.
    """
    check_settings(config)
    check_writable(config.json)
    names = {"model": config.model} | ({"teacher": config.teacher} if config.teacher else {})
    checkpoints = {role: open_checkpoint(name) for role, name in names.items()}
    kind = common_kind(checkpoints)
    if config.mask == "word" and kind is CausalLM:
        raise InputError(f"--mask word is for masked LMs, and {config.model} is none: leave it out")
    for checkpoint in checkpoints.values():
        config.data.check_length(checkpoint.config.max_positions, checkpoint.name)
    own = load_vocabulary(config.data.tokenizer or checkpoints["model"].place)
    for checkpoint in checkpoints.values():
        if load_vocabulary(checkpoint.place).pieces != own.pieces:
            what = "--data.tokenizer" if config.data.tokenizer else config.model
            raise InputError(
                f"{what} and {checkpoint.name} have different vocabularies, and perplexities of "
                "different tokens cannot be compared: score each model alone and with its own, and "
                "compare bits a character"
            )
        say(*own.check_rows(checkpoint.config.vocab_size, checkpoint.name))
    corpus = open_corpus(config.data)
    limit = config.tokens or (PASSES if kind is MaskedLM else None)
    texts = choose_texts(corpus.texts("heldout"), own, limit)
    source = " + ".join(config.data.heldout or config.data.corpus)
    if not texts:
        raise InputError(f"{source}: no text has a token to score: give more text")
    tokens, characters = (
        sum(values)
        for values in zip(*((text.count, text.characters) for text in texts), strict=True)
    )
    say(
        *corpus.notes,
        f"{len(texts):,} texts of {source}: {tokens:,} tokens, {characters:,} characters"
        + (f" (--tokens {limit:,})" if limit and tokens >= limit else ""),
    )
    scores: dict[str, ScoredTexts] = {}
    for role, checkpoint in checkpoints.items():
        scores[role] = score_texts(
            load(checkpoint, kind),
            texts,
            own.special,
            length=config.data.sequence_length,
            hidden=config.mask,
            rows=config.batch_size,
        )
    results = _results(scores)
    Console(highlight=False, markup=False).print(perplexity_table(results, names))
    documents = len(scores["model"].tokens)
    say(
        "± is half the 95 % interval over documents, which are taken as independent of each other."
        if results["model"]["intervals"]
        else f"there is no interval: these are {documents} documents, and ten would be needed."
    )
    if config.json is not None:
        text = {"texts": len(texts), "documents": documents, "tokens": tokens}
        record = {
            "settings": config,
            "corpus": corpus.fingerprint,
            **text,
            "characters": characters,
            **results,
        }
        write_json_atomic(config.json, {**record, "provenance": provenance()})
    return {role: results[role]["metrics"] for role in names}


def common_kind(checkpoints: dict[str, Checkpoint]) -> type[MaskedLM] | type[CausalLM]:
    """The kind of all models.

    Raises:
        InputError: it is one that is not scored here, or they are of different kinds.
    """
    for checkpoint in checkpoints.values():
        if not issubclass(kind := checkpoint.model_class(), MaskedLM | CausalLM):
            raise InputError(
                f"{checkpoint.name} is a {kind.__name__}, which is no language model of text "
                "alone: give a masked LM or a decoder"
            )
    decoders = [is_decoder(checkpoint.settings) for checkpoint in checkpoints.values()]
    if len({*decoders}) == 2:
        raise InputError(
            f"{' and '.join(each.name for each in checkpoints.values())} are a masked LM and a "
            "decoder, whose pseudo-perplexity and perplexity cannot be compared: score each alone"
        )
    return CausalLM if decoders[0] else MaskedLM


def _results(scores: dict[str, ScoredTexts]) -> dict[str, dict[str, dict[str, float]]]:
    results = {
        role: {"metrics": each.metrics(), "intervals": each.intervals()}
        for role, each in scores.items()
    }
    if len(scores) == 2:

        def apart(documents: Any = slice(None)) -> dict[str, float]:
            first, second = (each.metrics(documents) for each in scores.values())
            return {name: first[name] - second[name] for name in first}

        count = len(scores["model"].tokens)
        results["difference"] = {"metrics": apart(), "intervals": half_widths(apart, count)}
    return results


def perplexity_table(
    results: dict[str, dict[str, dict[str, float]]], names: dict[str, str]
) -> Table:
    """A line for each metric, a column for each model, and one for the difference of two."""
    lines = []
    for metric in results["model"]["metrics"]:
        cells = []
        for role, each in results.items():
            value, half = (each[of].get(metric) for of in ("metrics", "intervals"))
            assert value is not None
            write = difference if role == "difference" else with_interval
            cells.append(write(metric, value, half))
        lines.append([NAMES[metric], *cells])
    header = [names.get(role, role) for role in results]
    return terminal_table("", ["", *header], lines)


if __name__ == "__main__":
    from train.command.cli import main, parse

    main(
        lambda: evaluate_perplexity(
            parse(PerplexityEvaluation, prog="python -m eval.perplexity", description=__doc__)
        )
    )
