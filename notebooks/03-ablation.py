# %% [markdown]
# # An ablation, run and then doubted
#
# `train.ablate` trains several students that differ in one thing each, with several seeds, and
# writes a report with intervals and p values. Here is a small one, live: four students, five
# seeds, about two minutes. Most of this notebook is about what its numbers can carry:
#
# 1. the study, and what its report says;
# 2. why the differences are taken inside a seed;
# 3. what one, two or three seeds would have shown;
# 4. p values, and why they are corrected;
# 5. what was too small to be seen;
# 6. the committed five-seed reports beside it, and what no number of seeds tells.

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
import json
import shutil
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Image, Markdown
from IPython.utils.capture import capture_output
from scipy import stats

from report.study.comparison import compare_variants, detectable, holm, interval
from report.study.folder import read_study
from report.study.tables import main_table
from report.tables import markdown_table
from train.ablate import ablate, chosen_study, conclusion_of

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#808080"

# %% [markdown]
# ## 1. The study
#
# A study is a base, here the recipe `tiny` with fewer updates, and variants of it, each with the
# settings of `train.distill` that make it different. The first variant is the reference. The
# primary metric is declared in the file, before there is any number to choose it by.

# %%
study_file = Path("runs/notebook-ablation.toml")
study_file.parent.mkdir(exist_ok=True)
_ = study_file.write_text("""
title = "What the triple loss owes to its parts"
base = "tiny"
primary = "masked_lm_accuracy"
better = "higher"

[settings]
teacher = "assets/bert-tiny-pydocs"
batch_size = 8
steps = 30
evaluate_every = 15
heldout_sequences = 128

[[variants]]
name = "triple loss"
about = "KL 5 at temperature 2, masked LM 2, cosine 1"

[[variants]]
name = "without KL"
settings = {loss.ce.weight = 0}

[[variants]]
name = "T 4"
about = "softer targets"
settings = {loss.ce.temperature = 4}

[[variants]]
name = "without cosine"
settings = {loss.cos.weight = 0}
""")

# %% [markdown]
# On the command line this is `python -m train.ablate runs/notebook-ablation.toml --seeds 5`. From
# Python it is two calls. The four students of a seed are trained in one compiled step, under one
# teacher that reads each batch once; all four see the same batches, masks and dropout.

# %%
folder = Path("runs/notebook-ablation")
shutil.rmtree(folder, ignore_errors=True)  # a study that is there would not be run again
with capture_output() as printed:
    report = ablate(chosen_study([str(study_file), "--seeds", "5", "--output", str(folder)]))
print(printed.stdout.splitlines()[0])

# %% [markdown]
# The report opens with a sentence that is computed from the numbers, and a picture.

# %%
Markdown(f"> {conclusion_of(report)}")

# %%
Image(folder / "differences.png", width=700)

# %%
Image(folder / "curves.png", width=700)

# %%
study = read_study(folder)
metrics = dict.fromkeys([study.primary, *study.metrics()])
comparisons = {
    name: compare_variants(name, study.values(name), study.reference) for name in metrics
}
Markdown(main_table(study, comparisons))

# %% [markdown]
# ## 2. Why differences are taken inside a seed
#
# A seed decides the order of the text, the masks and the dropout. That moves the result of every
# variant, and of similar ones alike: lines rise and fall together. What we want to know is the
# distance between lines, so we subtract first and average then.

# %%
values = {
    name: 100 * np.array(list(by_seed.values()))  # in per cent
    for name, by_seed in study.values(study.primary).items()
}
plt.style.use("notebooks/print.mplstyle")
fig, axes = plt.subplots(figsize=(6.4, 3.2))
for (name, accuracy), marker in zip(values.items(), "osD^", strict=True):
    axes.plot(study.seeds, accuracy, marker=marker, label=name)
axes.set_xticks(study.seeds)
axes.set_xlabel("seed")
axes.set_ylabel("held-out masked-LM accuracy (%)")
axes.set_title("What a seed does to one variant it does to the next, more or less")
axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# How much that buys: the half width of a 95 % interval of the difference, once from the
# differences inside the seeds, and once as if the two variants had been trained with seeds of
# their own.

# %%
reference = values[study.reference]
others = {name: accuracy for name, accuracy in values.items() if name != study.reference}
differences = {name: accuracy - reference for name, accuracy in others.items()}  # points, by seed
count = len(study.seeds)


