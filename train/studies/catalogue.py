"""The studies that ship: each a question, its variants, and what is known of the answer.

They run at the tiny size as they are; any flag of train.distill makes them larger, such as
--teacher google-bert/bert-base-uncased --data.sequence-length 512 --batch-size 240.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from report.study.folder import Published
from train.config import DistillConfig
from train.recipes import distill as recipes_distill
from train.recipes import small as recipes_small
from train.studies.config import StudyConfig, Variant

GLUE = "GLUE points"


def tiny_base(name: str) -> DistillConfig:
    """The recipe `tiny` with half its batch: a study trains many students."""
    tiny = recipes_distill.tiny()
    return replace(
        tiny,
        output=Path("runs") / name,
        batch_size=16,
        steps=100,
        evaluate_every=50,
        heldout_sequences=512,
        run=replace(tiny.run, checkpoint_every=50, print_every=50),
    )


def paper_table_4() -> StudyConfig:
    """What each loss and the start from the teacher are worth: table 4 of Sanh et al. 2019.

    The paper trained to the end and averaged GLUE; here short trainings of tiny models are
    compared on held-out text. Order and sign can be set beside the paper's, sizes cannot. How the
    paper ran "without masked LM" is unpublished: its own code refuses to.

        python -m train.ablate paper-table-4
        python -m train.ablate paper-table-4 --downstream sst2 --task-data.root glue

    Two CPU cores: minutes. Results: docs/results/paper-table-4.
    """
    return StudyConfig(
        name="paper-table-4",
        title="What each loss is worth, and the start from the teacher",
        base=tiny_base("paper-table-4"),
        variants=(
            Variant("triple loss", "KL 5, masked LM 2, cosine 1; layers of the teacher"),
            Variant("without KL", "weight 0", "--loss.ce.weight 0", Published(-2.96, GLUE)),
            Variant("without cosine", "weight 0", "--loss.cos.weight 0", Published(-1.46, GLUE)),
            Variant("without masked LM", "weight 0", "--loss.mlm.weight 0", Published(-0.31, GLUE)),
            Variant(
                "random start",
                "random weights, frozen sinusoids as positions",
                "--student.layers random",
                Published(-3.69, GLUE),
            ),
        ),
    )


def paper_table_4_small() -> StudyConfig:
    """`paper-table-4` at the size of the small reproduction: nine minutes on one H100.

        python -m train.ablate paper-table-4-small --data.corpus books wiki.train.tokens.gz

    From what `train.pretrain small` came to; 64 sequences of 128 tokens an update. Five students
    and their teacher take 9.6 TFLOP an update: 5 seeds of 3,400 at 396 TFLOP/s (see
    train/recipes/small.py) are 414 seconds. Not run here.
    """
    study = paper_table_4()
    return replace(study, name="paper-table-4-small", base=recipes_small.study_small())


def temperature() -> StudyConfig:
    """How soft the targets should be: temperatures of 1, 2, 4 and 8 in the KL.

        python -m train.ablate temperature

    The original uses 2. Results: docs/results/temperature.
    """
    return StudyConfig(
        name="temperature",
        title="How soft the teacher's targets should be",
        base=tiny_base("temperature"),
        variants=(
            Variant("T 2", "the original's"),
            *(Variant(f"T {t}", "", f"--loss.ce.temperature {t}") for t in (1, 4, 8)),
        ),
    )


def layers() -> StudyConfig:
    """Which six of twelve teacher layers a student should start as.

        python -m train.ablate layers

    The original takes 0, 2, 4, 7, 9 and 11.
    """
    return StudyConfig(
        name="layers",
        title="Which layers of the teacher a student should start as",
        base=tiny_base("layers"),
        variants=(
            Variant("original", "0, 2, 4, 7, 9, 11"),
            Variant("first", "0 to 5", "--student.layers first"),
            Variant("last", "6 to 11", "--student.layers last"),
            Variant("even", "0, 2, 4, 6, 8, 10", "--student.layers even"),
            Variant("odd", "1, 3, 5, 7, 9, 11", "--student.layers odd"),
            Variant("ends", "0, 1, 2, 9, 10, 11", "--student.layers 0,1,2,9,10,11"),
        ),
    )


def faithful() -> StudyConfig:
    """What the choices of the original code do, one by one, against those made here.

    Texts are sequences of their own (`lines`) of very different lengths, in micro-batches of four,
    so that it shows whether a mean is taken over all tokens or over micro-batches.

        python -m train.ablate faithful

    Results: docs/results/faithful.
    """
    base = tiny_base("faithful")
    return StudyConfig(
        name="faithful",
        title="The original's choices one by one, against the ones made here",
        base=replace(
            base,
            data=replace(base.data, mode="lines"),
            masking=replace(base.masking, smoothing=0.0),
            student=replace(base.student, copy_head=True, token_types="fold"),
            micro_batches=4,
            freeze_positions=False,
        ),
        variants=(
            Variant(
                "corrected",
                "means over tokens, positions learned, KL at all tokens, head copied, type vector "
                "folded in, uniform masks",
            ),
            Variant("means of means", "as the original", "--loss.mean micro-batches"),
            Variant("frozen positions", "as the original", "--freeze-positions"),
            Variant(
                "KL at masked tokens",
                "the original's --restrict_ce_to_mask",
                "--loss.ce.positions masked",
            ),
            Variant("random head", "as the original", "--student.no-copy-head"),
            Variant("type vector dropped", "as the original", "--student.token-types drop"),
            Variant(
                "smoothed masks", "rare tokens oftener, as the original", "--masking.smoothing 0.7"
            ),
        ),
    )


def objectives() -> StudyConfig:
    """Whole objectives of other papers against the triple loss, each at its best learning rate.

    Three of them train no masked-LM head, so all are compared by what fine-tuning makes of them.
    Needs the data of the task.

        python -m train.ablate objectives --task-data.root glue
    """
    no_others = "--loss.ce.weight 0 --loss.mlm.weight 0 --loss.cos.weight 0"
    return StudyConfig(
        name="objectives",
        title="Whole objectives, each at its best learning rate",
        base=tiny_base("objectives"),
        variants=(
            Variant("triple loss", "Sanh et al. 2019"),
            Variant("masked LM alone", "no teacher", "--loss.ce.weight 0 --loss.cos.weight 0"),
            Variant(
                "TinyBERT, general",
                "Jiao et al. 2020: hidden states, embeddings and attention scores",
                f"{no_others} --loss.hidden.weight 1 --loss.hidden.layers uniform "
                "--loss.embeddings.weight 1 --loss.attention.weight 1 "
                "--loss.attention.layers uniform",
            ),
            Variant(
                "MiniLMv2",
                "Wang et al. 2021: relations of the last layer",
                f"{no_others} --loss.relations.weight 1",
            ),
            Variant(
                "Patient KD",
                "Sun et al. 2019: normalised hidden states of all layers but the last",
                f"{no_others} --loss.hidden.weight 1 --loss.hidden.normalised "
                "--loss.hidden.layers 0:1,1:3,2:5,3:7,4:9",
            ),
        ),
        primary="downstream_sst2",
        downstream=("sst2",),
        tune=(3e-4, 1e-3, 3e-3),
    )


STUDIES: dict[str, Callable[[], StudyConfig]] = {
    "paper-table-4": paper_table_4,
    "paper-table-4-small": paper_table_4_small,
    "temperature": temperature,
    "layers": layers,
    "faithful": faithful,
    "objectives": objectives,
}
