# %% [markdown]
# # From a student to a classifier, and out to Hugging Face
#
# A distilled student becomes a sentiment classifier, classifies sentences, and is given to
# transformers and to the hub. Everything runs here, offline, in about two minutes:
#
# 1. a student, distilled here, and its twin that had no teacher;
# 2. a small set of labelled sentences;
# 3. fine-tuning, from Python;
# 4. what it has learned, and what it has not;
# 5. predictions;
# 6. the exported folder, and the same predictions in transformers;
# 7. how to share it, and the same with SST-2.
#
# The teacher has 3.5 M parameters and has read only documentation, and the sentences are made
# from templates. So this notebook shows the procedure. The quality of DistilBERT is in
# `docs/results.md`.

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
import csv
import importlib.util
import itertools
import logging
import random
import shutil
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import treescope
from IPython.display import Image, Markdown
from IPython.utils.capture import capture_output

from eval.predict import open_model, predict
from eval.run import TaskEvaluation, evaluate_task
from report.tables import markdown_table
from tasks.open import TaskDataConfig
from tasks.reading import Reading
from train.command.compiled import keep_compiled
from train.distill import distill
from train.finetune import finetune
from train.recipes import DISTILL, FINETUNE

# As in the commands: compiled programs are kept, so the second seed finds those of the first.
keep_compiled()
logging.getLogger("model.pretrained").setLevel(logging.ERROR)  # a new head is intended
TEACHER = "assets/bert-tiny-pydocs"
home = Path("runs/notebook-sentiment")
shutil.rmtree(home, ignore_errors=True)  # an existing run would not be repeated
home.mkdir(parents=True)

# %% [markdown]
# ## 1. A student, and its twin
#
# The recipe `tiny` with fewer updates. The twin has the same start (six of the teacher's layers),
# the same text and masks, but no teacher: it learns from masked LM only. A recipe is a frozen
# dataclass, and `replace` is what a flag does on the command line:
#
#     python -m train.distill tiny --steps 60 --batch-size 8 --output runs/my-student

# %%
tiny = replace(
    DISTILL["tiny"](),
    teacher=TEACHER,
    steps=60,
    batch_size=8,
    evaluate_every=60,
    heldout_sequences=128,
)
losses = {
    "distilled": tiny.loss,  # KL, masked LM and cosine
    "without teacher": tiny.loss.with_weights(mlm=tiny.loss.mlm.weight),
}
students = {name: home / name.replace(" ", "-") for name in losses}
with capture_output():
    heldout = {
        name: distill(replace(tiny, loss=loss, output=students[name]))
        for name, loss in losses.items()
    }
for name, metrics in heldout.items():
    print(
        f"{name:<16} masked words guessed: {metrics['masked_lm_accuracy']:.1%}   "
        f"as the teacher: {metrics['top1_agreement']:.1%}"
    )

# %% [markdown]
# ## 2. Labelled sentences
#
# The sentences are opinions about software, because the teacher has only read about software. A
# rule gives the label of a sentence: its words decide, `not` reverses them, and only the part
# after `but` counts. Four positive and four negative words are never in the training set.
# Sentences with these words test whether the model knows the sense of a word from pretraining, or
# only knows the words of the training set.

# %%
SUBJECTS = [
    *("the documentation", "the parser", "the new release", "this tutorial", "the compiler"),
    *("the interface", "the default format", "the server", "this library", "the report"),
]
WORDS = {
    "positive": ["clear", "useful", "fast", "simple", "helpful", "complete", "easy", "good"],
    "negative": ["ambiguous", "wrong", "slow", "broken", "poor", "incomplete", "hard", "bad"],
}
NEW_WORDS = {
    "positive": ["great", "nice", "correct", "efficient"],
    "negative": ["incorrect", "difficult", "inefficient", "complicated"],
}


def sentences(words, rng):
    """Endless pairs of (text, label), from the words of either sense."""
    senses = list(words)
    for _ in itertools.count():
        label, other = rng.sample(senses, 2)
        subject, (first, second) = rng.choice(SUBJECTS), rng.sample(words[label], 2)
        against = rng.choice(words[other])
        template = rng.choice(
            [
                f"{subject} is {first}.",
                f"I find {subject} really {first}.",
                f"{subject} is {first} and {second}.",
                f"{subject} is not {against}.",
                f"{subject} was {against}, but now it is {first}.",
            ]
        )
        yield template, label


def write(name, count, words, seed, without=()):
    """Writes a csv file of `count` different sentences, none of which is in `without`."""
    drawn = (pair for pair in sentences(words, random.Random(seed)) if pair[0] not in without)
    different = dict(itertools.islice(dict.fromkeys(itertools.islice(drawn, 5 * count)), count))
    with (home / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *different.items()])
    return different


