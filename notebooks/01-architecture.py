# %% [markdown]
# # DistilBERT beside BERT

# %%
import os
from pathlib import Path

if Path.cwd().name == "notebooks":
    os.chdir("..")  # everything below is relative to the repository's root

# %%
import matplotlib.pyplot as plt
import treescope
from flax import nnx

from model.config import tiny_distilbert
from model.tasks import MaskedLM

plt.style.use("notebooks/print.mplstyle")

# %%
treescope.show(MaskedLM(tiny_distilbert(), rngs=nnx.Rngs(0)))

# %%
fig, axes = plt.subplots()
for i in range(6):
    axes.plot([0, 1], [0, i], label=f"line {i}")
axes.legend()
axes.set_title("lines")
