# %% [markdown]
# # DistilBERT beside BERT
#
# DistilBERT ([Sanh et al. 2019](https://arxiv.org/abs/1910.01108)) is BERT ([Devlin et al.
# 2018](https://arxiv.org/abs/1810.04805)) with half the layers and a few smaller parts removed.
# This notebook runs both side by side, module by module, with the code that the repository trains
# with. You will see every shape, the place of every parameter, what was removed and what that
# saves, and which of the teacher's attention heads a student keeps.
#
# It needs no network. The models that run are the small pair that comes with the repository: a
# BERT of 12 layers, 128 wide, and its DistilBERT of 6. Sizes are counted for BERT-base, which is
# possible without loading its weights.

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
import inspect
import os
import shutil
import textwrap
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from unittest import mock

if Path.cwd().name == "notebooks":
    os.chdir("..")  # all paths below start at the repository's root

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import treescope
from flax import nnx
from IPython.display import Markdown
from matplotlib.colors import PowerNorm

plt.style.use("notebooks/print.mplstyle")

# %% [markdown]
# ## 1. Two configurations of one encoder
#
# One frozen dataclass describes both models, so what differs between them is a difference of
# fields.

# %%
from model.config import bert_base, distilbert_base

fields = pd.DataFrame({"BERT": asdict(bert_base()), "DistilBERT": asdict(distilbert_base())})
fields["differs"] = np.where(fields["BERT"] == fields["DistilBERT"], "", "yes")
fields.map(str)

# %% [markdown]
# Two differences follow from `architecture` and are not in the table: BERT has a *pooler*, and
# dropout at the output of attention. The class of the student is therefore empty. Here it is:

# %%
from model.config import EncoderConfig
from model.distilbert import DistilBert


def source(*things):
    code = "\n\n".join(textwrap.dedent(inspect.getsource(thing)) for thing in things)
    return Markdown(f"```python\n{code}```")


source(DistilBert, EncoderConfig.distilled)

# %% [markdown]
# ## 2. Module by module
#
# Write your own sentences here, and run everything again: the pictures at the end are of the
# first one. The small models have read only Python's documentation.

# %%
from data.tokenizer import load_vocabulary
from model.pretrained import load
from model.student import student_from_teacher
from model.tasks import MaskedLM

SENTENCES = (
    "Return a new list that contains all the items, or raise an error if it is empty.",
    "The file is opened for reading, and closed when the block ends.",
)

TEACHER = "assets/bert-tiny-pydocs"
tokenizer = load_vocabulary(TEACHER).tokenizer
teacher = load(TEACHER, MaskedLM)
student = student_from_teacher(teacher, layers="original", rngs=nnx.Rngs(0))
models = {"BERT": teacher, "DistilBERT": student}

encoding = tokenizer.encode(SENTENCES[0])
ids = jnp.array([encoding.ids])
mask = jnp.ones_like(ids, bool)[:, None]  # every token sees all of them
print(*encoding.tokens)


def shapes(model, **arrays):
    print(f"\n{model}")
    for name, array in arrays.items():
        print(f"  {name:<20}{array.shape}")


# %% [markdown]
# **Embeddings.** A token is the sum of a vector for its word piece, one for its position and, in
# BERT only, one for its segment. LayerNorm follows (Devlin et al., figure 2). DistilBERT has no
# segments: "the token-type embeddings [...] are removed" (Sanh et al., section 3). Each step is
# computed by hand below and must equal the model's result.

# %%
from model.blocks.embeddings import Embeddings

source(Embeddings.__call__)

# %%
hidden = {}
for name, model in models.items():
    embeddings = model.backbone.embeddings
    word = embeddings.word(ids)
    position = embeddings.position.embedding[...][: ids.shape[1]]
    total = word + position
    if embeddings.token_type is not None:
        total += embeddings.token_type(jnp.zeros_like(ids))
    hidden[name] = embeddings.norm(total)
    np.testing.assert_allclose(hidden[name], embeddings(ids), atol=1e-6)
    shapes(name, ids=ids, word=word, position=position, normalised=hidden[name])

# %% [markdown]
# **Self-attention** (Vaswani et al. 2017, section 3.2): $\operatorname{softmax}(q k^\top /
# \sqrt{d})\, v$ in every head, then a dense layer over all heads. The two models run the same
# code.

