"""What pretraining and distillation share: running text, masked anew at every step."""

import jax
import jax.numpy as jnp
from flax import nnx

from data.batches import Batches
from data.masking import token_log_weights
from data.pipeline import Data
from data.tokenizer import special_ids
from eval.masked_lm import HeldOut
from model.tasks import MaskedLM
from train.config import TextConfig
from train.loop import fit, split
from train.objectives import MaskedLMObjective
from train.parallel import Parallel


def fit_text(
    config: TextConfig,
    *,
    kind: str,
    data: Data,
    model: MaskedLM,
    objective: MaskedLMObjective,
    teacher: MaskedLM | None = None,
    frozen: tuple[str, ...] = (),
) -> dict[str, float]:
    """Trains on the text of `data`, and evaluates on the part of it that is held out.

    Returns and raises what `fit` does.
    """
    parallel = Parallel(config.run)
    parallel.check_rows(config.batch_size, config.micro_batches, config.masking.group_rows)
    special = special_ids(data.tokenizer)
    batches = Batches(
        data.train,
        batch_size=config.batch_size,
        micro_batches=config.micro_batches,
        seed=config.seed,
        pad_id=special.pad,
        host=jax.process_index(),
        hosts=jax.process_count(),
    )
    counts = data.train.counts
    log_weights = token_log_weights(counts, special, config.masking.smoothing)
    teacher_graphdef, teacher_params = (None, {}) if teacher is None else split(teacher)
    heldout = HeldOut(
        data.heldout,
        counts,
        special,
        rows=config.batch_size // config.micro_batches,
        limit=config.heldout_sequences,
    )
    evaluate = heldout.evaluator(nnx.graphdef(model), teacher_graphdef, parallel.place_rows)
    return fit(
        config,
        kind=kind,
        title=f"the {len(data.train):,} sequences of up to {config.data.sequence_length} tokens "
        f"of {data.corpus.name} ({config.batch_size * config.data.sequence_length:,} an update)",
        model=model,
        tokenizer=data.tokenizer,
        batches=batches,
        parallel=parallel,
        objective=objective,
        constants={"log_weights": jnp.asarray(log_weights), "teacher": teacher_params},
        evaluate=lambda params, constants: evaluate(params, constants["teacher"]),
        facts={
            "corpus": data.corpus.fingerprint,
            "sequences": data.train.fingerprint,
            "heldout_sequences": data.heldout.fingerprint,
        },
        frozen=frozen,
    )
