"""A deep model that computes what a shallow one does, to be trained on from there.

A shallow model learns the same text several times as fast. What it has learned survives being made
deeper only if the new layers change nothing at first: layers merely repeated (Gong et al. 2019)
lose most of it after LayerNorm has been through them, so here new ones start as the identity (Chen
et al. 2016, Net2Net, section 2).
"""

import jax.numpy as jnp
from flax import nnx

from model.blocks.encoder import Layer
from model.blocks.layers import LayerNorm
from model.errors import InputError
from model.student import copy_parameters
from model.tasks import MaskedLM


def grow(shallow: MaskedLM, deep: MaskedLM) -> None:
    """Gives `deep` what `shallow` has learned.

    The shallow layers are spread evenly; each is followed by copies of itself whose two residual
    branches are silent. These wake up in training, since their last matrices get gradients.

    Raises:
        InputError: the two differ in more than their number of layers.
    """
    depth, layers = shallow.config.num_layers, deep.config.num_layers
    # What only matters before or beside training may differ.
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
    """Makes a layer that follows one with the same `output_norm` hand on what comes in, nearly.

    What comes in is scale * z + bias with z of mean 0 and variance 1, so over the width it has the
    mean and variance below, whatever the token; a LayerNorm that puts just these back undoes
    itself, up to the chance by which scale and z go together.
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