# %%
from model.blocks.attend import attend
from model.blocks.attention import Attention

source(Attention.__call__, attend)

# %%
attended = {}
for name, model in models.items():
    attention, x = model.backbone.encoder.layers[0].attention, hidden[name]
    heads, size = model.config.num_heads, model.config.head_size
    query, key, value = (
        dense(x).reshape(1, -1, heads, size)
        for dense in (attention.query, attention.key, attention.value)
    )
    scores = jnp.einsum("bqnd,bknd->bnqk", query, key) / np.sqrt(size)
    probabilities = jax.nn.softmax(scores)  # nothing to mask: the sentence has no padding
    context = jnp.einsum("bnqk,bknd->bqnd", probabilities, value)
    attended[name] = attention.out(context.reshape(x.shape))
    np.testing.assert_allclose(attended[name], attention(x, mask)[0], atol=1e-5)
    shapes(name, query=query, scores=scores, context=context, attended=attended[name])

# %% [markdown]
# **A layer** adds attention to its input and normalises the sum, then does the same with two
# dense layers that are applied to every token separately. LayerNorm comes *after* the sum, as in
# the Transformer of 2017. Only one value differs between the models, and only in training:
# `attention_output_dropout` is 0 in DistilBERT.

# %%
from model.blocks.encoder import FeedForward, Layer

source(Layer.__call__, FeedForward.__call__)

# %%
for name, model in models.items():
    layer = model.backbone.encoder.layers[0]
    middle = layer.attention_norm(hidden[name] + attended[name])
    up = jax.nn.gelu(layer.feed_forward.up(middle), approximate=False)
    down = layer.feed_forward.down(up)
    after = layer.output_norm(middle + down)
    np.testing.assert_allclose(after, layer(hidden[name], mask)[0], atol=1e-5)
    shapes(name, attention_norm=middle, up=up, down=down, output_norm=after)

# %% [markdown]
# **The stack and the head.** BERT has twelve such layers and DistilBERT six. A head then predicts
# tokens: dense, GELU, LayerNorm, and a decoder that is the matrix of the word embeddings again
# (they are *tied*).

# %%
for name, model in models.items():
    x = hidden[name]
    for layer in model.backbone.encoder.layers:
        x, _ = layer(x, mask)
    features = model.head.norm(jax.nn.gelu(model.head.dense(x), approximate=False))
    logits = features @ model.backbone.embeddings.word.embedding[...].T + model.head.bias[...]
    np.testing.assert_allclose(logits, model(ids).logits, atol=1e-3)
    depth = len(model.backbone.encoder.layers)
    shapes(f"{name}, {depth} layers", last_hidden=x, features=features, logits=logits)

# %% [markdown]
# ## 3. Where every parameter is
#
# `nnx.eval_shape` makes a model of shapes without numbers, so BERT-base can be examined at no
# cost.

# %%
from model.bert import Bert


def budget(backbone):
    """Counts the parameters of each part: tables, halves of layers, pooler."""
    counts = Counter()
    for path, leaf in nnx.to_flat_state(nnx.state(backbone, nnx.Param)):
        place = path[:1] if path[0] == "pooler" else path[:2]
        if path[0] == "encoder":
            half = "attention" if path[3].startswith("attention") else "feed-forward"
            place = path[2], half
        counts[place] += leaf.size
    return counts


base = {
    "BERT": nnx.eval_shape(lambda: Bert(bert_base(), rngs=nnx.Rngs(0))),
    "DistilBERT": nnx.eval_shape(lambda: DistilBert(distilbert_base(), rngs=nnx.Rngs(0))),
}
budgets = {name: budget(backbone) for name, backbone in base.items()}
parameters = {name: sum(counts.values()) for name, counts in budgets.items()}

# %% [markdown]
# Such a model is a tree; in JupyterLab every line opens. (GitHub does not show the tree, so the
# shapes of one layer's parameters follow as text.)

# %%
treescope.show(base["DistilBERT"])

# %%
layer = nnx.to_pure_dict(nnx.state(base["DistilBERT"].encoder.layers[0]))
print(treescope.render_to_text(jax.tree.map(lambda leaf: leaf.shape, layer)))

# %% [markdown]
# The parameters of each part. A number is a layer: its attention, then its feed-forward.

