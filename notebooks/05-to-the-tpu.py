# %% [markdown]
# # From the laptop to a TPU pod, before there is one
#
# The TPU compiler runs on any Linux machine. So you can compile the training step of a recipe for
# a slice of TPUs before you rent any, and read from the compiled program what it will need and
# what the chips will exchange. `python -m train.plan` does that; this notebook shows its parts,
# one after the other:
#
# 1. the differences between the laptop's recipe and the one of the paper;
# 2. the arithmetic of a step;
# 3. the step compiled for four chips: its memory;
# 4. what the chips exchange;
# 5. what the full reproduction would cost;
# 6. the commands.

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
from pathlib import Path

if Path.cwd().name == "notebooks":
    os.chdir("..")  # everything below is relative to the repository's root

# %%
import importlib.util
import math
from dataclasses import replace

import jax
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Markdown
from IPython.utils.capture import capture_output

from report.tables import markdown_table
from train.plan import plan
from train.planning.abstract_step import abstract_step, sequence_length
from train.planning.flops import matmul_flops
from train.planning.record import PlanConfig
from train.planning.run_length import run_length
from train.planning.tpus import CHIPS
from train.recipes import DISTILL

jax.config.update("jax_platforms", "cpu")  # nothing runs on a TPU here
plt.style.use("notebooks/print.mplstyle")
BLUE, ORANGE, GREEN, PINK, YELLOW, SKY = plt.rcParams["axes.prop_cycle"].by_key()["color"][:6]

# %% [markdown]
# ## 1. Two recipes
#
# A recipe is one frozen dataclass. The step from a laptop to a pod changes its values, and no
# code. These are the differences between the recipe that runs here in minutes and the one of the
# original:

# %%
tiny = replace(DISTILL["tiny"](), teacher="assets/bert-tiny-pydocs")
full = DISTILL["distilbert-base-uncased"]()


def rows_of(recipe):
    """The settings that determine a run, as a column of a table."""
    return {
        "teacher": f"`{recipe.teacher}`",
        "corpus": ", ".join(name.split(":")[0] for name in recipe.data.corpus),
        "tokens of a sequence": f"{recipe.data.sequence_length:,}",
        "sequences an update": f"{recipe.batch_size:,}",
        "micro-batches": str(recipe.micro_batches),
        "length of the run": f"{recipe.steps or recipe.epochs:g} "
        + ("updates" if recipe.steps else "epochs"),
        "learning rate": f"{recipe.optimizer.learning_rate:g}",
    }


columns = rows_of(tiny), rows_of(full)
Markdown(
    markdown_table(
        ["", "tiny", "distilbert-base-uncased"],
        [[name, *(column[name] for column in columns)] for name in columns[0]],
        left=3,
    )
)

# %% [markdown]
# ## 2. The arithmetic of a step
#
# The step is traced as shapes only, without weights and without text. The count is the
# multiplications and additions of all its matrix products: teacher, student, gradient and the
# vocabulary's losses.


# %%
def flops_per_token(recipe):
    """The FLOPs of a distillation step, divided by its tokens."""
    step = abstract_step(recipe, steps=1)
    rows = step.group_rows
    tokens = rows * sequence_length(recipe)
    return matmul_flops(step.make(None), *step.arguments(rows)) / tokens


per_token = {name: flops_per_token(recipe) for name, recipe in {"tiny": tiny, "full": full}.items()}
for name, number in per_token.items():
    print(f"{name}: {number / 1e6:,.0f} million FLOPs a token")

# %% [markdown]
# A rule of thumb is 2 for every parameter and token in the forward pass, and 4 more in the
# backward pass. For BERT-base's 110 M and DistilBERT's 66 M parameters this makes 2 x 110 + 6 x
# 66 = 616 million a token. The count differs from the rule for three reasons. Some parameters are
# not multiplied with every token (the position table). The vocabulary is multiplied twice, or not
# at every position. And attention itself has no parameters, but its operations grow with the
# length.
#
# ## 3. The step, compiled for four chips
#
# We take the `tiny` step for a slice of four TPU v5e, 2 x 2, because it compiles in a minute. It
# is the step that `train.distill` runs: one program, the batch divided over the chips, parameters
# and optimizer on each.

# %%
made = None
if importlib.util.find_spec("libtpu"):
    asked = PlanConfig(topology="v5e:2x2", search=False)
    with capture_output():
        made = plan(asked, replace(tiny, batch_size=256))
else:
    print("libtpu is not installed (docs/running-at-scale.md says how): nothing is compiled")

