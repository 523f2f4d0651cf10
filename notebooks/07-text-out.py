# %% [markdown]
# # Text out: a model that translates
#
# An encoder reads; to write it needs a decoder. This notebook trains both from random weights to
# translate numbers from German into English, which is a small language with a real difficulty:
# German says the ones before the tens (*einundzwanzig* is "one and twenty"), and writes all in one
# word. Everything runs here, offline, in about two minutes:
#
# 1. the data: numbers in words, made by two short functions;
# 2. training: an encoder of two layers and a decoder of two;
# 3. what it writes, and how sure it is of each word;
# 4. beams: the texts that it also thought of;
# 5. a student whose decoder has a single layer, alone and with its teacher's texts;
# 6. numbers of a kind that it has never seen.
#
# Such a language can be learned completely, so the mistakes that are left say something. The
# translation of sentences is in `docs/results/translation.md`.

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
import logging
import random
import shutil
from dataclasses import replace

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Markdown
from IPython.utils.capture import capture_output

from data.storage.run_folder import read_metrics
from data.tokenizer import load_vocabulary
from eval.predict import predict
from model.decoder.beams import beam_search
from model.pretrained import load
from report.tables import markdown_table
from tasks.open import TaskDataConfig
from tasks.reading import BeamSettings
from train.command.compiled import keep_compiled
from train.finetune import finetune
from train.objectives.finetuning import TaskLoss
from train.recipes import FINETUNE

keep_compiled()
logging.disable(logging.WARNING)
plt.style.use("notebooks/print.mplstyle")
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
home = Path("runs/notebook-text-out")
shutil.rmtree(home, ignore_errors=True)  # an existing run would not be repeated
home.mkdir(parents=True)

# %% [markdown]
# ## 1. Numbers in words

# %%
ENGLISH_WORDS = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety"
)
GERMAN_WORDS = (
    "ein zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn "
    "sechzehn siebzehn achtzehn neunzehn zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig "
    "neunzig"
)
ENGLISH, GERMAN = ENGLISH_WORDS.split(), GERMAN_WORDS.split()


def english(number):
    """An English number, from 1 to 99,999."""
    if number >= 1000:
        return f"{english(number // 1000)} thousand {english(number % 1000)}".strip()
    if number >= 100:
        rest = english(number % 100)
        return f"{english(number // 100)} hundred" + (f" and {rest}" if rest else "")
    if number >= 20:
        return f"{ENGLISH[17 + number // 10]} {english(number % 10)}".strip()
    return ENGLISH[number - 1] if number else ""