# %%
SMALL = "positions, types, norm"
COLOURS = {
    "word embeddings": "#E69F00",
    SMALL: "#808080",
    "attention": "#56B4E9",
    "feed-forward": "#0072B2",
    "pooler": "#D55E00",
}
ORDER = [("embeddings", part) for part in ("word", "position", "token_type", "norm")]
NAMES = {("embeddings", "word"): "word embeddings", ("pooler",): "pooler"}

fig, axes = plt.subplots(figsize=(8.0, 2.3))
for row, counts in enumerate(budgets.values()):
    left = 0.0
    for place in [*ORDER, *(place for place in counts if isinstance(place[0], int)), ("pooler",)]:
        group = place[1] if isinstance(place[0], int) else NAMES.get(place, SMALL)
        width = counts[place] / 1e6
        axes.barh(row, width, left=left, color=COLOURS[group], edgecolor="white", lw=0.4)
        if group == "feed-forward":
            axes.text(left + width / 2, row, place[0] + 1, ha="center", va="center", color="white")
        left += width
    axes.text(left + 1, row, f"{left:.1f} M", va="center", fontweight="bold")
axes.set_yticks(range(len(budgets)), budgets, fontsize=9)
axes.tick_params(axis="y", length=0)
axes.invert_yaxis()
axes.grid(visible=False)
axes.spines["left"].set_visible(False)
axes.set_xlim(0, 122)
axes.set_xlabel("million parameters (base size, encoder without the masked-LM head)")
handles = [plt.Rectangle((0, 0), 1, 1, color=colour) for colour in COLOURS.values()]
fig.legend(handles, COLOURS, loc="outside upper left", ncols=5)
plt.show()

# %% [markdown]
# A layer holds 7.1 M parameters, two thirds of them in its feed-forward. The word embeddings are
# as large as three layers, and DistilBERT keeps all of them: half the layers is *not* half the
# model.

# %%
removed = {
    "6 of 12 layers": sum(
        n for place, n in budgets["BERT"].items() if isinstance(place[0], int) and place[0] < 6
    ),
    "pooler": budgets["BERT"]["pooler",],
    "token-type embeddings": budgets["BERT"]["embeddings", "token_type"],
}
assert sum(removed.values()) == parameters["BERT"] - parameters["DistilBERT"]
pd.DataFrame(
    {
        "parameters": {name: f"{n:,}" for name, n in removed.items()},
        "of BERT": {name: f"{n / parameters['BERT']:.1%}" for name, n in removed.items()},
    }
)

# %% [markdown]
# ## 4. What that saves: parameters, operations, time
#
# XLA counts the operations of a program without running it. The table compares this with a count
# by hand. A dense layer of $m \times n$ does $2mn$ operations for each token. Scores and context
# do $2Lh$ each for each token, where $L$ is the number of tokens and $h$ the width (the same
# accounting as Kaplan et al. 2020, table 1). Looking up an embedding needs no operations, so the
# operations halve although the parameters do not.

# %%
from eval.timing.reading import PUBLISHED_RATIO
from report.reading_speed import sentences_per_second

LENGTH = 128


def operations(backbone):
    graphdef, params = nnx.split(backbone)
    encode = jax.jit(lambda params, ids: nnx.merge(graphdef, params)(ids).last_hidden)
    tokens = jax.ShapeDtypeStruct((1, LENGTH), jnp.int32)
    return encode.lower(params, tokens).cost_analysis()["flops"]


def by_hand(config):
    h, wide = config.hidden_size, config.intermediate_size
    dense = 2 * (4 * h * h + 2 * h * wide)
    return config.num_layers * LENGTH * (dense + 2 * 2 * LENGTH * h)


flops = {name: operations(backbone) for name, backbone in base.items()}
for name, backbone in base.items():
    np.testing.assert_allclose(flops[name], by_hand(backbone.config), rtol=0.03)

