"""The same texts by transformers' `generate`, with its cache of keys and values.

Importing this needs the extra `oracle`.
"""

import time
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from transformers import AutoConfig, BertLMHeadModel, EncoderDecoderModel
from transformers.utils.logging import disable_progress_bar

from data.clock import seconds_since
from eval.timing.generation.case import GenerationCase
from eval.timing.peak import peak_main_memory


class TorchTexts:
    """The texts of a case on the CPU, in float32, written again and again."""

    def __init__(self, case: GenerationCase):
        disable_progress_bar()
        two_sides = AutoConfig.from_pretrained(case.folder).model_type == "encoder-decoder"
        architecture = EncoderDecoderModel if two_sides else BertLMHeadModel
        self._model: Any = architecture.from_pretrained(case.folder, dtype=torch.float32).eval()
        if two_sides:
            read = case.source(self._model.config.encoder.vocab_size)
        else:
            read = np.full((case.rows, 1), self._model.generation_config.bos_token_id)
        self._ids = torch.from_numpy(read.astype(np.int64))
        new = case.new_tokens
        self._settings: dict[str, Any] = {"min_new_tokens": new, "max_new_tokens": new}
        self._settings |= {"num_beams": case.beams, "do_sample": False}
        if case.beams > 1:
            self._settings["early_stopping"] = True

    def texts(self) -> Int[np.ndarray, "rows new"]:
        """The best text of every row."""
        with torch.inference_mode():
            mask = torch.ones_like(self._ids)
            found = self._model.generate(self._ids, attention_mask=mask, **self._settings)
        return found[:, 1:].numpy()  # without the start

    def update(self) -> float:
        start = time.perf_counter()
        self.texts()
        return seconds_since(start)

    def facts(self) -> dict[str, Any]:
        return {"peak_memory_bytes": peak_main_memory()}