def german(number):
    """A German number, from 1 to 99,999."""
    if number >= 1000:
        return f"{german(number // 1000)}tausend{german(number % 1000)}"
    if number >= 100:
        return f"{german(number // 100)}hundert{german(number % 100)}"
    if number >= 20:
        ones = f"{german(number % 10)}und" if number % 10 else ""
        return ones + GERMAN[17 + number // 10]
    return GERMAN[number - 1] if number else ""


def unseen(number):
    """Whether a number is of the kind that is kept out of training: seven hundred, of thousands."""
    return number >= 1000 and number % 1000 // 100 == 7


numbers = list(range(1, 100_000))
random.Random(0).shuffle(numbers)
usual = [number for number in numbers if not unseen(number)]
training, heldout = usual[:4000], usual[4000:4300]
kept_out = [number for number in numbers if unseen(number)][:300]


def write(name, numbers):
    """Writes texts and translations, a row each."""
    rows = [{"source": german(number), "target": english(number)} for number in numbers]
    file = home / f"{name}.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


files = {"train": write("train", training), "dev": write("dev", heldout)}
Markdown(
    markdown_table(
        ["number", "German", "English"],
        [[f"{number:,}", german(number), english(number)] for number in (21, 4711, *heldout[:3])],
        left=3,
    )
)

# %% [markdown]
# ## 2. Training
#
# `random:2+2x64:300` is no checkpoint but a shape: two layers that read, two that write, 64 wide,
# with 300 pieces learned from the texts of both languages. In the encoder every token sees all
# others. In the decoder a token sees those before it, and the whole source. It learns to predict
# each next token from the right ones before it ("teacher forcing"), all at once.


# %%
def learn(name, **changes):
    """Trains a model, quietly; its folder and its held-out metrics."""
    recipe = FINETUNE["translation"]()
    config = replace(
        recipe,
        output=home / name,
        model="random:2+2x64:300",
        data=TaskDataConfig(**files),
        optimizer=replace(recipe.optimizer, learning_rate=3e-3),
        search=BeamSettings(beams=1),
        buckets=3,
        epochs=8,
    )
    with capture_output():
        finetune(replace(config, **changes))
    return home / name / "model"


folder = learn("teacher")
rows = [row for row in read_metrics(home / "teacher") if row["kind"] == "heldout"]
figure, axes = plt.subplots(1, 2, figsize=(9, 3))
steps = [row["step"] for row in rows]
axes[0].plot(steps, [row["perplexity"] for row in rows], marker="o", color=BLUE)
axes[0].set(xlabel="update", ylabel="perplexity of a token", yscale="log")
axes[1].plot(steps, [100 * row["bleu"] for row in rows], marker="o", color=ORANGE)
axes[1].set(xlabel="update", ylabel="BLEU of held-out numbers")
plt.show()

# %% [markdown]
# Perplexity and BLEU measure different things. Perplexity asks how probable the right next token
# is, given the right ones before; BLEU compares whole texts that the model wrote by itself. Here
# both are perfect in the end, or nearly so.
#
# ## 3. What it writes
#
# The log-probability of each token of a text, given those before: a true probability, which the
# fillings of a masked LM are not.

# %%
model, vocabulary = load(folder), load_vocabulary(folder)
ids = vocabulary.tokenizer.encode(german(54321)).ids
source = model.read(jnp.array([ids]))
target = vocabulary.tokenizer.encode(english(54321)).ids
logits = model.decoder(jnp.array([target[:-1]]), source=source).logits
probabilities = np.asarray(jax.nn.softmax(logits)[0])
pieces = [vocabulary.pieces[token] for token in target[1:]]
chances = [row[token] for row, token in zip(probabilities, target[1:], strict=True)]
print(german(54321), "=", " ".join(vocabulary.pieces[token] for token in ids))
Markdown(
    markdown_table(
        ["next token", "probability"],
        [[piece, f"{chance:.4f}"] for piece, chance in zip(pieces, chances, strict=True)],
    )
)

# %% [markdown]
# ## 4. Beams
#
# A search with beams keeps several texts at a time. Their scores are log-probabilities, divided by
# the length. For a word that it has never seen, with a letter wrong, it is less sure.


# %%
def beams(text, count=4):
    """The best texts for a source, with their scores."""
    ids = jnp.array([vocabulary.tokenizer.encode(text).ids])
    settings = replace(model.generation, beams=count)
    found = beam_search(model.decoder, model.read(ids), settings, rows=1)
    texts = vocabulary.tokenizer.decode_batch(np.asarray(found.tokens[0]).tolist())
    return list(zip(texts, np.asarray(found.scores[0]).tolist(), strict=True))


rows = []
for text in (german(9876), "neuntausendachthundertsexundsiebzig"):
    for place, (written, score) in enumerate(beams(text)):
        rows.append([text if place == 0 else "", written, f"{score:.3f}"])
Markdown(markdown_table(["source", "written", "score"], rows, left=2))

# %% [markdown]
# ## 5. A student with one layer that writes
#
# Writing is slow, because the decoder runs once for every token; so a shallow decoder is what makes
# a translator fast. This one starts from the teacher's encoder and the first of its decoder's
# layers ("shrink and fine-tune", Shleifer and Rush 2020). It learns from people's texts, or from
# those of its teacher (`--loss.form texts`, Kim and Rush 2016). Both have 80 updates.

# %%
few = {"model": str(folder), "decoder_layers": "0", "epochs": None, "steps": 80}
students = {
    "the right texts": learn("alone", **few),
    "its teacher's texts": learn("taught", teacher=str(folder), loss=TaskLoss(form="texts"), **few),
}


def right(folder, numbers):
    """The share of numbers whose whole translation is right."""
    texts = [german(number) for number in numbers]
    found = predict(load(folder), load_vocabulary(folder), texts)
    return np.mean([f["written"] == english(n) for f, n in zip(found, numbers, strict=True)])


table = [["teacher, 2 layers that write", f"{right(folder, heldout):.1%}"]]
table += [
    [f"student of {name}, 1 layer", f"{right(f, heldout):.1%}"] for name, f in students.items()
]
Markdown(markdown_table(["", "held-out numbers that are right"], table))

# %% [markdown]
# Nearly all of this teacher's texts are the right ones, so the two students learn almost the same,
# and with 300 numbers and one seed each a difference of a few points means little. Sentences of
# people have many translations, and there a teacher's texts are more regular than the references:
# that is what the method is for.
#
# ## 6. Numbers of a kind that it has never seen
#
# No number of training had seven hundred after its thousands. *Siebenhundert* by itself was there,
# in numbers below a thousand, and so was every other hundred after thousands. A person would have
# no difficulty. The model has: it has learned which words go together, and mostly writes another
# hundred, which it has seen there, or leaves a part out (Lake and Baroni 2018 found the same of
# commands).

# %%
texts = [german(number) for number in kept_out]
found = [each["written"] for each in predict(model, vocabulary, texts)]
wrong = [(n, text) for n, text in zip(kept_out, found, strict=True) if text != english(n)]
print(f"{1 - len(wrong) / len(kept_out):.1%} of {len(kept_out)} such numbers are right")
Markdown(
    markdown_table(
        ["number", "German", "written"],
        [[f"{number:,}", german(number), text] for number, text in wrong[:4]],
        left=3,
    )
    if wrong
    else "There are no mistakes."
)
