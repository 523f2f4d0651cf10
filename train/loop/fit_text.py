"""The shared part of pretraining and distillation: running text."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import jax
from flax import nnx

from data.batches import Batches
from data.open import Data
from data.sequences import Sequences
from data.storage.mirror import upload
from model.tasks import LanguageModel
from report.card import write_card
from report.results import write_results
from report.run import write_report
from train.command.processes import is_first
from train.config import TextConfig
from train.loop.fit import fit
from train.loop.heldout import HeldOut, evaluator, held_out, with_other
from train.loop.heldout_text import HeldOutText
from train.loop.learner import one_model
from train.objectives.objective import TextObjective
from train.teacher_cache.answers import StoredAnswers
from train.update.parallel import Parallel
from train.update.step import split


def fit_text(
    config: TextConfig,
    *,
    kind: str,
    data: Data,
    model: nnx.Module,
    objective: TextObjective,
    metrics: type[HeldOutText] = HeldOut,
    teacher: LanguageModel | None = None,
    frozen: tuple[str, ...] = (),
    exported: Callable[[Any], nnx.Module] = lambda model: model,
    other: Sequences | None = None,
    constants: Mapping[str, Any] = MappingProxyType({}),
    answers: StoredAnswers | None = None,
    term_gradients: bool = False,
) -> dict[str, float]:
    """Trains on the text of `data`, and evaluates on the part of it that is held out.

    `metrics` says which. With sequences of `other` text there are `other_masked_lm_loss` and
    `other_masked_lm_accuracy`. `constants` are what the objective reads beside the teacher, and
    `answers` what batches hold of it. With `term_gradients` those of the terms of the loss are
    measured, each alone.

    Returns and raises what `fit` does.
    """
    parallel = Parallel(config.run)
    batches = text_batches(config, data, parallel, answers)
    teacher_graphdef, teacher_params = (None, {}) if teacher is None else split(teacher)
    heldout = held_out(config, data, metrics)
    evaluate = evaluator(heldout, model, objective, teacher_graphdef, parallel.place_rows)
    if other is not None:
        elsewhere = held_out(config, replace(data, heldout=other), metrics)
        evaluate = with_other(
            evaluate,
            evaluator(elsewhere, model, objective, teacher_graphdef, parallel.place_rows),
        )
    steps = config.updates(batches.updates_per_epoch)
    results = fit(
        config,
        kind=kind,
        title=title(config, data),
        learner=one_model(
            config,
            model,
            data.vocabulary,
            objective,
            parallel,
            steps,
            frozen=frozen,
            exported=exported,
            term_gradients=term_gradients,
        ),
        batches=batches,
        parallel=parallel,
        constants={
            **objective.constants(data.train.counts, data.vocabulary.special),
            "teacher": teacher_params,
            **constants,
        },
        evaluate=evaluate,
        facts=facts(data, other, answers),
    )
    if is_first():
        write_report(config.output)
        write_results(config.output)
        write_card(config.output)
        upload(config.output)
    return results


def text_batches(
    config: TextConfig, data: Data, parallel: Parallel, answers: StoredAnswers | None = None
) -> Batches:
    """The training sequences of this host, in shuffled batches, with the answers to them."""
    parallel.check_rows(config.batch_size, config.micro_batches, config.group_rows)
    return Batches(
        data.train,
        batch_size=config.batch_size,
        micro_batches=config.micro_batches,
        seed=config.seed,
        pad_id=data.vocabulary.special.pad,
        host=jax.process_index(),
        hosts=jax.process_count(),
        **({} if answers is None else {"beside": answers.beside}),
    )


def title(config: TextConfig, data: Data) -> str:
    """The name of the training data, for the first line of a run."""
    return (
        f"the {len(data.train):,} sequences of up to {config.data.sequence_length} tokens "
        f"of {data.corpus.name} ({config.batch_size * config.data.sequence_length:,} an update)"
    )


def facts(
    data: Data, other: Sequences | None = None, answers: StoredAnswers | None = None
) -> dict[str, str]:
    """Fingerprints of what a run reads."""
    each = {
        "corpus": data.corpus.fingerprint,
        "sequences": data.train.fingerprint,
        "heldout_sequences": data.heldout.fingerprint,
    }
    if other is not None:
        each["other_heldout_sequences"] = other.fingerprint
    if answers is not None:
        each["teacher_answers"] = answers.digest
    return each