speed = sentences_per_second(
    {name: model.backbone for name, model in models.items()}, sentences=1, length=64, repeats=200
)
comparison = {
    "parameters, base": {name: f"{n / 1e6:.1f} M" for name, n in parameters.items()},
    f"operations, base, {LENGTH} tokens": {n: f"{f / 1e9:.1f} GFLOP" for n, f in flops.items()},
    "one sentence, small pair, here": {n: f"{1000 / s:.2f} ms" for n, s in speed.items()},
}
comparison["published: a pass over STS-B on a CPU, base"] = {"BERT": "668 s", "DistilBERT": "410 s"}
ratios = [
    parameters["DistilBERT"] / parameters["BERT"],
    flops["DistilBERT"] / flops["BERT"],
    speed["BERT"] / speed["DistilBERT"],
    1 / PUBLISHED_RATIO,
]
table = pd.DataFrame(comparison).T
table["DistilBERT / BERT"] = [f"{ratio:.2f}" for ratio in ratios]
table

# %% [markdown]
# The last row is Sanh et al. 2019, table 3, one sentence pair at a time: this is what "60 %
# faster" in the abstract means. Half the layers are half the work; the measured time also depends
# on everything else that takes time.

# %% [markdown]
# ## 5. Where each drops
#
# No dropout layer is stored in these models: dropout happens if a caller passes `rngs`. So its
# sites can be *found*: both models run (abstractly) with a dropout that records its caller. The
# head is a sentence classifier, so that its dropout is found too.

# %%
from model.tasks import SequenceClassification


def dropout_sites(config):
    found = Counter()

    def note(self, x, **kwargs):
        caller = inspect.stack()[2]  # above model.blocks.layers.dropout
        file = Path(caller.filename).relative_to(Path.cwd())
        link = f"[{file}:{caller.lineno}](../{file}#L{caller.lineno})"
        found[link, f"`{caller.code_context[0].strip()}`", self.rate] += 1
        return x

    def run():
        model = SequenceClassification(config, rngs=nnx.Rngs(0))
        return model(jnp.ones((1, 8), jnp.int32), rngs=nnx.Rngs(dropout=0)).logits

    with mock.patch.object(nnx.Dropout, "__call__", note):
        jax.eval_shape(run)
    return found


sites = {"BERT": dropout_sites(bert_base()), "DistilBERT": dropout_sites(distilbert_base())}
places = list(dict.fromkeys(site[:2] for found in sites.values() for site in found))
cells = [
    [
        *place,
        *(
            next((f"{n} x {rate}" for (*at, rate), n in found.items() if at == [*place]), "none")
            for found in sites.values()
        ),
    ]
    for place in places
]

# %%
from report.tables import markdown_table

Markdown(markdown_table(["where", "line", *sites], cells, left=2))

# %% [markdown]
# Of the four sites in the encoder, DistilBERT lacks one: the output of attention. Before the
# classifier it drops more, 0.2 instead of 0.1.

# %% [markdown]
# ## 6. From [CLS] to a class: tanh against ReLU
#
# BERT's pooler was trained with next-sentence prediction, and DistilBERT removed both. A
# DistilBERT classifier has a layer of the same size in its place, but with ReLU, and *every*
# fine-tuning starts it from random weights.

# %%
from model.bert import Pooler
from model.heads import PreClassifier

source(Pooler.__call__, PreClassifier.__call__)

# %%
from data.batches import heldout_batches
from data.open import open_data
from train.recipes import DISTILL

recipe = replace(DISTILL["tiny"](), steps=60, evaluate_every=60, heldout_sequences=256)
data = open_data(replace(recipe.data, tokenizer=TEACHER))
pad = data.vocabulary.special.pad
texts = next(heldout_batches(data.heldout, rows=64, pad_id=pad, limit=64))
cls = teacher.backbone(texts["input_ids"], texts["attention_mask"]).last_hidden

fig, axes = plt.subplots(1, 2, figsize=(7.0, 2.4), sharey=True)
for panel, (name, kind) in zip(axes, {"tanh": Pooler, "ReLU": PreClassifier}.items(), strict=True):
    pooled = kind(teacher.config, rngs=nnx.Rngs(0))(cls).ravel()  # the same random weights twice
    zeros = float((pooled == 0).mean())
    panel.hist(pooled, bins=np.linspace(-1.05, 3.15, 43), color="#0072B2")
    panel.set_title(f"{kind.__name__}, {name}: {zeros:.0%} exactly 0")
    panel.set_xlabel("value of a feature")
axes[0].set_ylabel("features of 64 texts")
axes[0].set_yscale("log")
plt.show()

