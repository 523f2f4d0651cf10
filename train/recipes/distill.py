"""Recipes of train.distill."""

from dataclasses import replace
from pathlib import Path

from data.config import DataConfig
from data.masking import MaskingConfig
from train.config import DistillConfig, RunConfig, StudentConfig
from train.objectives.terms import AttentionScores, DistillationLoss, HiddenError, Relations
from train.recipes.first_hour import of_distilbert, of_wikitext_103
from train.recipes.pretrain import BOOKCORPUS, WIKIPEDIA, WIKIPEDIA_COMMIT
from train.update.optimizer import OptimizerConfig

WIKITEXT_103 = "Salesforce/wikitext:wikitext-103-v1@b08601e04326c79dfdd32d625aee71d232d685c3"
TINY_TEACHER = str(Path(__file__).resolve().parents[2] / "assets" / "bert-tiny-pydocs")


def distill_tiny() -> DistillConfig:
    """The shipped teacher's twelve layers distilled into six; some minutes on a laptop's CPU.

    The triple loss 5/2/1 at temperature 2 as in the large recipes. 2,048 tokens an update (32
    sequences of 64), 500 updates. Unlike the original the student also starts with the teacher's
    masked-LM head, because the run is too short to learn one, and masks are uniform: the original's
    (--masking.smoothing 0.7) train other tokens than held-out text is scored on.

        python -m train.distill tiny
    """
    return DistillConfig(
        output=Path("runs/distill-tiny"),
        teacher=TINY_TEACHER,
        data=DataConfig(sequence_length=64),
        masking=MaskingConfig(group_rows=2),
        student=StudentConfig(copy_head=True),
        optimizer=OptimizerConfig(learning_rate=1e-3),
        batch_size=32,
        steps=500,
        evaluate_every=100,
        run=RunConfig(checkpoint_every=100, print_every=20),
    )


def tiny_base(name: str) -> DistillConfig:
    """The base of a tiny study: `tiny` with half its batch, as a study trains many students."""
    tiny = distill_tiny()
    return replace(
        tiny,
        output=Path("runs") / name,
        batch_size=16,
        steps=100,
        evaluate_every=50,
        heldout_sequences=512,
        term_gradients=True,
        run=replace(tiny.run, checkpoint_every=50, print_every=50),
    )


def distill_base_uncased() -> DistillConfig:
    """DistilBERT from bert-base-uncased, by the recipe of the original code's README.

    Loss weights 5/2/1, temperature 2, AdamW 0.9/0.98/1e-6, learning rate 5e-4 without decay, 5 %
    warm-up, clip 5, 3 epochs; positions frozen at the teacher's. The loss weights, batch and number
    of epochs of the released model are unpublished.

    English Wikipedia and BookCorpus, each text for itself (`lines`), 656 sequences of 512 tokens an
    update: 0.33 M tokens, as many as in 4,096 texts. Most texts are short: BookCorpus on the hub
    has 74 M rows of one sentence each (published). All make about 62 M texts of 80 tokens on
    average, six in a sequence, so 45,000 updates; computed in train/planning/run_length.py. Masks
    are drawn over one sequence. The original: 8 V100 GPUs, 90 hours, GLUE 77.0 (published). Not run
    here.

        python -m train.distill distilbert-base-uncased
    """
    return DistillConfig(
        output=Path("runs/distilbert-base-uncased"),
        teacher="google-bert/bert-base-uncased",
        data=DataConfig(corpus=(WIKIPEDIA, BOOKCORPUS), mode="lines", sequence_length=512),
        masking=MaskingConfig(smoothing=0.7, group_rows=1),
        optimizer=OptimizerConfig(),
        batch_size=656,
        epochs=3.0,
        evaluate_every=500,
        first_hour=of_distilbert(),
        run=RunConfig(checkpoint_every=250),
    )


def _original() -> DistillConfig:
    """The same without its bands: others that begin with it learn at another pace."""
    return replace(distill_base_uncased(), first_hour=None)


def distill_base_cased() -> DistillConfig:
    """DistilBERT from bert-base-cased: the uncased recipe with the cased teacher, on Wikipedia.

    BookCorpus is left out: on the hub it is lower-cased, and a cased teacher does not expect that.
    The original read both, with case; GLUE 75.9 (published). Wikipedia's texts have 340 tokens on
    average (computed), so 4,096 of them are 1.4 M tokens: 2,752 sequences. Not run here.

        python -m train.distill distilbert-base-cased
    """
    uncased = _original()
    return replace(
        uncased,
        output=Path("runs/distilbert-base-cased"),
        teacher="google-bert/bert-base-cased",
        data=replace(uncased.data, corpus=(WIKIPEDIA,)),
        batch_size=2752,
        micro_batches=4,
    )


