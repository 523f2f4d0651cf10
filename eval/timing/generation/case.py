"""A batch of texts that an exported model writes, all of one length, greedily or by beams."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Int32

from data.clock import seconds_since
from eval.timing.device import Device, prepare_process
from eval.timing.peak import peak_memory
from eval.timing.worker import Contender
from model.decoder.beams import beam_search
from model.decoder.causal_lm import CausalLM
from model.decoder.seq2seq import Seq2Seq
from model.decoder.settings import GenerationConfig
from model.pretrained import load


@dataclass(frozen=True)
class GenerationCase:
    """Texts of the model in a folder, measured by `eval.timing.worker`.

    No text ends before the others: how many tokens a second are written then does not depend on
    what the model has learned.
    """

    folder: Path
    """Of a `Seq2Seq` or `CausalLM` whose settings of generation are known."""
    rows: int
    beams: int
    source_length: int
    new_tokens: int
    on: Device

    @property
    def tokens(self) -> int:
        """Of the best texts; those of the other beams are not counted."""
        return self.rows * self.new_tokens

    def source(self, vocab_size: int) -> Int32[np.ndarray, "rows source"]:
        """Random texts to read, without padding."""
        shape = self.rows, self.source_length
        return np.random.default_rng(0).integers(0, vocab_size, shape, dtype=np.int32)

    def ours(self) -> "FlaxTexts":
        return FlaxTexts(self)

    def torch(self) -> Contender:
        """The same texts by transformers."""
        from eval.timing.generation.torch_texts import TorchTexts

        return TorchTexts(self)


class FlaxTexts:
    """The texts of a case, written again and again."""

    def __init__(self, case: GenerationCase):
        self._device = prepare_process(case.on)
        model = load(case.folder)
        assert isinstance(model, Seq2Seq | CausalLM) and model.generation is not None
        config = unending(model.generation, case)
        graphdef, params = nnx.split(model)

        def write(params: Any, source: Any) -> Any:
            model = nnx.merge(graphdef, params)
            two_sides = isinstance(model, Seq2Seq)
            read = model.read(source) if two_sides else None
            decoder = model.decoder if two_sides else model
            return beam_search(decoder, read, config, rows=case.rows).tokens[:, 0]

        self._inputs = params, jnp.asarray(case.source(model.config.vocab_size))
        start = time.perf_counter()
        self._write = jax.jit(write).lower(*self._inputs).compile()
        self._compile_seconds = seconds_since(start)

    def texts(self) -> Int32[np.ndarray, "rows new"]:
        """The best text of every row."""
        return np.asarray(self._write(*self._inputs))

    def update(self) -> float:
        start = time.perf_counter()
        self.texts()
        return seconds_since(start)

    def facts(self) -> dict[str, Any]:
        memory = self._write.memory_analysis()
        return {
            "compile_seconds": self._compile_seconds,
            "peak_memory_bytes": peak_memory(self._device),
            # Beside the weights: mostly the cache, of rows x beams x tokens.
            "temporary_bytes": None if memory is None else memory.temp_size_in_bytes,
        }


def unending(config: GenerationConfig, case: GenerationCase) -> GenerationConfig:
    """The settings with which a model writes the texts of a case."""
    return replace(
        config,
        suppressed=(*config.suppressed, config.end),
        max_new_tokens=case.new_tokens,
        beams=case.beams,
    )