# %% [markdown]
# tanh keeps every feature, compressed to values between -1 and 1. ReLU sets half of them to zero
# and leaves the others unchanged.

# %% [markdown]
# ## 7. From the paper's words to the code
#
# The table is made from the code: each line number is looked up, and the notebook stops if a line
# no longer exists.

# %%
from data.masking import mask_tokens
from model import losses
from model.student import choose_layers, initialise
from model.tasks import NextSentence, backbone
from tasks.fill_mask import fill_mask
from train.objectives.losses import cosine_distance, cross_entropy
from train.objectives.terms import DistillationLoss
from train.recipes.distill import distill_base_cased, distill_base_uncased

WORDS = [
    ("the same general architecture as BERT", DistilBert, "class DistilBert(Backbone)"),
    ("the token-type embeddings ... are removed", EncoderConfig.distilled, "type_vocab_size=0"),
    ("... and the pooler", backbone, "return DistilBert(config"),
    (
        "number of layers is reduced by a factor of 2",
        EncoderConfig.distilled,
        "num_layers: int = 6",
    ),
    ("taking one layer out of two", choose_layers, '"original": tuple('),
    ("we initialize the student from the teacher", initialise, "teacher.encoder.layers[index]"),
    ("the distillation loss $L_{ce}$", losses._kl, "return temperature**2"),
    ("softmax-temperature", losses._compare, "jax.nn.softmax(logits / temperature)"),
    ("at inference, T is set to 1", fill_mask, "jax.nn.softmax("),
    ("masked language modeling loss $L_{mlm}$", cross_entropy, "return -jnp.take_along_axis"),
    ("cosine embedding loss $L_{cos}$", cosine_distance, "return 1 - jnp.sum"),
    ("a linear combination", DistillationLoss, "ce: ForwardKL"),
    ("up to 4K examples per batch", distill_base_uncased, "batch_size=656"),
    ("leveraging gradient accumulation", distill_base_cased, "micro_batches=4"),
    ("using dynamic masking", mask_tokens, "jax.random.fold_in(key, group)"),
    ("without the next sentence prediction objective", NextSentence, "dropped the objective"),
]


def find(thing, text):
    """A link to the line of a function or class that holds the text."""
    thing = inspect.unwrap(thing)  # of jax.jit and the like
    lines, first = inspect.getsourcelines(thing)
    (line,) = (number for number, line in enumerate(lines, first) if text in line)
    file = Path(inspect.getsourcefile(thing)).relative_to(Path.cwd())
    return f"[{file}:{line}](../{file}#L{line})"


rows = [[f"“{words}”", find(thing, text), f"`{text}`"] for words, thing, text in WORDS]
Markdown(markdown_table(["Sanh et al. 2019, sections 2 and 3", "line", "code"], rows, left=3))

# %% [markdown]
# ## 8. What teacher and student look at
#
# The student above is a copy of the teacher's layers 0, 2, 4, 7, 9 and 11, without any training.
# Here it is trained for 60 updates of the recipe `tiny`, which has 500. The student is then not
# finished, but this is enough to see how its attention changes.

# %%
from train.distill import distill

run = Path("runs/notebook-architecture")
shutil.rmtree(run, ignore_errors=True)
distill(replace(recipe, teacher=TEACHER, output=run))
distilled = load(run / "model", MaskedLM)

# %%
looks = {
    "teacher": teacher(ids, outputs=("attentions",)).attentions,
    "student": distilled(ids, outputs=("attentions",)).attentions,
}
origin = choose_layers("original", teacher.config.num_layers)
columns = {"teacher": range(teacher.config.num_layers), "student": origin}

heads = teacher.config.num_heads
fig, grid = plt.subplots(2 * heads, 12, figsize=(10.0, 4.0))
for axes in grid.flat:
    axes.axis("off")
for block, (name, attentions) in enumerate(looks.items()):
    for layer, column in enumerate(columns[name]):
        for head in range(heads):
            axes = grid[block * heads + head, column]
            axes.imshow(attentions[layer][0, head], norm=PowerNorm(0.5, 0, 1))
            axes.axis("on")
            axes.grid(visible=False)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(True)
            if head == 0:
                axes.set_title(f"layer {layer}", fontsize=8, loc="center")
            if column == 0:
                axes.set_ylabel(f"{name}\nhead {head}", fontsize=8)