# %%
if made is not None:
    memory = {name: value / 2**20 for name, value in vars(made.step.memory).items()}
    fig, axes = plt.subplots(figsize=(7.0, 1.7))
    left = 0.0
    for (name, value), colour in zip(
        memory.items(), (BLUE, ORANGE, GREEN, PINK, YELLOW, SKY), strict=True
    ):
        axes.barh(0, value, left=left, color=colour, label=f"{name}: {value:,.1f} MiB")
        left += value
    axes.set_yticks([])
    axes.set_xlabel("MiB on each chip")
    axes.set_title(f"{made.step.rows:,} sequences a chip, of {made.topology.chip.hbm_gib} GiB")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    plt.show()

# %% [markdown]
# Parameters, optimizer and teacher do not depend on the size of the batch. The temporaries,
# mostly activations, are a linear function of it. So `train.plan` compiles two sizes, computes
# the size at which the line reaches the chip's memory, and compiles that size too. It takes several
# compilations, and is left out here (`search=False`).

# %% [markdown]
# ## 4. What the chips exchange
#
# Data parallelism needs one thing: the sum over chips of the gradient, and of a few metrics. Any
# other exchange in the program would show a mistake in the code of the step. The following is
# read from the compiled program:

# %%
if made is not None:
    for one in made.step.collectives:
        numbers = sum(math.prod(shape) for shape in one.shapes)
        print(f"{one.kind} of {len(one.shapes)} arrays for {one.source}")
        print(f"    {one.total:,} bytes an update, {one.bytes / numbers:.0f} for each number")
    print("beside sums of gradients and metrics:", made.unexpected or "nothing")
    print(f"for comparison, the student in float32: {made.step.memory.parameters:,} bytes")

# %% [markdown]
# In the run kept here there are three exchanges: the counts by which all means are divided; the
# gradient of the vocabulary table from the losses; and all other gradients and the metrics, with
# the gradient of the vocabulary table from the lookup. The table is shared, and its two gradients
# are added only after they were exchanged. All are float32, although the backward pass computes
# in bfloat16: the gradient of a dense layer leaves its product in float32.
#
# The number of bytes does not depend on the batch. So the share of the exchange becomes smaller
# with a larger batch on each chip, or with several micro-batches that are summed before anything
# is exchanged.
#
# ## 5. What the full reproduction would cost
#
# From here on there are assumptions: the length of the text (published sizes), the share of the
# chips' peak that the step reaches, and the price of a chip-hour. The number of FLOPs is the one
# counted above.

# %%
run = run_length(full, None, None)
updates = run.updates
total = per_token["full"] * full.batch_size * sequence_length(full) * updates
print(f"{updates:,} updates: {run.because}")
print(f"{total:.3g} FLOPs")

# %%
utilisations = np.linspace(0.15, 0.6, 50)
fig, axes = plt.subplots(figsize=(6.4, 3.2))
for chip, line in zip(CHIPS.values(), ("-", "--", ":", "-.", (0, (1, 1))), strict=True):
    dollars = total / (chip.peak * utilisations) / 3600 * chip.dollars
    axes.plot(
        100 * utilisations, dollars, linestyle=line, label=f"{chip.name}, ${chip.dollars:.2f}"
    )
axes.set_ylim(0)
axes.set_xlabel("assumed share of the peak that the step reaches (%)")
axes.set_ylabel("dollars")
axes.set_title("The whole run, by chip and its assumed price of an hour")
axes.legend()
plt.show()

# %%
Markdown(
    markdown_table(
        ["40 % of the peak", "chip-hours", "hours on 8 chips", "on 16", "on 256", "dollars"],
        [
            [
                chip.name,
                f"{hours:,.0f}",
                f"{hours / 8:,.1f}",
                f"{hours / 16:,.1f}",
                f"{hours / 256:,.2f}",
                f"{hours * chip.dollars:,.0f}",
            ]
            for chip in CHIPS.values()
            for hours in [total / (0.4 * chip.peak) / 3600]
        ],
    )
)

# %% [markdown]
# The authors of DistilBERT report 8 V100 for about 90 hours. The original makes each text a
# sequence of up to 512 tokens, and pads it. Here texts share sequences, and none sees another;
# with padding (`--data.no-pack-lines`) six times the arithmetic would be needed.
#
# None of this was run here, and no utilisation was measured on a TPU. `docs/results/tpu-plans.md`
# has the plans of the whole recipes, compiled for slices of 1 to 256 chips, and
# `docs/running-at-scale.md` shows how to start a run on several hosts.
#
# ## 6. The commands
#
# ```
# python -m train.plan distilbert-base-uncased --topology v5e:4x4    # before renting anything
# launch/tpu-slice.sh mine us-west4-a train.distill distilbert-base-uncased \
#     --output gs://BUCKET/distilbert --data.cache gs://BUCKET/cache
# ```
#
# The script starts the same command on every host. The same command resumes a run that was
# killed, also on another number of hosts.
