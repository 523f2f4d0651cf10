"""AdamW, its schedule and its clip against closed forms and a loop in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import tiny
from train.update.optimizer import OptimizerConfig, learning_rate, make_optimizer


@pytest.mark.parametrize(
    ("share", "steps", "warmup"),
    # The third is 2.5 updates, and the fourth just above 7 in double precision.
    [(0.2, 50, 10), (0.0, 10, 0), (0.05, 50, 3), (0.07, 100, 7)],
)
def test_the_rate_rises_to_the_peak_and_falls_to_zero(share, steps, warmup):
    schedule = learning_rate(OptimizerConfig(learning_rate=2.0, warmup_share=share), steps)
    expected = [
        2.0 * t / warmup if t < warmup else 2.0 * (steps - t) / (steps - warmup)
        for t in range(steps + 1)
    ]
    found = np.stack([schedule(t) for t in range(steps + 1)])
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.long
def test_updates_equal_adamw_written_out():
    """Loshchilov and Hutter 2019, algorithm 2, with bias correction, after a clip by norm."""
    config = OptimizerConfig(learning_rate=0.1, warmup_share=0.0, weight_decay=0.3, clip_norm=1.5)
    optimizer = make_optimizer(config, total_steps=20)
    rng = np.random.default_rng(0)
    shapes = {"kernel": (3, 4), "bias": (4,), "scale": (4,), "embedding": (5, 2)}
    params = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    ours = {"layer": {name: jnp.asarray(p, jnp.float32) for name, p in params.items()}}
    state = optimizer.init(ours)
    m = {name: np.zeros(shape) for name, shape in shapes.items()}
    v = {name: np.zeros(shape) for name, shape in shapes.items()}
    for t in range(1, 11):
        gradients = {name: rng.normal(size=shape) for name, shape in shapes.items()}
        norm = np.sqrt(sum(np.sum(g**2) for g in gradients.values()))
        rate = 0.1 * (1 - (t - 1) / 20)
        for name, g in gradients.items():
            g = g * min(1.0, 1.5 / norm)
            m[name] = 0.9 * m[name] + 0.1 * g
            v[name] = 0.98 * v[name] + 0.02 * g**2
            direction = m[name] / (1 - 0.9**t) / (np.sqrt(v[name] / (1 - 0.98**t)) + 1e-6)
            decay = 0.3 * params[name] if name in ("kernel", "embedding") else 0.0
            params[name] = params[name] - rate * (direction + decay)
        ours, state, stats = optimizer.update(
            {"layer": {name: jnp.asarray(g, jnp.float32) for name, g in gradients.items()}},
            state,
            ours,
            jnp.int32(t - 1),
        )
        np.testing.assert_allclose(stats["grad_norm"], norm, rtol=1e-6)
        assert bool(stats["clipped"]) == (norm > 1.5)
        np.testing.assert_allclose(stats["learning_rate"], rate, rtol=1e-6)
    for name, expected in params.items():
        np.testing.assert_allclose(ours["layer"][name], expected, rtol=1e-5, atol=1e-6)


def test_no_second_copy_of_the_gradients_is_stored():
    """The program of an update in place holds the gradients, and not the clipped ones beside."""
    optimizer = make_optimizer(OptimizerConfig(), total_steps=20)
    params = {name: {"kernel": jnp.ones((500, 500))} for name in "abcd"}

    def update(params, state, x):
        def loss(params):
            products = [jnp.tanh(x @ layer["kernel"]) for layer in params.values()]
            return sum(jnp.sum(product) for product in products)

        return optimizer.update(jax.grad(loss)(params), state, params, jnp.int32(0))

    program = jax.jit(update, donate_argnums=(0, 1))
    inputs = params, optimizer.init(params), jnp.ones((2, 500))
    memory = program.lower(*inputs).compile().memory_analysis()
    assert memory is not None
    gradients = 4 * sum(kernel.size for kernel in jax.tree.leaves(params))
    assert memory.temp_size_in_bytes < 1.5 * gradients


@pytest.mark.long
@pytest.mark.parametrize("config", [tiny.STUDENT, tiny.TEACHER], ids=["distilbert", "bert"])
def test_decay_touches_matrices_and_nothing_else(config):
    from flax import nnx

    params = nnx.to_pure_dict(nnx.state(tiny.model(config), nnx.Param))
    settings = OptimizerConfig(learning_rate=0.1, warmup_share=0.0, weight_decay=0.5)
    optimizer = make_optimizer(settings, total_steps=10)
    # LayerNorm scales are 1 and biases 0 at the start; make both visible to a wrong decay.
    params = jax.tree.map(lambda p: p + 1.0, params)
    zeros = jax.tree.map(jnp.zeros_like, params)
    after, *_ = optimizer.update(zeros, optimizer.init(params), params, jnp.int32(0))
    for path, before in jax.tree.leaves_with_path(params):
        now = after
        for entry in path:
            now = now[entry.key]
        decayed = not np.array_equal(now, before)
        assert decayed == (before.ndim == 2), jax.tree_util.keystr(path)


def test_what_is_frozen_neither_moves_nor_enters_the_clip():
    """Not even by weight decay; however large its gradient, the others move as if it were 0."""
    settings = OptimizerConfig(learning_rate=0.1, warmup_share=0.0, clip_norm=1.0, weight_decay=0.5)
    optimizer = make_optimizer(settings, total_steps=10, frozen=("position",))
    params = {"position": {"embedding": jnp.ones((2, 3))}, "word": {"embedding": jnp.ones((4, 3))}}
    results = []
    for size in (0.0, 1e6):
        gradients = {
            "position": {"embedding": jnp.full((2, 3), size)},
            "word": {"embedding": jnp.full((4, 3), 0.1)},
        }
        results.append(optimizer.update(gradients, optimizer.init(params), params, jnp.int32(0)))
    for after, _, stats in results:
        np.testing.assert_array_equal(after["position"]["embedding"], 1.0)
        np.testing.assert_allclose(stats["grad_norm"], 0.1 * 12**0.5, rtol=1e-6)
        assert not stats["clipped"]
        np.testing.assert_array_equal(
            after["word"]["embedding"], results[0][0]["word"]["embedding"]
        )


def layered(layers: int, seed: int) -> dict:
    """Random parameters, or their gradients, with the paths of a model's."""
    random = np.random.default_rng(seed)
    names = ["embeddings", *range(layers), "head"]
    leaves = {name: jnp.asarray(random.normal(size=(3, 2)), jnp.float32) for name in names}
    return {
        "backbone": {
            "embeddings": {"word": {"embedding": leaves["embeddings"]}},
            "encoder": {"layers": {n: {"dense": {"kernel": leaves[n]}} for n in range(layers)}},
        },
        "classifier": {"kernel": leaves["head"]},
    }


