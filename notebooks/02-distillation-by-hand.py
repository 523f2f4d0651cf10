# %% [markdown]
# # Distillation by hand
#
# One batch goes through teacher and student. Every loss of DistilBERT ([Sanh et al.
# 2019](https://arxiv.org/abs/1910.01108), section 2) is computed in a few lines, and must equal
# what the library computes. Then: what temperature does, how the gradients of the three losses
# compare, why the distillation loss is multiplied with $T^2$, and what each choice of teacher
# layers starts from.
#
# No network is needed. The teacher is the small BERT that comes with the repository, its student
# has 6 of its 12 layers, and the text is Python's documentation.

# %%
# In Google Colab this brings the repository; elsewhere it does nothing.
import os
import subprocess
import sys
from pathlib import Path

REPOSITORY, FOLDER = "https://github.com/OWNER/distilbert-flax", "/content/distilbert-flax"
if "google.colab" in sys.modules and not Path(FOLDER).exists():
    subprocess.run(["git", "clone", "-q", REPOSITORY, FOLDER], check=True)
    os.chdir(FOLDER)
    sys.path.insert(0, FOLDER)
    subprocess.run(["pip", "install", "-q", "-c", "constraints.txt", "-e", "."], check=True)

# %%
import os
from dataclasses import replace
from pathlib import Path

if Path.cwd().name == "notebooks":
    os.chdir("..")  # all paths below start at the repository's root

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import treescope
from flax import nnx
from jax.flatten_util import ravel_pytree

from data.open import open_data
from model.pretrained import load
from model.student import student_from_teacher
from model.tasks import MaskedLM
from train.recipes import DISTILL

plt.style.use("notebooks/print.mplstyle")

TEACHER = "assets/bert-tiny-pydocs"
recipe = DISTILL["tiny"]()
data = open_data(replace(recipe.data, tokenizer=TEACHER))
tokenizer, special = data.vocabulary.tokenizer, data.vocabulary.special
teacher = load(TEACHER, MaskedLM)
student = student_from_teacher(teacher, layers="original", rngs=nnx.Rngs(0))

# %% [markdown]
# ## 1. One batch
#
# Eight sequences of 64 tokens. 15 % of the tokens are to be predicted; of these 80 % are
# replaced by `[MASK]`, 10 % by a random token, and 10 % stay (Devlin et al. 2018, section 3.1).
# Every token is as likely to be chosen. (The original code chooses rare tokens more often, with
# weight $\text{count}^{-0.7}$: `--masking.smoothing 0.7`.) Teacher and student read the same masked
# text.

# %%
from data.batches import Batches
from data.masking import mask_tokens, token_log_weights
from train.update.keys import Keys, stream_key

batches = Batches(data.train, batch_size=8, seed=recipe.seed, pad_id=special.pad)
text = {name: jnp.asarray(array[0]) for name, array in batches.batch(0).items()}
keys = Keys(stream_key(recipe.seed, "masking"), stream_key(recipe.seed, "dropout"))
log_weights = jnp.asarray(token_log_weights(data.train.counts, special, recipe.masking.smoothing))
there = jnp.ones_like(text["input_ids"], bool)  # all sequences are full: there is no padding
masked = mask_tokens(
    jax.random.fold_in(keys.masking, 0),  # of update 0
    *(text["input_ids"], there, text["row"], log_weights),
    config=recipe.masking,
    mask_id=special.mask,
)
batch = {"attention_mask": there, **masked._asdict()}
print(treescope.render_to_text(jax.tree.map(jnp.shape, batch)))

# %% [markdown]
# Masks are drawn over groups of two sequences; `positions` count through a group. In the running
# index of all 512 tokens:

# %%
group = recipe.masking.group_rows * recipe.data.sequence_length
starts = group * jnp.arange(len(masked.positions))[:, None]
predicted = (starts + masked.positions)[masked.valid]
labels = masked.labels[masked.valid]

read = masked.input_ids.ravel()[predicted]
words = {"place": predicted, "read": read, "to predict": labels}
table = pd.DataFrame(words).map(int).sort_values("place").head(8)
table.set_index("place").map(tokenizer.id_to_token)

# %% [markdown]
# Both models, everything that the losses look at:

# %%
inputs = batch["input_ids"], batch["attention_mask"]
ours, theirs = student(*inputs), teacher(*inputs)
vocabulary = teacher.config.vocab_size
for name, output in {"student": ours, "teacher": theirs}.items():
    print(f"{name}: last hidden {output.last_hidden.shape}, logits {output.logits.shape}")