def distill_base_multilingual_cased() -> DistillConfig:
    """DistilBERT from multilingual BERT on Wikipedias.

    The original read 104 of them. Here they are the ten largest of the teacher's languages;
    --data.corpus names more. Languages are read in proportion to size^0.7, as multilingual BERT
    read them; how often the original did is unpublished. Texts are assumed to be as long as the
    English ones: 2,752 sequences an update. Published: XNLI 78.2 (en), 69.1 (es), 64.0 (zh). Not
    run here.

        python -m train.distill distilbert-base-multilingual-cased
    """
    languages = ("en", "de", "fr", "es", "it", "ru", "pl", "ja", "zh", "nl")
    uncased = _original()
    return replace(
        uncased,
        output=Path("runs/distilbert-base-multilingual-cased"),
        teacher="google-bert/bert-base-multilingual-cased",
        data=replace(
            uncased.data,
            corpus=tuple(
                f"wikimedia/wikipedia:20231101.{language}@{WIKIPEDIA_COMMIT}"
                for language in languages
            ),
            size_exponent=0.7,
        ),
        batch_size=2752,
        micro_batches=4,
    )


def wikitext_103() -> DistillConfig:
    """The cheapest published check: 0.1 B tokens, 3 epochs, 240 texts an update.

    Wu et al.'s re-implementation (frankaging/Causal-Distill) reports a GLUE average over 8 tasks of
    75.80 for this setting (published). It weights its losses equally; the weights of its baseline
    are not stated, so 1/3 each is an assumption. 240 texts of 125 tokens, as those of WikiText-2
    have, fill 60 sequences. Not run here: 0.7 chip-hours of TPU v5e, computed by train.plan.

        python -m train.distill wikitext-103
    """
    uncased = _original()
    return replace(
        uncased,
        output=Path("runs/wikitext-103"),
        data=replace(uncased.data, corpus=(WIKITEXT_103,)),
        first_hour=of_wikitext_103(),
        loss=DistillationLoss().with_weights(ce=1 / 3, mlm=1 / 3, cos=1 / 3),
        batch_size=60,
    )


def tinybert_general() -> DistillConfig:
    """The objective of TinyBERT's general distillation (Jiao et al. 2020, section 3).

    Attention scores, hidden states and embeddings of uniformly spread layers, all of weight 1: a
    4-layer student 312 wide, from random weights, on 128 tokens, 256 sequences an update, 3 epochs
    of Wikipedia (published). Positions are trained, as there.

    Differences: means are over attended tokens and not over padding, masks are drawn again at every
    step, and optimizer and learning rate are DistilBERT's. The masked-LM head is not trained, so
    the exported model has none: compare students after fine-tuning. Not run here.

        python -m train.distill tinybert-general
    """
    uncased = _original()
    return replace(
        uncased,
        output=Path("runs/tinybert-general"),
        data=replace(uncased.data, corpus=(WIKIPEDIA,), mode="packed", sequence_length=128),
        masking=MaskingConfig(),
        student=StudentConfig(
            layers="random",
            num_layers=4,
            hidden_size=312,
            num_heads=12,
            intermediate_size=1200,
        ),
        loss=DistillationLoss(
            hidden=HiddenError(layers="uniform"), attention=AttentionScores(layers="uniform")
        ).with_weights(hidden=1.0, embeddings=1.0, attention=1.0),
        freeze_positions=False,
        batch_size=256,
    )


def minilmv2() -> DistillConfig:
    """The objective of MiniLMv2 (Wang et al. 2021, section 3): relations of the last layer.

    Queries, keys and values of the teacher's last layer, in 48 relation heads, for a student of 6
    layers, 768 wide, from random weights (published for a BERT-base teacher).

    Differences: student and teacher read masked text (the paper does not say whether its own do),
    and corpus, batch and optimizer are those of `distilbert-base-uncased`. The masked-LM head is
    not trained, so the exported model has none: compare students after fine-tuning. Not run here.

        python -m train.distill minilmv2
    """
    return replace(
        _original(),
        output=Path("runs/minilmv2"),
        student=StudentConfig(layers="random", num_layers=6),
        loss=DistillationLoss(relations=Relations(heads=48)).with_weights(relations=1.0),
        freeze_positions=False,
    )


def patient_kd() -> DistillConfig:
    """The patient term of Patient KD (Sun et al. 2019, section 3.2), on running text.

    Hidden states of every second teacher layer but the last, divided by their length.

    Differences: the paper distils a fine-tuned teacher on a task, at [CLS] only and together with
    the task's losses. Here the text is plain, all tokens count, and there is no other loss. The
    masked-LM head is not trained, so the exported model has none: compare students after
    fine-tuning. Not run here.

        python -m train.distill patient-kd
    """
    return replace(
        _original(),
        output=Path("runs/patient-kd"),
        loss=DistillationLoss(
            hidden=HiddenError(layers="0:1,1:3,2:5,3:7,4:9", normalised=True)
        ).with_weights(hidden=1.0),
    )
