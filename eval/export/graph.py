"""A graph of ONNX, written operator by operator; the values between operators are names."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from flax import nnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 20
"""The first with GELU; LayerNorm came before. ONNX Runtime knows it since 1.17 (2024)."""
IR_VERSION = 9
"""Of the file format, as old as the opset: runtimes refuse newer ones than their own."""

Axes = Sequence[str | int]
"""Of an array; those with a name are of any size."""
Value = str | nnx.Param | np.ndarray
"""Input of an operator: a value by its name, a parameter of the model, or a constant."""


class Graph:
    """A graph that grows: `graph("Add", a, b)` adds an operator and is the name of its result.

    Args:
        model: whose parameters keep their paths in it as names; a parameter is stored once, however
            often it is read.
    """

    def __init__(self, model: nnx.Module):
        self._paths = {
            id(node): ".".join(map(str, path))
            for path, node in nnx.iter_graph(model)
            if isinstance(node, nnx.Param)
        }
        self._nodes: list[onnx.NodeProto] = []
        self._arrays: dict[str, np.ndarray] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def __call__(self, operator: str, *values: Value, **attributes: Any) -> str:
        result = f"{operator}_{len(self._nodes)}"
        names = [self._name(value) for value in values]
        self._nodes.append(helper.make_node(operator, names, [result], result, **attributes))
        return result

    def input(self, name: str, axes: Axes, kind: int = TensorProto.INT64) -> str:
        """An argument of the program, by default integers such as token ids."""
        self._inputs.append(helper.make_tensor_value_info(name, kind, axes))
        return name

    def output(self, name: str, value: str, axes: Axes) -> None:
        """A result of the program: `value`, under a name that others know it by."""
        self._nodes.append(helper.make_node("Identity", [value], [name], name))
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, axes))

    def program(self, name: str) -> onnx.ModelProto:
        """The whole of it, for a file."""
        arrays = [numpy_helper.from_array(array, name) for name, array in self._arrays.items()]
        return helper.make_model(
            helper.make_graph(self._nodes, name, self._inputs, self._outputs, arrays),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="distilbert-flax",
        )

    def _name(self, value: Value) -> str:
        if isinstance(value, str):
            return value
        if isinstance(value, nnx.Param):
            name, value = self._paths[id(value)], np.asarray(value[...], np.float32)
        else:
            name = f"{value.dtype}{value.tolist()}"
        self._arrays.setdefault(name, value)
        return name


def ints(*numbers: int) -> np.ndarray:
    """A constant, as operators take sizes, axes and places."""
    return np.array(numbers, np.int64)