# %% [markdown]
# ## 2. Three losses, by hand
#
# **The distillation loss.** Student and teacher are softened by a temperature $T$, $p_i =
# \exp(z_i/T) / \sum_j \exp(z_j/T)$, and the student is to be surprised by the teacher as little
# as the teacher is itself (Hinton et al. 2015, section 2; Sanh et al., section 2):
#
# $$L_{ce} = T^2 \sum_i t_i \left(\log t_i - \log s_i\right)$$
#
# with $t$ the teacher's and $s$ the student's softened distribution,
#
# averaged over all tokens that are not padding, as in the original code (`distiller.py`).

# %%
T = 2.0
attended = batch["attention_mask"]
by_hand = {}

log_teacher = jax.nn.log_softmax(theirs.logits / T)
log_student = jax.nn.log_softmax(ours.logits / T)
kl = jnp.sum(jnp.exp(log_teacher) * (log_teacher - log_student), axis=-1)
by_hand["ce"] = T**2 * jnp.mean(kl[attended])

# %% [markdown]
# The paper writes the cross-entropy $-\sum_i t_i \log s_i$, its code computes the
# Kullback-Leibler divergence above. They differ by the entropy of the teacher, which the student
# cannot change: the gradients are the same.

# %%
cross = -jnp.sum(jnp.exp(log_teacher) * log_student, axis=-1)
entropy = -jnp.sum(jnp.exp(log_teacher) * log_teacher, axis=-1)
np.testing.assert_allclose(kl, cross - entropy, atol=2e-4)
for name, values in {"cross-entropy": cross, "entropy of the teacher": entropy, "KL": kl}.items():
    print(f"{name:<24}{jnp.mean(values[attended]):.3f} nats")

# %% [markdown]
# **The masked-LM loss** looks only at the tokens to be predicted and needs no teacher (Devlin et
# al., section 3.1):
#
# $$L_{mlm} = -\log p^{\text{student}}_{\text{label}} \quad\text{at temperature 1.}$$

# %%
scores = ours.logits.reshape(-1, vocabulary)[predicted]
right = jax.nn.log_softmax(scores)[jnp.arange(len(labels)), labels]
by_hand["mlm"] = -jnp.mean(right)

# %% [markdown]
# **The cosine loss** aligns the *directions* of the last hidden states (Sanh et al., section 2),
# again over all tokens that are not padding:
#
# $$L_{cos} = 1 - \frac{h_s \cdot h_t}{|h_s|\,|h_t|}$$

# %%
a, b = ours.last_hidden[attended], theirs.last_hidden[attended]
cosine = jnp.sum(a * b, axis=-1) / jnp.linalg.norm(a, axis=-1) / jnp.linalg.norm(b, axis=-1)
by_hand["cos"] = jnp.mean(1 - cosine)

# %% [markdown]
# **The sum.** The weights 5, 2 and 1 are those in the README of the original code; the paper
# gives none.

# %%
weights = {"ce": 5.0, "mlm": 2.0, "cos": 1.0}
by_hand["loss"] = sum(weights[name] * by_hand[name] for name in weights)

# %% [markdown]
# ### The same from the library
#
# Losses are functions that return a value for every position
# ([objectives/losses.py](../train/objectives/losses.py)). An *objective* says what they are given
# and where they count ([objectives/distillation.py](../train/objectives/distillation.py)), and a
# *step* is one whole update as `python -m train.distill` makes it
# ([update/step.py](../train/update/step.py)): it draws the masks, the same as above because the key
# is the same, and returns the new parameters with the losses that it saw.

# %%
from train.objectives.distillation import DistillationObjective
from train.objectives.losses import cosine_distance, cross_entropy, distillation_kl
from train.update.optimizer import make_optimizer
from train.update.step import init_state, make_step, split

functions = {
    "ce": jnp.mean(distillation_kl(ours.logits, theirs.logits, T)[attended]),
    "mlm": jnp.mean(cross_entropy(scores, labels)),
    "cos": jnp.mean(cosine_distance(ours.last_hidden, theirs.last_hidden)[attended]),
}

model, params = nnx.split(student)
objective = DistillationObjective(
    model, nnx.graphdef(teacher), recipe.masking, special.mask, recipe.loss.terms()
)
optimizer = make_optimizer(recipe.optimizer, total_steps=500)
step = jax.jit(make_step(objective, optimizer, total_steps=500))
constants = {"teacher": split(teacher)[1], "log_weights": log_weights}
state = init_state(split(student)[1], optimizer)
_, update = step(state, constants, batches.batch(0), keys)
library = {name: update[name] for name in by_hand}