title = "From each token (down) to each token (across); a student's layer is under its origin"
fig.suptitle(title, x=0, ha="left")
plt.show()

# %% [markdown]
# One layer, large enough to read: the last, on which the student's loss depends most directly.

# %%
tokens = encoding.tokens
fig, grid = plt.subplots(1, 4, figsize=(10.0, 3.1), sharey=True)
panels = [(name, head) for name in looks for head in range(heads)]
for axes, (name, head) in zip(grid, panels, strict=True):
    image = axes.imshow(looks[name][-1][0, head], norm=PowerNorm(0.5, 0, 1))
    axes.grid(visible=False)
    axes.set_xticks(range(len(tokens)), tokens, rotation=90, fontsize=6)
    axes.set_yticks(range(len(tokens)), tokens, fontsize=6)
    axes.set_title(f"{name}, last layer, head {head}")
fig.colorbar(image, ax=grid, label="attention", shrink=0.8)
plt.show()

# %% [markdown]
# **Which heads did the student keep?** Two heads are similar if they distribute their attention
# similarly: the Jensen-Shannon divergence of two distributions is 0 if they are equal and 1 (bit)
# if they have nothing in common. Clark et al. 2019 (section 6) compare BERT's heads this way. The
# similarity below is 1 minus its mean over every token of 64 held-out texts, for each of the 12
# student heads and 24 teacher heads.


# %%
def attention_of(model):
    """Attention maps as [heads of all layers, tokens, attended tokens]."""
    output = model(texts["input_ids"], texts["attention_mask"], outputs=("attentions",))
    stacked = jnp.stack(output.attentions)  # [layers, texts, heads, length, length]
    return stacked.swapaxes(1, 2).reshape(-1, texts["input_ids"].size, stacked.shape[-1])


def entropy(p):
    return jnp.sum(jax.scipy.special.entr(p), axis=-1) / jnp.log(2)


@jax.jit
def similarity(p, q):
    """1 - mean Jensen-Shannon divergence in bits, of each head of p with each of q."""

    def one(a, b):
        return 1 - jnp.mean(entropy((a + b) / 2) - (entropy(a) + entropy(b)) / 2)

    return jax.lax.map(lambda a: jax.lax.map(lambda b: one(a, b), q), p)


theirs = attention_of(teacher)
similarities = {
    "before training": similarity(attention_of(student), theirs),
    "after 60 updates": similarity(attention_of(distilled), theirs),
}

# %%
began = np.array([layer * heads + head for layer in origin for head in range(heads)])
fig, grid = plt.subplots(2, 1, figsize=(7.6, 7.2), sharex=True)
for axes, (name, matrix) in zip(grid, similarities.items(), strict=True):
    image = axes.imshow(matrix, vmin=0.2, vmax=1, aspect="auto")
    best = np.argmax(matrix, axis=1)
    own = np.arange(len(matrix))
    axes.scatter(
        began, own, marker="s", s=150, facecolor="none", edgecolor="#D55E00", linewidth=1.4
    )
    axes.scatter(best, own, marker="o", s=16, color="#000000")
    axes.set_title(
        f"{name}: {np.sum(best == began)} of {len(own)} heads are most like their origin"
    )
    axes.set_ylabel("student: layer.head")
    axes.grid(visible=False)
    labels = [f"{i // heads}.{i % heads}" for i in range(matrix.shape[1])]
    axes.set_xticks(range(matrix.shape[1]), labels, fontsize=7)
    axes.set_yticks(own, labels[: len(own)], fontsize=7)
grid[-1].set_xlabel("teacher: layer.head")
fig.colorbar(image, ax=grid, label="similarity (1 - Jensen-Shannon divergence)", shrink=0.6)
title = "Square: the head it began as. Dot: the head it is most like"
fig.suptitle(title, x=0, ha="left")
plt.show()

# %% [markdown]
# Before training only the lower heads behave as in the teacher, although all weights are copies.
# The upper ones get different inputs, because the layers between are missing. Training makes them
# similar again. No loss compares attention for this: DistilBERT's loss compares the last hidden
# states and the predicted words. (With other sentences or another random seed, a head may end at
# another place; the titles give the counts.)
#
# [02-distillation-by-hand](02-distillation-by-hand.ipynb) explains this loss part by part.