def test_the_rate_decays_from_layer_to_layer():
    """Each has the update that it would have alone, with a rate of its own."""
    settings = OptimizerConfig(learning_rate=0.1, warmup_share=0.0, weight_decay=0.2)
    params, gradients = layered(11, 0), layered(11, 1)
    moved = []
    for decay in (1.0, 0.5):
        optimizer = make_optimizer(settings, total_steps=10, layer_decay=decay)
        after, *_ = optimizer.update(gradients, optimizer.init(params), params, jnp.int32(0))
        moved.append(jax.tree.map(jnp.subtract, after, params))
    ratios = jax.tree.map(lambda one, other: float(jnp.median(other / one)), *moved)
    backbone = ratios["backbone"]
    found = [backbone["encoder"]["layers"][n]["dense"]["kernel"] for n in range(11)]
    found = [backbone["embeddings"]["word"]["embedding"], *found, ratios["classifier"]["kernel"]]
    np.testing.assert_allclose(found, 0.5 ** np.arange(12, -1, -1), rtol=1e-3)


@pytest.mark.oracle
def test_layer_decay_is_that_of_torchs_groups():
    import torch

    settings = OptimizerConfig(
        learning_rate=0.05, warmup_share=0.0, weight_decay=0.2, clip_norm=1.0
    )
    optimizer = make_optimizer(settings, total_steps=10**6, layer_decay=0.7)
    params = layered(2, 0)
    state = optimizer.init(params)
    leaves, structure = jax.tree.flatten(params)
    theirs = [torch.nn.Parameter(torch.tensor(np.array(leaf))) for leaf in leaves]
    rates = [0.05 * 0.7**below for below in (3, 2, 1, 0)]
    groups = [{"params": [p], "lr": rate} for p, rate in zip(theirs, rates, strict=True)]
    adamw = torch.optim.AdamW(groups, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.2)
    for number in range(5):
        gradients = layered(2, number + 1)
        for parameter, gradient in zip(theirs, jax.tree.leaves(gradients), strict=True):
            parameter.grad = torch.tensor(np.array(gradient))
        torch.nn.utils.clip_grad_norm_(theirs, 1.0)
        adamw.step()
        params, state, _ = optimizer.update(gradients, state, params, jnp.int32(number))
    ours = structure.flatten_up_to(params)
    for leaf, parameter in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(leaf, parameter.detach(), rtol=1e-4, atol=1e-5)


def test_frozen_layers_stay_and_only_they():
    """Layer 1, and not layer 10."""
    optimizer = make_optimizer(
        OptimizerConfig(warmup_share=0.0), total_steps=10, frozen=("embeddings", "layers.1")
    )
    params, gradients = layered(11, 0), layered(11, 1)
    after, *_ = optimizer.update(gradients, optimizer.init(params), params, jnp.int32(0))
    same = jax.tree.map(np.array_equal, after, params)
    assert jax.tree.leaves(same["backbone"]["embeddings"]) == [True]
    layers = same["backbone"]["encoder"]["layers"]
    assert [n for n in range(11) if layers[n]["dense"]["kernel"]] == [1]
    assert not same["classifier"]["kernel"]