for name, value in library.items():
    np.testing.assert_allclose(by_hand[name], value, rtol=1e-4)
    np.testing.assert_allclose(functions.get(name, value), value, rtol=1e-4)
pd.DataFrame({"by hand": by_hand, "functions": functions, "step": library}).map(
    lambda value: "" if pd.isna(value) else f"{float(value):.5f}"
)

# %% [markdown]
# ### A loss of your own
#
# A term is a class with its options and one method, its value at every token. This one is the
# Jensen-Shannon divergence: symmetric, and never more than $T^2 \ln 2$. It gets logits a few tokens
# at a time; terms of hidden states look alike ([docs/losses.md](../docs/losses.md)). With the class
# in [objectives/terms.py](../train/objectives/terms.py) and its line in the table there,
# `python -m train.distill tiny --loss.js.weight 5` trains with it, and studies compare it.

# %%
from dataclasses import dataclass

from jax.scipy.special import entr
from scipy.spatial.distance import jensenshannon

from train.objectives.schedule import Number
from train.objectives.terms import DistillationLoss, LogitTerm


@dataclass(frozen=True)
class JensenShannon(LogitTerm):
    """T^2 JS(teacher, student) of softened distributions (Lin 1991)."""

    temperature: Number = 2.0

    def values(self, student, teacher, labels, now):
        t = now["temperature"]
        p, q = jax.nn.softmax(teacher / t), jax.nn.softmax(student / t)
        return t**2 * jnp.sum(entr((p + q) / 2) - (entr(p) + entr(q)) / 2, axis=-1)


@dataclass(frozen=True)
class MyLoss(DistillationLoss):
    """The table of all terms, with one more line."""

    js: JensenShannon = JensenShannon()


my_terms = MyLoss().with_weights(js=5.0, mlm=2.0, cos=1.0).terms()
mine = DistillationObjective(model, nnx.graphdef(teacher), recipe.masking, special.mask, my_terms)
_, with_mine = jax.jit(make_step(mine, optimizer, 500))(state, constants, batches.batch(0), keys)

p, q = (jax.nn.softmax(output.logits[attended] / T) for output in (theirs, ours))
np.testing.assert_allclose(with_mine["js"], np.mean(T**2 * jensenshannon(p, q, axis=-1) ** 2), 1e-4)
pd.Series({name: float(with_mine[name]) for name in (*my_terms, "loss")}, name="value").to_frame()

# %% [markdown]
# ## 3. Temperature
#
# What does the teacher say about one masked token? Write another sentence here. Bars: the
# teacher; circles: the student before training.

# %%
SENTENCE = "If the file does not [MASK], an exception is raised."

encoding = tokenizer.encode(SENTENCE)
place = encoding.ids.index(special.mask)
z_teacher, z_student = (m(jnp.array([encoding.ids])).logits[0, place] for m in (teacher, student))
shown = jnp.argsort(z_teacher, descending=True)[:12]
pieces = [tokenizer.id_to_token(int(piece)) for piece in shown]

fig, grid = plt.subplots(1, 4, figsize=(9.0, 2.9), sharey=True)
for axes, t in zip(grid, (1, 2, 4, 8), strict=True):
    p, q = jax.nn.softmax(z_teacher / t), jax.nn.softmax(z_student / t)
    axes.barh(pieces, p[shown], color="#56B4E9")
    axes.plot(q[shown], pieces, "o", color="#333333", markerfacecolor="none")
    effective = jnp.exp(jnp.sum(jax.scipy.special.entr(p)))
    axes.set_title(
        f"T = {t}: like {effective:,.0f} equal pieces,\nthese 12 hold {p[shown].sum():.1%}"
    )
    axes.set_xlabel("probability")
    axes.grid(axis="x")
    axes.grid(visible=False, axis="y")
    axes.locator_params(axis="x", nbins=3)
    axes.set_xlim(left=0)
grid[0].invert_yaxis()
plt.show()

# %% [markdown]
# At $T = 1$ the loss is about the first few pieces. With a higher temperature it is more and
# more about all the others, the "dark knowledge" of Hinton et al.: which wrong answers the
# teacher finds less wrong. At $T = 8$ the scale of the bars shows that little difference is left
# between 8,192 pieces. (Equal pieces: the exponential of the entropy.)

