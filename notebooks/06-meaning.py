# %% [markdown]
# # Texts by their meaning: vectors, search and links
#
# An embedder turns a text into a vector, so that texts of similar meaning have similar vectors.
# This notebook makes one from the shipped model, and uses it. Everything runs here, offline, in
# about three minutes:
#
# 1. the data: documentation of Python, NumPy and SciPy, which every machine with this project has;
# 2. the vectors of a model that has only learned to fill in masks;
# 3. training: a summary should be nearest to its own description;
# 4. what it has learned, beside a search by words;
# 5. search, by eye;
# 6. a map of the documentation;
# 7. links from a phrase to the function that it means.
#
# The model has 2.3 M parameters and has read nothing but documentation. So this notebook shows the
# procedure; the numbers of a real embedder are in `docs/results/retrieval.md`.

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
import ast
import json
import logging
import random
import shutil
import warnings
from collections import Counter
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Markdown
from IPython.utils.capture import capture_output
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.manifold import TSNE

from data.corpora.prose import paragraphs
from data.corpora.pydocs import documentation_files
from data.tokenizer import load_vocabulary
from model.pretrained import load
from model.tasks import Embedder
from report.tables import markdown_table
from tasks.embeddings.embed import embed
from tasks.linking.dictionary import read_dictionary
from tasks.linking.linker import Linker
from tasks.open import TaskDataConfig
from tasks.reading import Reading
from tasks.search.exact import ExactSearch
from train.command.compiled import keep_compiled
from train.finetune import finetune
from train.recipes import FINETUNE

keep_compiled()
logging.disable(logging.WARNING)  # that long texts are cut, and that the model had no pooling
plt.style.use("notebooks/print.mplstyle")
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
TEACHER = "assets/bert-tiny-pydocs"
home = Path("runs/notebook-meaning")
shutil.rmtree(home, ignore_errors=True)  # an existing run would not be repeated
home.mkdir(parents=True)

# %% [markdown]
# ## 1. Data without labels
#
# The documentation of a function begins with a summary in one sentence, and a description follows.
# Nobody wrote them as questions and answers, but they belong together: the summary is much like
# what a person would search for, and the description like what should be found. We take the public
# functions and classes of three packages, and keep 300 of them out of the training.


# %%
class Entry(NamedTuple):
    """A documented function or class."""

    name: str
    summary: str
    description: str


def entries(package):
    """The documented functions and classes of a package, by reading its source files."""
    for file, path in documentation_files(package):
        if path.suffix != ".py":
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes in other people's code
            body = ast.parse(path.read_text(encoding="utf-8")).body
        public = [part for part in file.removesuffix(".py").split("/") if part[0] != "_"]
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name[0] != "_":
                first, _, rest = (ast.get_docstring(node) or "").partition("\n\n")
                summary, description = " ".join(first.split()), " ".join(paragraphs(rest))
                if 4 <= len(summary.split()) <= 25 and len(description.split()) >= 8:
                    yield Entry(".".join([*public, node.name]), summary, description)


found = [entry for package in ("python", "numpy", "scipy") for entry in entries(package)]
# Some functions have the same summary or description as another: one of them is enough.
for part in Entry._fields:
    found = list({getattr(entry, part): entry for entry in found}.values())
