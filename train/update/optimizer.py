"""AdamW with linear warm-up and decay, and a clip by global norm: BERT's and DistilBERT's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float32

from model.ranges import Range, Share
from train.objectives.objective import Params

# In float32, 1 - beta must not be 0.
Beta = Annotated[float, Range(0, 0.999999)]


@dataclass(frozen=True)
class OptimizerConfig:
    """Settings of AdamW; the defaults are those of the original DistilBERT code (train.py)."""

    learning_rate: Annotated[float, Range(0, 10)] = 5e-4
    """The peak, reached after the warm-up; 0 trains nothing."""
    warmup_share: Share = 0.05
    """The share of all updates over which the rate rises linearly from 0; it then falls to 0."""
    beta1: Beta = 0.9
    """Of AdamW's running mean of gradients."""
    beta2: Beta = 0.98
    """Of its running mean of their squares."""
    epsilon: Annotated[float, Range(1e-30, 1)] = 1e-6
    """Added to the root of that mean."""
    weight_decay: Annotated[float, Range(0, 10)] = 0.0
    """Touches matrices only: neither biases nor any LayerNorm, of either model."""
    clip_norm: Annotated[float, Range(0, 1e9, above=True)] = 5.0
    """Gradients longer than this, over all trained parameters, are scaled down to it."""


class Optimizer(NamedTuple):
    """The part of a step that turns gradients into new parameters."""

    init: Callable[[Params], optax.OptState]
    update: Callable[
        [Params, optax.OptState, Params, Array],
        tuple[Params, optax.OptState, dict[str, Float32[Array, ""]]],
    ]


def learning_rate(
    config: OptimizerConfig, total_steps: int, peak: Float32[Array, ""] | None = None
) -> optax.Schedule:
    """0 at update 0, the peak after the warm-up, 0 again after `total_steps` updates."""
    warmup = int(np.ceil(np.float32(config.warmup_share * total_steps)))
    highest = config.learning_rate if peak is None else peak
    share = optax.join_schedules(
        [
            optax.linear_schedule(0.0, 1.0, max(warmup, 1)),
            optax.linear_schedule(1.0, 0.0, max(total_steps - warmup, 1)),
        ],
        [warmup],
    )
    return lambda step: highest * share(step)


def is_matrix(path: tuple, _leaf: Any) -> bool:
    """True for kernels and embedding tables, which may decay."""
    return path[-1].key in ("kernel", "embedding")


def is_frozen(path: tuple, frozen: Sequence[str]) -> bool:
    """True for a parameter whose dotted path contains a part in `frozen`."""
    dotted = f".{'.'.join(str(entry.key) for entry in path)}."
    return any(f".{part}." in dotted for part in frozen)


def trained_leaves(tree: Params, frozen: Sequence[str]) -> list[Array]:
    """The leaves of parameters, or of their gradients, that are not frozen."""
    leaves = jax.tree.leaves_with_path(tree)
    return [leaf for path, leaf in leaves if not is_frozen(path, frozen)]


def clipped(longest: float | Float32[Array, ""], updates: Params, _params: Params) -> Params:
    """Updates of a model, scaled down to a global norm of `longest` if theirs is larger.

    By one product, as torch does it: a quotient of each (`optax.clip_by_global_norm`) is one that
    XLA for CPUs will not compute twice, so it stores a second copy of all gradients.
    """
    factor = jnp.minimum(1.0, longest / optax.tree.norm(updates))
    return jax.tree.map(lambda update: update * factor, updates)


def decayed(decay: float, updates: Params, _params: Params) -> Params:
    """Updates of a model, times `decay` for every layer below the head, the embeddings' among them.

    For AdamW that is a learning rate of its own for each layer.
    """

    def depth(path: tuple) -> int | None:
        """The embeddings' is 0, a layer's from 1; the head has none."""
        keys = [entry.key for entry in path]
        if "embeddings" in keys:
            return 0
        return int(keys[keys.index("layers") + 1]) + 1 if "layers" in keys else None

    depths = [depth(path) for path, _ in jax.tree.leaves_with_path(updates)]
    head = max((found for found in depths if found is not None), default=0) + 1

    def scale(path: tuple, update: Array) -> Array:
        found = depth(path)
        return update if found is None else update * decay ** (head - found)

    return jax.tree.map_with_path(scale, updates)


def faster(part: str, factor: float, updates: Params, _params: Params) -> Params:
    """Updates of a model, times `factor` for the parameters below `part`: a rate of their own."""

    def scale(path: tuple, update: Array) -> Array:
        return update * factor if path[0].key == part else update

    return jax.tree.map_with_path(scale, updates)


def make_optimizer(
    config: OptimizerConfig,
    total_steps: int,
    *,
    frozen: tuple[str, ...] = (),
    layer_decay: float = 1.0,
    decoder_rate: float = 1.0,
    peak: Float32[Array, ""] | None = None,
    clip: Float32[Array, ""] | None = None,
) -> Optimizer:
    """AdamW over all parameters but those whose dotted path contains a part in `frozen`.

    Frozen parameters neither move nor count in the clip norm, and have no moments. The updates of a
    layer are those of the layer above times `layer_decay`, those of a decoder are multiplied by
    `decoder_rate`. `peak` and `clip` replace the configured learning rate and clip norm where they
    are known only inside a compiled step.
    """
    schedule = learning_rate(config, total_steps, peak)
    longest = config.clip_norm if clip is None else clip
    adamw = optax.chain(
        optax.stateless(partial(clipped, longest)),
        optax.scale_by_adam(config.beta1, config.beta2, config.epsilon),
        optax.add_decayed_weights(
            config.weight_decay, mask=lambda p: jax.tree.map_with_path(is_matrix, p)
        ),
        optax.scale_by_learning_rate(schedule),
        *([optax.stateless(partial(decayed, layer_decay))] if layer_decay != 1 else []),
        *([optax.stateless(partial(faster, "decoder", decoder_rate))] if decoder_rate != 1 else []),
    )

    def label(path: tuple, _leaf: Any) -> str:
        return "frozen" if is_frozen(path, frozen) else "trained"

    transform = optax.partition(
        {"trained": adamw, "frozen": optax.set_to_zero()},
        lambda params: jax.tree.map_with_path(label, params),
    )

    def update(gradients, opt_state, params, step):
        norm = optax.tree.norm(trained_leaves(gradients, frozen))
        # Optax raises Python floats to the power of an integer count here, which strict promotion
        # would refuse.
        with jax.numpy_dtype_promotion("standard"):
            updates, opt_state = transform.update(gradients, opt_state, params)
        stats = {
            "grad_norm": norm,
            "clipped": (norm > longest).astype(jnp.float32),
            "learning_rate": jnp.asarray(schedule(step), jnp.float32),
        }
        return optax.apply_updates(params, updates), opt_state, stats

    return Optimizer(transform.init, update)