# %% [markdown]
# ## 4. The gradients of the three losses
#
# What the student feels of a loss is its gradient. Here are the losses once more as one function
# of the student's parameters, to be differentiated one by one.


# %%
def losses(params, temperature):
    output = nnx.merge(model, params)(*inputs)
    kl = distillation_kl(output.logits, theirs.logits, temperature)
    scores = output.logits.reshape(-1, vocabulary)[predicted]
    return {
        "ce": jnp.mean(kl, where=attended),
        "mlm": jnp.mean(cross_entropy(scores, labels)),
        "cos": jnp.mean(cosine_distance(output.last_hidden, theirs.last_hidden), where=attended),
    }


gradient = jax.jit(
    lambda name, t: jax.grad(lambda params: losses(params, t)[name])(params), static_argnums=0
)
gradients = {name: gradient(name, T) for name in weights}
vectors = {name: ravel_pytree(tree)[0] for name, tree in gradients.items()}
norms = {name: jnp.linalg.norm(vector) for name, vector in vectors.items()}
total = sum(weights[name] * vectors[name] for name in weights)
np.testing.assert_allclose(jnp.linalg.norm(total), update["grad_norm"], rtol=1e-3)

columns = {
    "value": {name: f"{by_hand[name]:.3f}" for name in weights},
    "norm of its gradient": {name: f"{norms[name]:.3f}" for name in weights},
    "weight": weights,
    "norm, weighted": {name: f"{weights[name] * norms[name]:.3f}" for name in weights},
}
pd.DataFrame(columns)

# %% [markdown]
# Where in the student each arrives, and whether they pull in the same direction:


# %%
def norm_by_place(tree):
    squares = {}
    for path, leaf in nnx.to_flat_state(tree):
        place = f"layer {path[3]}" if "layers" in path else path[path[0] == "backbone"]
        squares[place] = squares.get(place, 0.0) + float(jnp.sum(leaf[...] ** 2))
    return {place: square**0.5 for place, square in squares.items()}


fig, (left, right) = plt.subplots(1, 2, figsize=(8.0, 2.9), width_ratios=(2.2, 1))
for (name, tree), marker in zip(gradients.items(), "os^", strict=True):
    places = norm_by_place(tree)
    values = [weights[name] * norm or np.nan for norm in places.values()]
    left.plot(list(places), values, marker=marker, label=f"{weights[name]:g} x {name}")
left.set_yscale("log")
left.tick_params(axis="x", rotation=40)
left.set_title("Norm of the weighted gradient, by place in the student")
left.legend()

unit = jnp.stack([vectors[name] / norms[name] for name in weights])
angles = unit @ unit.T
right.imshow(angles, cmap="RdBu", vmin=-1, vmax=1)
for (i, j), value in np.ndenumerate(angles):
    right.text(
        j, i, f"{value:.2f}", ha="center", va="center", color="white" if value > 0.7 else "black"
    )
right.set_xticks(range(3), weights)
right.set_yticks(range(3), weights)
right.grid(visible=False)
right.set_title("Cosine between gradients")
plt.show()

# %% [markdown]
# Before training the three agree: no cosine is negative, and the distillation loss and the
# cosine loss want nearly the same. The distillation loss is by far the strongest, so it decides
# the direction of the sum. (The norm of the sum, which the step above reported too, is far
# beyond the 5 at which the recipe clips, and Adam divides by the size of past gradients: the
# direction is what counts.) The cosine loss never reaches the head, which comes after the hidden
# states that it compares.

# %% [markdown]
# ## 5. Why $T^2$
#
# For the divergence without the factor, the gradient of a logit is (Hinton et al. 2015, equation
# 2)
#
# $$\partial\,\mathrm{KL}_T / \partial z_i = (q_i - p_i) / T \;\approx\; (z_i - v_i) / (V\,T^2)$$
#
# with the student's $q$ and the teacher's $p$, both at $T$; the right side is their equation 4,
# for $T$ large against the logits $z$ and $v$ (of mean zero) over $V$ pieces. One $T$ comes from
# dividing the logits, the other from the softened distributions, which come closer as $T$ grows.
# First the left equation, at the token above:


# %%
def divergence(z):
    return distillation_kl(z, z_teacher, T) / T**2


q, p = jax.nn.softmax(z_student / T), jax.nn.softmax(z_teacher / T)
np.testing.assert_allclose(jax.grad(divergence)(z_student), (q - p) / T, atol=1e-6)