train = write("train", 320, WORDS, seed=0)
dev = write("dev", 160, WORDS, seed=1, without=train)
new = write("new-words", 160, NEW_WORDS, seed=2)
Markdown(
    markdown_table(
        ["sentence", "label", "file"],
        [
            [text, label, name]
            for name, part in (("train", train), ("dev", dev), ("new-words", new))
            for text, label in list(part.items())[:3]
        ],
        left=3,
    )
)

# %% [markdown]
# ## 3. Fine-tuning
#
# The recipe is the one for any classification with your own files. A tiny model on few sentences
# needs a larger learning rate and more epochs than the recipe's 3e-5 and 3, which are for base
# size. The run folder has the files of every run: configuration, metrics, curves, a report, and
# `model/`.
#
#     python -m train.finetune classification --model runs/my-student/model \
#         --data.train train.csv --data.dev dev.csv --seeds 3 \
#         --epochs 8 --optimizer.learning-rate 5e-4

# %%
recipe = FINETUNE["classification"]()
recipe = replace(
    recipe,
    data=TaskDataConfig(train=home / "train.csv", dev=home / "dev.csv"),
    reading=Reading(max_length=24),
    optimizer=replace(recipe.optimizer, learning_rate=5e-4),
    epochs=8.0,
    buckets=1,  # the texts are so short that all batches can have one length
)
treescope.show(recipe)


# %%
def fine_tune(name, **changes):
    """Fine-tunes once for each seed; returns the development metrics of each."""
    with capture_output():
        return finetune(replace(recipe, output=home / f"sentiment-{name}", **changes))


# %% [markdown]
# First the teacher itself is fine-tuned, all twelve layers, once. Then both students with three
# seeds each, from the labels only. Then the distilled student again with a second teacher:
# DistilBERT's authors distil again during fine-tuning, from a teacher fine-tuned on the task.
# Here the flag for this is `--teacher runs/.../model`; the labels and the softened KL to the
# teacher count half each.

# %%
fine_tune("teacher", model=TEACHER)
tuned_teacher = str(home / "sentiment-teacher" / "model")

distilled = str(students["distilled"] / "model")
alone = str(students["without teacher"] / "model")
fine_tune("distilled", model=distilled, seeds=3)
fine_tune("without-teacher", model=alone, seeds=3)
fine_tune("distilled-twice", model=distilled, teacher=tuned_teacher, seeds=3)

models = {"teacher, 12 layers": [home / "sentiment-teacher" / "model"]}
models |= {
    name.replace("-", " "): sorted((home / f"sentiment-{name}").glob("seed-*/model"))
    for name in ("distilled", "without-teacher", "distilled-twice")
}

# %% [markdown]
# ## 4. What they have learned
#
# `evaluate_task` is `python -m eval.run` from Python: it scores any checkpoint on labelled files,
# and writes the predictions, the confusion matrix and the mistakes of which the model is most
# certain.


# %%
def accuracy(model, test):
    """The accuracy (%) on one of our files; everything else goes into a folder beside the model."""
    with capture_output():
        scores = evaluate_task(
            TaskEvaluation(
                model=str(model),
                task="classification",
                data=TaskDataConfig(test=home / f"{test}.csv"),
                output=model.parent / test,
            )
        )
    return 100 * scores["test"]["accuracy"]


accuracies = {
    test: {name: [accuracy(folder, test) for folder in folders] for name, folders in models.items()}
    for test in ("dev", "new-words")
}

# %%
plt.style.use("notebooks/print.mplstyle")
fig, axes = plt.subplots(figsize=(6.6, 2.8))
looks = {"dev": (-0.12, "o", "#0072B2"), "new-words": (0.12, "s", "#D55E00")}
for test, (shift, marker, colour) in looks.items():
    for place, each in enumerate(accuracies[test].values()):
        at = place + shift
        axes.plot(each, [at] * len(each), marker, color=colour, alpha=0.5)
        axes.plot(np.mean(each), at, "|", color=colour, markersize=14, markeredgewidth=2.5)
    axes.plot([], [], marker, color=colour, label=f"{test}.csv")
axes.axvline(50, color="#808080", linestyle=(0, (4, 2)), linewidth=1)
axes.set_yticks(range(len(models)), models)
axes.set_ylim(len(models) - 0.5, -0.5)
axes.grid(visible=False, axis="y")
axes.grid(visible=True, axis="x")
axes.set_xlabel("accuracy (%); dots: seeds, bars: their mean, dashed: guessing")
axes.set_title("Words that were in the training set, and words that were not")
axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# The blue marks show whether the rule was learned for words that were in the training set; `not`
# and `but` need more than a list of words. The orange marks show whether the sense of words is
# known that only pretraining has seen: a model that knows none of them is at the dashed line.
#
# Which model is best? The picture cannot decide it. With 160 sentences an accuracy of 60 % is
# uncertain by 8 points, for any number of seeds. Three seeds are too few for an interval. They
# are also seeds of the fine-tuning only: each student was distilled once. When section 1 had
# batches of 16 instead of 8 (a run that is not kept), the distilled student was ahead of its twin
# on the new words, 71.0 % to 62.5 %. `03-ablation` is about such differences.
#
# From here on we use one of the three seeds, the one that is best on `dev.csv`. Its score there
# is now too favourable, because we chose it by this score; the new words did not influence the
# choice. These are its mistakes with them:

