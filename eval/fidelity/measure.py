"""All measures of fidelity of a student to its teacher, in one record."""

from collections.abc import Mapping
from dataclasses import dataclass

from flax import nnx

from data.open import Data
from eval.fidelity.cka import CKATable, cka_table, shuffled
from eval.fidelity.heads import HeadMatching, head_affinities, match_heads
from eval.fidelity.predictions import predicted_values
from eval.fidelity.probe import ProbeScores, TaggedWords, probe_layers
from eval.fidelity.states import choose_tokens, token_states
from model.tasks import MaskedLM
from train.loop.heldout import HeldOut


@dataclass(frozen=True)
class Fidelity:
    """Everything that `eval.fidelity` measures."""

    metrics: Mapping[str, float]
    """Of predictions; see `PredictedValues.metrics`."""
    intervals: Mapping[str, float]
    predicted: int
    """Masked tokens."""
    tokens: int
    """Tokens whose hidden states are compared."""
    cka: Mapping[str, CKATable]
    """Student's layers down, teacher's across: of the `student`, of an `untrained` one of its
    shape, and of the student with a `shuffled` teacher."""
    heads: Mapping[str, HeadMatching]
    """Of the `student`, and with a `shuffled` teacher."""
    probes: Mapping[str, ProbeScores] | None
    """Of the `student`, its `teacher`, and an `untrained` student, if words with classes are
    given."""


def measure_fidelity(
    models: Mapping[str, MaskedLM],
    data: Data,
    words: TaggedWords | None,
    *,
    rows: int,
    limit: int | None,
    tokens: int,
) -> Fidelity:
    """Measures a `model` against its `teacher` on held-out text.

    Args:
        models: both, by role.
        data: text in their vocabulary.
        words: words with classes, for probes.
        rows: sequences that are read at a time.
        limit: the largest number of held-out sequences.
        tokens: whose hidden states are compared.
    """
    student, teacher = models["model"], models["teacher"]
    counts, special = data.train.counts, data.vocabulary.special
    heldout = HeldOut(data.heldout, counts, special, rows=rows, limit=limit)
    predicted = predicted_values(heldout, student, teacher)
    untrained = MaskedLM(student.config, rngs=nnx.Rngs(0))
    chosen = list(choose_tokens(heldout, tokens))
    ours, theirs, new = (token_states(model, chosen) for model in (student, teacher, untrained))
    cka = {
        "student": cka_table(ours, theirs),
        "untrained": cka_table(new, theirs),
        "shuffled": cka_table(ours, shuffled(theirs)),
    }
    own, other = head_affinities(heldout, student, teacher)
    probes = None
    if words is not None:
        named = {"student": student, "teacher": teacher, "untrained": untrained}
        probes = {
            name: probe_layers(token_states(model, words.batches), words)
            for name, model in named.items()
        }
    return Fidelity(
        predicted.metrics(),
        predicted.intervals(),
        len(predicted.sequence),
        ours.shape[1],
        cka,
        {"student": match_heads(own), "shuffled": match_heads(other)},
        probes,
    )