# %% [markdown]
# Then the gradient of all parameters, on the whole batch. Without the factor a higher
# temperature silently switches the distillation loss off against the other two; with it the
# weights keep their meaning.

# %%
temperatures = np.array([0.5, 1, 2, 4, 8, 16, 32])
with_factor = np.array([jnp.linalg.norm(ravel_pytree(gradient("ce", t))[0]) for t in temperatures])
without = with_factor / temperatures**2

fig, axes = plt.subplots(figsize=(5.2, 3.0))
axes.loglog(temperatures, with_factor, marker="o", label="$T^2$ KL")
axes.loglog(temperatures, without, marker="s", label="KL")
slope = without[-1] * (temperatures[-1] / temperatures) ** 2
axes.loglog(
    temperatures, slope, color="#808080", linestyle="--", linewidth=1, label="$\\propto 1/T^2$"
)
axes.axhline(norms["mlm"], color="#333333", linestyle=":", linewidth=1, label="masked LM")
axes.set_xticks(temperatures, [f"{t:g}" for t in temperatures])
axes.minorticks_off()
axes.set_xlabel("temperature T")
axes.set_ylabel("norm of the gradient")
axes.legend()
plt.show()

# %% [markdown]
# ## 6. What each choice of layers starts from
#
# The student begins as some layers of its teacher: "taking one layer out of two" (Sanh et al.,
# section 3). Which ones? The original code takes 0, 2, 4, 7, 9 and 11. Here is what other
# choices can do *before any training*, on held-out text with the same masks for all.

# %%
from model.student import choose_layers
from train.loop.heldout import HeldOut

CHOICES = ("original", "first", "last", "even", "odd", "random")
heldout = HeldOut(data.heldout, data.train.counts, special, rows=64, limit=128)
evaluate = heldout.evaluator(model, nnx.graphdef(teacher))
depth = teacher.config.num_layers

starts = {}
for layers in CHOICES:
    made = student_from_teacher(teacher, layers=layers, rngs=nnx.Rngs(0))
    starts[layers] = evaluate(nnx.state(made), nnx.state(teacher))
itself = heldout.evaluator(nnx.graphdef(teacher))(nnx.state(teacher))

# %%
fig, (left, middle, right) = plt.subplots(1, 3, figsize=(9.0, 2.8), sharey=True)
for row, layers in enumerate(CHOICES):
    copied = [] if layers == "random" else choose_layers(layers, depth)
    colours = ["#0072B2" if index in copied else "#e6e6e6" for index in range(depth)]
    left.scatter(range(depth), [row] * depth, color=colours, marker="s", s=70)
left.set_title("Layers of the teacher that are copied")
left.set_xticks(range(depth))
left.grid(visible=False)
left.spines[:].set_visible(False)
left.tick_params(length=0)
accuracy = [starts[layers]["masked_lm_accuracy"] for layers in CHOICES]
loss = [starts[layers]["masked_lm_loss"] for layers in CHOICES]
middle.set_title("Accuracy at masked tokens")
right.set_title("Masked-LM loss (nats)")
for axes, values, style in ((middle, accuracy, "{:.1%}"), (right, loss, "{:.2f}")):
    bars = axes.barh(CHOICES, values, color="#56B4E9", height=0.6)
    labels = axes.bar_label(bars, [style.format(value) for value in values], padding=3, fontsize=8)
    plt.setp(labels, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5})
    axes.grid(visible=False)
    axes.set_xlim(0, 1.25 * max(values))
for axes, name in ((middle, "masked_lm_accuracy"), (right, "masked_lm_loss")):
    axes.axvline(
        starts["random"][name.replace("masked_lm", "unigram")], color="#808080", ls="--", lw=1.2
    )
    axes.axvline(itself[name], color="#333333", ls=":", lw=1.2)
    axes.set_xlim(0, 1.25 * max(axes.get_xlim()[1] / 1.25, itself[name]))
middle.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
left.invert_yaxis()
title = "Dotted: the whole teacher. Dashed: always the most frequent token"
fig.suptitle(title, x=0, ha="left")
plt.show()

# %% [markdown]
# Copied layers are worth something only where their inputs are what they are used to. The odd
# layers do worse than guessing. That the even ones do so well here is probably due to this
# teacher: it was grown from a model of two layers, which became its layers 0 and 6
# ([growing.py](../model/growing.py)), and `even` is the only choice that has both. With another
# teacher look again; and a start is not yet a result (`python -m train.ablate` compares trained
# students, with several seeds).