# %%
student = models["distilled"][int(np.argmax(accuracies["dev"]["distilled"]))]
Image(student.parent / "new-words" / "confusion-test.png", width=320)

# %%
errors = (student.parent / "new-words" / "errors-test.md").read_text(encoding="utf-8")
Markdown("\n".join(errors.splitlines()[4:12]))

# %% [markdown]
# In the run kept here nearly all of these mistakes are about `correct`, which the model takes for
# a reproach. A likely reason: a word and its opposite occur in the same places of a text, so a
# masked LM learns similar vectors for both.
#
# ## 5. Predictions
#
# On the command line: `python -m eval.predict runs/.../model "This tutorial is not bad."`

# %%
TEXTS = [
    "The parser is fast and simple.",
    "The parser is not fast.",
    "This tutorial is not bad.",
    "The interface was good, but now it is slow.",
    "The compiler reads the file and writes a report.",
    "What a charming film!",
]
model, vocabulary = open_model(str(student))
predictions = predict(model, vocabulary, TEXTS)
Markdown(
    markdown_table(
        ["text", "says", "probability"],
        [[each["text"], each["label"], f"{each['probability']:.1%}"] for each in predictions],
        left=2,
    )
)

# %% [markdown]
# The last two sentences are neither positive nor negative, but a classifier with two classes
# cannot express that. Its probability can compare sentences like those of its training set; it
# cannot show that a sentence is of another kind.
#
# ## 6. The folder
#
# The exported model is a Hugging Face folder: weights, configuration, tokenizer.

# %%
for file in sorted(student.iterdir()):
    print(f"{file.stat().st_size:>10,} bytes  {file.name}")

# %%
print((student / "config.json").read_text(encoding="utf-8"))

# %% [markdown]
# transformers finds everything there: `architectures` names the model's class, `id2label` the
# labels. This repository runs without transformers and torch, so the next cell compares only if
# they are installed (`pip install torch transformers`).

# %%
if importlib.util.find_spec("transformers") and importlib.util.find_spec("torch"):
    with capture_output():  # without progress bars and advice
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        theirs = AutoModelForSequenceClassification.from_pretrained(student).eval()
        their_tokenizer = AutoTokenizer.from_pretrained(student)
    with torch.no_grad():
        inputs = their_tokenizer(TEXTS, padding=True, return_tensors="pt")
        shares = theirs(**inputs).logits.softmax(-1).numpy()
    names = [theirs.config.id2label[index] for index in range(2)]
    ours = np.array([[each["probabilities"][name] for name in names] for each in predictions])
    print(type(theirs).__name__, names)
    print(f"largest difference of a probability: {np.abs(shares - ours).max():.1e}")
    assert [names[index] for index in shares.argmax(-1)] == [each["label"] for each in predictions]
    np.testing.assert_allclose(shares, ours, atol=1e-5)
else:
    print("transformers and torch are not installed: nothing is compared")

# %% [markdown]
# ## 7. Sharing
#
# With an account on the hub and after `hf auth login`, the folder can be uploaded as it is:
#
# ```python
# from huggingface_hub import HfApi
#
# api = HfApi()
# api.create_repo("my-name/my-classifier", exist_ok=True)
# api.upload_folder(repo_id="my-name/my-classifier", folder_path="runs/.../model")
# ```
#
# Then its name can be used in place of a folder, here and in transformers:
#
# ```
# python -m eval.predict my-name/my-classifier "This tutorial is not bad."
# python -m train.finetune classification --model my-name/my-classifier --data.train more.csv
# ```
#
# ```python
# transformers.pipeline("text-classification", "my-name/my-classifier")("This tutorial is not bad.")
# ```
#
# Add a `README.md` to the folder first. A model card should say what the model was distilled and
# trained from, on what text, with which command and commit (all of it is in the run's
# `config.json`), and what it must not be used for. This model must not be used for anything.
#
# ### The same with real data
#
# SST-2 and the published DistilBERT come from the hub; the data can also be in a folder
# (`--data.root glue`):
#
# ```
# python -m train.finetune sst2 --model distilbert/distilbert-base-uncased --seeds 5
# python -m eval.run runs/finetune-sst2/seed-1/model --task sst2
# python -m eval.predict runs/finetune-sst2/seed-1/model "a film of rare charm"
# ```
#
# Nothing else changes. The scores on SST-2 of the shipped teacher's students, and of a larger
# encoder with real weights, are in `docs/results/fine-tuning.md`.