def unpaired(first, second):
    """The half width of the 95 % interval of a difference of two independent means."""
    error = np.sqrt((first.var(ddof=1) + second.var(ddof=1)) / count)
    return stats.t.ppf(0.975, 2 * count - 2) * error


Markdown(
    markdown_table(
        ["points", "difference", "± paired", "± unpaired", "correlation with the reference"],
        [
            [
                name,
                f"{found.mean():+.2f}",
                f"{interval(found):.2f}",
                f"{unpaired(others[name], reference):.2f}",
                f"{np.corrcoef(others[name], reference)[0, 1]:.2f}",
            ]
            for name, found in differences.items()
        ],
    )
)

# %% [markdown]
# Pairing helps as far as the seeds move both variants alike, which the last column says. `without
# cosine` does nearly the same as the reference in every seed, so its interval is much narrower.
# `without KL` learns from other things and has less from pairing, which also costs degrees of
# freedom, 4 instead of 8. But only the paired interval is right: the other one assumes that runs of
# one seed have nothing in common.

# %% [markdown]
# ## 3. What fewer seeds would have shown
#
# Many ablations are published with one seed. Here are the differences that every choice of one,
# two, three or four of our five seeds would have shown.

# %%
fig, all_axes = plt.subplots(1, len(differences), figsize=(7.6, 2.9))
for axes, (name, found) in zip(all_axes, differences.items(), strict=True):
    for size in range(1, count + 1):
        means = [np.mean(chosen_seeds) for chosen_seeds in combinations(found, size)]
        axes.plot([size] * len(means), means, "o", color=BLUE, alpha=0.5)
    axes.axhline(0, color=GREY, linestyle=(0, (4, 2)), linewidth=1)
    axes.set_title(name)
    axes.set_xticks(range(1, count + 1))
    axes.set_xlabel("seeds")
all_axes[0].set_ylabel("mean difference (points)")
fig.suptitle("What subsets of the seeds would have shown (scales differ)", x=0.01, ha="left")
plt.show()

# %% [markdown]
# An effect that every seed shows needs no statistics. A small one changes its size, and its sign,
# with the seeds one happens to take. Whoever runs one seed picks one dot of the first column. (The
# columns narrow faster than in truth: all subsets share the same five seeds.)
#
# This is why the report gives no intervals below five seeds: the t quantile alone is 12.7 for two
# seeds, 4.3 for three, 2.8 for five, and an interval from two seeds would say nothing.

# %% [markdown]
# ## 4. p values, and why they are corrected
#
# A paired t test asks: if the true difference were zero, how often would five seeds show a mean as
# far from zero as this one, given how much they scatter? Three variants are three chances to be
# fooled. Holm's correction multiplies the smallest p by 3, the next by 2, the last by 1, and never
# lets a corrected p fall below the one before it. In full:

# %%
p = {name: float(stats.ttest_1samp(found, 0).pvalue) for name, found in differences.items()}
corrected, largest = {}, 0.0
for place, name in enumerate(sorted(p, key=p.__getitem__)):
    largest = max(largest, (len(p) - place) * p[name])
    corrected[name] = min(largest, 1.0)

rows = comparisons[study.primary].rows
for name in p:  # what the report has
    np.testing.assert_allclose(p[name], rows[name].difference.p)
    np.testing.assert_allclose(corrected[name], rows[name].difference.p_holm)
Markdown(
    markdown_table(
        ["", "p", "p (Holm)"],
        [[name, f"{p[name]:.3f}", f"{corrected[name]:.3f}"] for name in corrected],
    )
)

# %% [markdown]
# Does it matter? Let us run 4,000 studies in which nothing differs from anything, so that whatever
# they find is false, and count those that find something.

# %%
rng = np.random.default_rng(0)
numbers = [1, 2, 3, 4, 6, 9, 12, 16, 20]
alarms = {"each p below 0.05 counts": [], "with Holm's correction": []}
for variants in numbers:
    scores = rng.normal(size=(4000, 1 + variants, count))  # studies, variants, seeds
    p_values = stats.ttest_1samp(scores[:, 1:] - scores[:, :1], 0, axis=-1).pvalue
    alarms["each p below 0.05 counts"].append((p_values < 0.05).any(axis=1).mean())
    holms = np.array([holm(each) for each in p_values])
    alarms["with Holm's correction"].append((holms < 0.05).any(axis=1).mean())

