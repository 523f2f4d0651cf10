"""Texts of one length drawn from a model: a decoder token by token, a masked LM by its sampler."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any

import jax
import numpy as np
from flax import nnx
from jaxtyping import Int32

from data.vocabulary import Vocabulary
from eval.diversity.masked_sampler import sample_masked
from eval.diversity.ngrams import ORDERS
from model.decoder.causal_lm import CausalLM
from model.decoder.sampling import SamplingConfig, sample
from model.errors import InputError
from model.hf.checkpoint import Checkpoint
from model.pretrained import load
from model.ranges import Range, Rows, check_settings
from model.tasks import LanguageModel, MaskedLM
from train.update.parallel import Parallel, ParallelConfig

DrawnTexts = Int32[np.ndarray, "samples length"]
Sweeps = Annotated[int, Range(0, 10_000)]


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """Settings of the texts that are drawn."""

    samples: Annotated[int, Range(2, 10**6)] = 1000
    """Texts from each model at each temperature. Distinct-n depends on their number and length."""
    length: Annotated[int, Range(ORDERS, 65536)] = 32
    """Tokens of each text, [CLS] and [SEP] not counted. None ends before."""
    top_p: Annotated[float, Range(0, 1, above=True)] = 1.0
    """Draw only from the most probable tokens whose probabilities reach this sum."""
    sweeps: Sweeps = 5
    """Of a masked LM: how often each place of a text is masked and drawn."""
    burn_in: Sweeps = 2
    """Of a masked LM: the first so many sweeps are at temperature 1, without --top-p."""
    seed: Annotated[int, Range(0, 10**9)] = 0
    """With its number it decides a text, whatever the batch."""
    batch_size: Rows = 256
    """Texts that are drawn at a time; changes only speed and memory."""

    def check(self) -> None:
        """Raises InputError for settings that are out of their range or do not go together."""
        check_settings(self)
        if self.burn_in >= self.sweeps:
            raise InputError(
                f"--burn-in is {self.burn_in} and --sweeps {self.sweeps}: leave at least one sweep "
                "at the temperature"
            )


def load_writer(checkpoint: Checkpoint, length: int) -> LanguageModel:
    """The decoder or masked LM of a checkpoint, which texts of `length` tokens are drawn from.

    Raises:
        InputError: it is another model, or has too few positions.
    """
    kind = checkpoint.model_class()
    if not issubclass(kind, LanguageModel):
        raise InputError(
            f"{checkpoint.name} ({' and '.join(checkpoint.classes)}) cannot write text from "
            "nothing: give a masked LM (BertForMaskedLM, DistilBertForMaskedLM) or a "
            "decoder (BertLMHeadModel)"
        )
    if not issubclass(kind, CausalLM):
        return load_reader(checkpoint, length)
    # It reads its start token and all but the last of its text.
    _check_positions(checkpoint, length, checkpoint.config.max_positions)
    return load(checkpoint, CausalLM)


def load_reader(checkpoint: Checkpoint, length: int) -> MaskedLM:
    """The masked LM of a checkpoint, which reads texts of `length` tokens.

    Raises:
        InputError: it is another model, or has too few positions.
    """
    if not issubclass(checkpoint.model_class(), MaskedLM):
        raise InputError(
            f"{checkpoint.name} is a {' and a '.join(checkpoint.classes)}: give a masked LM "
            "(BertForMaskedLM, DistilBertForMaskedLM) as --teacher"
        )
    _check_positions(checkpoint, length, checkpoint.config.max_positions - 2)
    return load(checkpoint, MaskedLM)


def _check_positions(checkpoint: Checkpoint, length: int, most: int) -> None:
    if length > most:
        raise InputError(
            f"--length is {length}, and {checkpoint.name} has {checkpoint.config.max_positions} "
            f"positions: give at most {most}"
        )


def draw_texts(
    model: LanguageModel, vocabulary: Vocabulary, drawing: Drawing, temperature: float
) -> DrawnTexts:
    """The texts number 0, 1, ... of a model at a temperature; all devices share each batch.

    Special tokens and [UNK] are never drawn.
    """
    parallel = Parallel(ParallelConfig())
    graphdef, params = nnx.split(model)
    params = parallel.replicate(params)
    write = _writer(model, vocabulary, drawing, temperature)
    run = jax.jit(lambda params, numbers: write(nnx.merge(graphdef, params), numbers=numbers))
    rows = parallel.divisible(min(drawing.batch_size, drawing.samples))
    parts = []
    for start in range(0, drawing.samples, rows):  # the last batch is filled up
        numbers = np.arange(start, start + rows, dtype=np.int32)
        placed = parallel.place_rows({"numbers": numbers})["numbers"]
        parts.append(np.asarray(run(params, placed)))
    return np.concatenate(parts)[: drawing.samples]


def _writer(
    model: LanguageModel, vocabulary: Vocabulary, drawing: Drawing, temperature: float
) -> Callable[..., Any]:
    """A function of a model and the numbers of texts."""
    sampling = SamplingConfig(temperature, drawing.top_p)
    key = jax.random.key(drawing.seed, impl="threefry2x32")
    config = vocabulary.generation(model.config.vocab_size, max_new_tokens=drawing.length)
    suppressed = (*config.suppressed, config.end)
    if isinstance(model, CausalLM):
        start = (model.generation or config).start
        config = replace(config, start=start, suppressed=suppressed)
        return partial(sample, source=None, config=config, sampling=sampling, key=key)
    return partial(
        sample_masked,
        special=vocabulary.special,
        suppressed=suppressed,
        sampling=sampling,
        length=drawing.length,
        sweeps=drawing.sweeps,
        burn_in=drawing.burn_in,
        key=key,
    )
