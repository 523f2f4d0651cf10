"""A program of ONNX with weights of 8 bits, by ONNX Runtime's own quantisation.

Dynamic: the weights are rounded once, and the inputs of a product when it is computed, with one
scale for the whole batch, so that the numbers of a text depend a little on the texts beside it. The
matrices of all dense layers are rounded, with a scale for each output, and the word and token-type
embeddings, with one scale for each table. The vocabulary matrix of a language model is its word
embeddings: it is stored once, rounded, and multiplied in float32. LayerNorm, softmax, GELU, the
products of attention, biases and positions stay float32.
"""

from pathlib import Path

import onnx
from onnx import helper

from data.extras import library

ROUNDED = ["MatMul", "Gather"]
"""Operators whose weights are rounded."""


def write_quantised(program: onnx.ModelProto, path: Path) -> None:
    """Writes a float32 program with weights of 8 bits."""
    quantization = library("onnxruntime.quantization", "onnx", "--int8")
    prepared = onnx.ModelProto()
    prepared.CopyFrom(program)
    # Without this remark it asks for a preparation that means nothing to these programs.
    helper.set_model_props(prepared, {"onnx.quant.pre_process": "onnxruntime.quant"})
    quantization.quantize_dynamic(
        prepared,
        path,
        op_types_to_quantize=ROUNDED,
        per_channel=True,
        # To 7 bits: sums of products of 8 bits overflow on processors without VNNI, and the score
        # of a file would depend on the machine.
        reduce_range=True,
    )