random.Random(0).shuffle(found)
heldout, training = found[:300], found[300:]
for name, part in (("dev", heldout), ("train", training)):
    rows = [{"query": entry.summary, "document": entry.description} for entry in part]
    (home / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
print(f"{len(training):,} pairs to learn from, {len(heldout)} held out")
Markdown(
    markdown_table(
        ["name", "summary", "description"],
        [[e.name, e.summary, e.description[:90] + " ..."] for e in heldout[:4]],
        left=3,
    )
)

# %% [markdown]
# ## 2. Before training
#
# Any encoder gives vectors: the mean of its hidden states. The shipped model was trained to fill in
# masks, and nobody told it what a similar text is. The cosine of two vectors is 1 if they point in
# the same direction.

# %%
texts = [entry.description for entry in found]
queries = [entry.summary for entry in heldout]


def read(folder):
    """The vectors of the held-out summaries, and of all descriptions; the held-out come first."""
    model, vocabulary = load(folder, Embedder), load_vocabulary(folder)
    model.max_length = 64
    return embed(model, vocabulary, queries), embed(model, vocabulary, texts)


vectors = {"before": read(TEACHER)}
cosines = {"before": vectors["before"][0] @ vectors["before"][1].T}
right = np.diagonal(cosines["before"])
print(f"cosine of a summary and its description: {right.mean():.2f} on average")
print(f"of a summary and any description:        {cosines['before'].mean():.2f}")

# %% [markdown]
# All texts are similar to this model: the vectors point into a narrow cone. Still, those that
# belong together are a little closer.
#
# ## 3. Training
#
# The recipe `embeddings`: a batch has 64 summaries and 64 descriptions, and each summary should be
# nearer to its own description than to the 63 others (`tasks/embeddings/losses.py`). The encoder is
# every second layer of the shipped model. On the command line:
#
#     python -m train.finetune embeddings --model assets/bert-tiny-pydocs --layers even \
#         --data.train train.jsonl --data.dev dev.jsonl --reading.max-length 64 \
#         --reading.max-question 32 --optimizer.learning-rate 1e-3 --epochs 4

# %%
recipe = FINETUNE["embeddings"]()
recipe = replace(
    recipe,
    model=TEACHER,
    layers="even",
    data=TaskDataConfig(train=home / "train.jsonl", dev=home / "dev.jsonl"),
    reading=Reading(max_length=64, max_question=32),
    optimizer=replace(recipe.optimizer, learning_rate=1e-3),
    epochs=4.0,
    buckets=2,
    output=home / "run",
)
with capture_output():
    finetune(recipe)
student = home / "run" / "model"
vectors["after"] = read(student)
cosines["after"] = vectors["after"][0] @ vectors["after"][1].T

# %%
fig, panels = plt.subplots(1, 2, figsize=(7.2, 2.5), sharey=True)
bins = np.linspace(-0.4, 1, 57)
for axes, (when, table) in zip(panels, cosines.items(), strict=True):
    own = np.arange(len(table))
    others = np.delete(table, own, axis=1).ravel()
    axes.hist(others, bins, density=True, color="#b0b0b0", label="another description")
    axes.hist(
        table[own, own], bins, density=True, color=BLUE, alpha=0.75, label="its own description"
    )
    axes.set_title(f"{when} training")
    axes.set_xlabel("cosine of a summary and ...")
    axes.set_yticks([])
    axes.grid(visible=False)
panels[0].legend(loc="upper left")
plt.show()

# %% [markdown]
# These summaries and descriptions were not in the training set. The grey pairs have moved to 0,
# which is what unrelated directions have, and the blue ones have stayed behind.
#
# ## 4. What it has learned
#
# Of all descriptions, is the right one among the first $k$? The comparison that matters is not
# guessing but a search by words: TF-IDF counts the words that both texts share, and gives rare
# words a larger weight. It has no training and knows no synonyms. One curve adds both scores.

# %%
words = TfidfVectorizer(stop_words="english", sublinear_tf=True).fit(texts)
by_words = np.asarray((words.transform(queries) @ words.transform(texts).T).todense())
searches = {
    "words and vectors": by_words + cosines["after"],
    "vectors, after training": cosines["after"],
    "words (TF-IDF)": by_words,
    "vectors, before": cosines["before"],
}


def ranks(scores):
    """The place of the right description, from 1; of equal scores it is the last."""
    own = scores[np.arange(len(scores)), np.arange(len(scores))]
    return np.sum(scores >= own[:, None], axis=1)


places = {name: ranks(scores) for name, scores in searches.items()}
fig, axes = plt.subplots(figsize=(6.4, 3.0))
ks = np.unique(np.geomspace(1, len(texts), 60).round())
for (name, of), colour in zip(places.items(), (GREEN, BLUE, ORANGE, PURPLE), strict=True):
    axes.plot(ks, [100 * np.mean(of <= k) for k in ks], color=colour, label=name)
axes.plot(ks, 100 * ks / len(texts), color="#808080", linestyle=(0, (4, 2)), label="guessing")
axes.set_xscale("log")
axes.set_xlim(1, len(texts))
axes.set_ylim(0, 100)
axes.set_xlabel("the first k descriptions")
axes.set_ylabel("right one among them (%)")
axes.set_title(f"{len(queries)} summaries, {len(texts):,} descriptions to find them in")
axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %%
Markdown(
    markdown_table(
        ["search", "right at 1", "among 10", "median place"],
        [
            [name, f"{np.mean(of == 1):.0%}", f"{np.mean(of <= 10):.0%}", f"{np.median(of):.0f}"]
            for name, of in places.items()
        ],
    )
)

# %% [markdown]
# With 300 summaries a share is uncertain by up to 6 points. Training has made a search of the
# vectors: the median place of the right description fell from 114 to 9. But words alone, which
# learned nothing, are better at the top of the list. A function's summary and description share
# rare words, and so small a model knows few of them. The orange curve stops at 90 %, because the
# other descriptions share no word at all with their summary. The sum of both scores is as good as
# words at the top, within the uncertainty, and finds these too. On scientific abstracts a search by
# words is hard to beat for a larger model as well: `docs/results/retrieval.md`.
#
# ## 5. Search
#
# The same, with questions of our own. `ExactSearch` compares a query with all vectors, on the
# device; it is what `python -m eval.search MODEL --corpus corpus.jsonl "a question"` uses, and its
# memory does not grow with the number of documents.

# %%
QUESTIONS = [
    "how do I make a directory tree",
    "put the numbers of an array in order",
    "are the means of two samples different?",
    "get rid of noise in a signal",
]
model, vocabulary = load(student, Embedder), load_vocabulary(student)
search = ExactSearch(vectors["after"][1])
hits = search(embed(model, vocabulary, QUESTIONS), 3)
Markdown(
    markdown_table(
        ["question", "cosine", "name", "summary"],
        [
            [question if place == 0 else "", f"{score:.2f}", found[row].name, found[row].summary]
            for question, scores, rows in zip(QUESTIONS, hits.scores, hits.rows, strict=True)
            for place, (score, row) in enumerate(zip(scores, rows, strict=True))
        ],
        left=4,
    )
)

# %% [markdown]
# The first and the third question are answered among the first three; of the others the model has
# understood the subject at best.
#
# ## 6. A map
#
# t-SNE puts texts with similar vectors near each other on a plane. The colours are the parts of
# SciPy and NumPy that a function belongs to, which the model has not been told. Before training
# they run into each other; afterwards most parts are together.

# %%
areas = Counter(".".join(entry.name.split(".")[:2]) for entry in found)
shown = [area for area, _ in areas.most_common() if area.startswith(("scipy.", "numpy."))][:7]
of_area = np.array([".".join(entry.name.split(".")[:2]) for entry in found])
drawn = np.isin(of_area, shown)
fig, panels = plt.subplots(1, 2, figsize=(7.6, 3.6))
for axes, (when, (_, of_texts)) in zip(panels, vectors.items(), strict=True):
    plane = TSNE(metric="cosine", init="pca", random_state=0).fit_transform(of_texts[drawn])
    for area in shown:
        points = plane[of_area[drawn] == area]
        axes.scatter(*points.T, s=5, alpha=0.7, linewidths=0, label=area)
    axes.set_title(f"{when} training")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
fig.legend(
    *panels[1].get_legend_handles_labels(), loc="outside lower center", ncols=7, markerscale=3
)
plt.show()

# %% [markdown]
# ## 7. Links
#
# Entity linking asks which entry of a dictionary a phrase means. A dictionary has a line for each
# concept: its id, an empty field, and its names. Here the concepts are functions, and their names
# are the function's own name and its summary. A linker first looks for names that are spelled like
# the phrase, and vectors can then judge their meaning:
#
#     python -m eval.predict MODEL --link functions.txt "The [[inverse of a matrix]] is ..."

# %%
file = home / "functions.txt"
file.write_text(
    "".join(
        f"{e.name}||{e.name.rpartition('.')[2].replace('_', ' ')}|{e.summary.replace('|', ' ')}\n"
        for e in found
    )
)
linker = Linker(read_dictionary(file))
PHRASES = [
    "fast Fourier transform",
    "matrix inverse",
    "zip archives",
    "the middle value",
    "temp dir",
    "bell curve smoothing",
]
everything = [None] * len(PHRASES)
ways = {
    "by spelling": linker.sparse(PHRASES, everything),
    "by vectors": linker.nearest(partial(embed, model, vocabulary), PHRASES, everything, 0.0),
    "by both": linker.nearest(partial(embed, model, vocabulary), PHRASES, everything, 1.0),
}
Markdown(
    markdown_table(
        ["phrase", *ways],
        [
            [phrase, *(linker.links(way[place], 1)[0].concept.name for way in ways.values())]
            for place, phrase in enumerate(PHRASES)
        ],
        left=4,
    )
)

# %% [markdown]
# The middle value is linked by its spelling, because that is how the summary of `median` explains
# it. The vectors are right where the model knows the words, as in the first two lines, and lost
# elsewhere: a phrase of two or three words says little to it. `docs/results/linking.md` measures
# each step on names of diseases, with a model that knows English.
#
# ## More
#
# ```
# python -m eval.search MODEL --corpus corpus.jsonl --bm25 "a question"   # words and vectors
# python -m eval.retrieval MODEL --collection scifact                     # nDCG@10 beside BM25
# python -m train.finetune embeddings --data.train pairs.jsonl --teacher MODEL
# python -m train.finetune parallel --data.train texts.jsonl --teacher MODEL --loss.task 0
# ```
#
# The third distils a large embedder into a small one. The last teaches a student the teacher's
# vectors in another language too: `docs/results/across-languages.md`.