fig, axes = plt.subplots(figsize=(6.4, 3.0))
for (name, shares), marker in zip(alarms.items(), "os", strict=True):
    axes.plot(numbers, 100 * np.array(shares), marker=marker, label=name)
axes.axhline(5, color=GREY, linestyle=(0, (4, 2)), linewidth=1)
axes.set_xticks(numbers)
axes.set_xlabel("variants beside the reference")
axes.set_ylabel("studies (%)")
axes.set_ylim(0)
axes.set_title("Studies of nothing that find something")
axes.legend()
plt.show()

# %% [markdown]
# And a p value above 0.05 is no proof of equality. It is what "cannot be told from the reference"
# in the report is meant to say, and the next section is about how much it leaves open.

# %% [markdown]
# ## 5. What was too small to be seen
#
# The report's column "detectable" is the smallest true difference that this many seeds would find
# in four studies of five. It depends on how much the differences scatter from seed to seed, and on
# the number of seeds. The curves say what more seeds would buy, the marks what we measured.

# %%
seeds = np.arange(3, 61)
fig, axes = plt.subplots(figsize=(6.4, 3.6))
looks = zip("osD", ("-", "--", ":"), (BLUE, ORANGE, GREEN), strict=True)
for (name, found), (marker, line, colour) in zip(differences.items(), looks, strict=True):
    spread = found.std(ddof=1)
    axes.plot(seeds, [detectable(spread, n) for n in seeds], line, color=colour, label=name)
    axes.plot(count, abs(found.mean()), marker, color=colour, markersize=7)
axes.set_xscale("log")
axes.set_yscale("log")
axes.set_xticks([3, 5, 10, 20, 40, 60], ["3", "5", "10", "20", "40", "60"])
axes.minorticks_off()
axes.yaxis.set_major_formatter("{x:g}")
axes.set_xlabel("seeds")
axes.set_ylabel("difference (points)")
axes.set_title("Lines: smallest detectable difference. Marks: measured with five seeds")
axes.legend()
plt.show()

# %% [markdown]
# A mark well above its line was found easily. One below its line was found by luck or not at all:
# follow the line to the right until it has come down to the mark, and there is the number of seeds
# that it would take if the measured difference is the true one. With enough seeds 0.05 points would
# be certain, and still not worth anything.
#
# Even the line is soft: it is drawn from a standard deviation which itself comes from five numbers.
# With 95 % confidence the true one lies between 0.6 and 2.9 times the measured:

# %%
degrees = count - 1
print([round(float(np.sqrt(degrees / stats.chi2.ppf(q, degrees))), 2) for q in (0.975, 0.025)])

# %% [markdown]
# And there is an error that is in none of the intervals, because all seeds share it: the held-out
# text is finite. Here it is 128 sequences of 64 tokens, of which 15 % are masked. Were another text
# drawn, the accuracy itself would move by about this much (95 %, in points):

# %%
masked = 0.15 * 128 * 64
share = reference.mean() / 100
print(f"{masked:,.0f} masked tokens: ± {100 * 1.96 * np.sqrt(share * (1 - share) / masked):.1f}")

# %% [markdown]
# Differences on one text move less than that, since all variants guess the same tokens; but the
# decimals of an accuracy say little without the text it is of. The committed studies use 512
# sequences, which halves this error.

# %% [markdown]
# ## 6. The committed reports, and what no number of seeds tells
#
# `docs/results/` holds the five-seed reports of the studies that ship. Two of them have our
# variants too, trained for 100 updates instead of 30 (`paper-table-4` with 16 sequences an update)
# and on other masks: like the original's, theirs choose rare tokens more often
# (`--masking.smoothing 0.7`), while ours are uniform, like those of all held-out scores. So only
# signs and order can be set beside each other.


# %%
def committed(name):
    """A report that ships, as the program that wrote it left it."""
    return json.loads(Path(f"docs/results/{name}/results.json").read_text(encoding="utf-8"))


def drawn(record, variant):
    """Mean and half the interval of a variant's difference, in points."""
    row = record["comparisons"]["masked_lm_accuracy"]["rows"][variant]["difference"]
    return 100 * row["mean"], 100 * row["interval"]


