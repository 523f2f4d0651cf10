"""A deep model that computes nearly the same as a shallow one, to be trained further.

A shallow model learns the same text several times as fast. A deeper one keeps this knowledge only
if its new layers change nothing at first. Layers that are merely repeated (Gong et al. 2019) lose
most of it because each has a LayerNorm, so the new layers start as the identity (Chen et al. 2016,
Net2Net, section 2).
"""

import jax.numpy as jnp
from flax import nnx

from model.blocks.encoder import Layer
from model.blocks.layers import LayerNorm
from model.errors import InputError
from model.student import copy_parameters
from model.tasks import MaskedLM


def grow(shallow: MaskedLM, deep: MaskedLM) -> None:
    """Copies the weights of `shallow` into `deep`.

    The shallow layers are spread evenly. Each is followed by copies of itself whose two residual
    branches return zero. They change in training, because their last matrices get gradients.

    Raises:
        InputError: the two differ in more than their number of layers.
    """
    depth, layers = shallow.config.num_layers, deep.config.num_layers
    # Neither changes what trained weights compute.
    free = {"initializer_range": deep.config.initializer_range, "dtype": deep.config.dtype}
    if shallow.config.replace(num_layers=layers, **free) != deep.config or depth > layers:
        raise InputError(
            f"the model to start from ({shallow.config}) is not a shallow form of the one to train "
            f"({deep.config}): only the number of layers may differ, and it may not be larger"
        )
    copy_parameters(shallow.backbone.embeddings, deep.backbone.embeddings)
    copy_parameters(shallow.head, deep.head)
    before = None
    for index, layer in enumerate(deep.backbone.encoder.layers):
        source = index * depth // layers
        copy_parameters(shallow.backbone.encoder.layers[source], layer)
        if source == before:
            silence(layer)
        before = source


def silence(layer: Layer) -> None:
    """Makes a layer return nearly its input, where the layer before has the same `output_norm`.

    The input is then scale * z + bias with z of mean 0 and variance 1. For every token its mean and
    variance over the width are those computed below, except for a chance correlation of scale and
    z. A LayerNorm that restores exactly these returns its input.
    """
    for branch in (layer.attention.out, layer.feed_forward.down):
        assert branch.bias is not None
        branch.kernel[...] = jnp.zeros_like(branch.kernel[...])
        branch.bias[...] = jnp.zeros_like(branch.bias[...])
    scale, bias = (parameter[...] for parameter in _parameters(layer.output_norm))
    mean = jnp.mean(bias)
    deviation = jnp.sqrt(jnp.mean(jnp.square(scale)) + jnp.var(bias))
    for norm in (layer.attention_norm, layer.output_norm):
        new_scale, new_bias = _parameters(norm)
        new_scale[...] = jnp.broadcast_to(deviation, scale.shape)
        new_bias[...] = jnp.broadcast_to(mean, bias.shape)


def _parameters(norm: LayerNorm) -> tuple[nnx.Param, nnx.Param]:
    assert norm.scale is not None and norm.bias is not None
    return norm.scale, norm.bias