reports = {name: committed(name) for name in ("paper-table-4", "temperature")}
pairs = {
    "without KL": "paper-table-4",
    "T 4": "temperature",
    "without cosine": "paper-table-4",
}
fig, axes = plt.subplots(figsize=(6.4, 2.6))
for place, (variant, source) in enumerate(pairs.items()):
    here = differences[variant].mean(), interval(differences[variant])
    for shift, (mean, half), marker, colour in (
        (-0.14, here, "o", BLUE),
        (0.14, drawn(reports[source], variant), "s", ORANGE),
    ):
        axes.errorbar(mean, place + shift, xerr=half, fmt=marker, color=colour, capsize=3)
axes.axvline(0, color=GREY, linewidth=1)
axes.set_yticks(range(len(pairs)), pairs)
axes.set_ylim(len(pairs) - 0.5, -0.5)
axes.grid(visible=False, axis="y")
axes.grid(visible=True, axis="x")
axes.set_xlabel("difference to the reference in masked-LM accuracy (points), 95 % interval")
axes.set_title("Blue circles: here, 30 updates. Orange squares: docs/results, 100, other masks")
plt.show()

# %% [markdown]
# Where one of the two is certain and the other "cannot be told from it", both are right, and a
# report that called the second one "does not matter" would be wrong: look at what its interval
# holds. Where both are certain and far apart, something else than the seed differs, as the masks do
# here. The conclusions of the two reports:

# %%
Markdown("\n\n".join(f"> **{name}.** {record['conclusion']}" for name, record in reports.items()))

# %% [markdown]
# The intervals are small, and the temptation is to believe them. What they say is: *repeat
# this training with other seeds, and the mean difference will come out like this.* What they do not
# say:
#
# **Why.** In `paper-table-4`, leaving out masked LM *helps*, by 2.4 ± 0.5 points, p < 0.001. The
# paper found a small loss. Look at another column of the same report before telling a story:

# %%
record = reports["paper-table-4"]["comparisons"]
shown = {
    "masked_lm_accuracy": "accuracy",
    "top1_agreement": "agrees with the teacher",
    "clipped_share": "updates clipped",
}
names = record["masked_lm_accuracy"]["rows"]
Markdown(
    markdown_table(
        ["", *shown.values()],
        [[n, *(f"{100 * record[m]['rows'][n]['mean']:.1f} %" for m in shown)] for n in names],
    )
)

# %% [markdown]
# Every update of the triple loss is clipped at norm 5, and one in eight without masked LM. The
# variant does not only lack a term; the remaining terms also take larger steps. And masked LM alone
# learns from the masks' labels: there it pulled towards rare tokens, which the score seldom asks
# for. The seeds cannot separate the three. Other studies can: `--optimizer.clip-norm` higher for
# all variants, a learning rate of each variant's own (`--tune`), or uniform masks, which today's
# `tiny` has.
#
# **Whether it lasts.** 100 updates from a start that copies the teacher measure how fast a student
# recovers, not where it ends. `random start` still guesses the most frequent token with every seed
# (6.7 %): its difference of −17.9 points says that 100 updates are few. In `temperature` harder
# targets win in the order 1, 2, 4, 8; a longer training may well order them otherwise.
#
# **Whether it holds elsewhere.** One teacher, one corpus, one size. Seeds are repetitions of the
# training, not of the question.
#
# **What one would do with it.** The report of `paper-table-4` also has SST-2 after fine-tuning,
# with intervals of ± 5 to 7 points. Only the random start can be told apart there. A difference in
# masked-LM accuracy that is certain, and one downstream that cannot be seen, are both true.
#
# **Agreement with the paper.** Its four variants come in the same order here, from worst to best.
# By pure chance one order in 24 would.
#
# ### Before believing an ablation
#
# * Was the metric that decides fixed before the numbers were there?
# * How many seeds, and are the differences taken inside them?
# * How many variants were tried, and is the p value corrected for all of them, the unpublished too?
# * Where nothing was found: what could have been found?
# * What else changed with the thing that was changed: the gradient's norm, the learning rate that
#   suits it, the time?
# * On which text, which teacher, after how many updates?
#
# `docs/studies.md` says how to run a study of your own; the next notebook takes a student to a
# task.
