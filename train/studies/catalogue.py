"""The studies that ship: each a question, its variants, and the published answer if there is one.

They run at the tiny size as they are; any flag of train.distill makes them larger, such as
--teacher google-bert/bert-base-uncased --data.sequence-length 512 --batch-size 240.
"""

from collections.abc import Callable
from dataclasses import replace

from report.study.folder import PublishedDelta
from train.recipes import small as recipes_small
from train.recipes.distill import tiny_base
from train.studies.config import StudyConfig, Variant, crossed
from train.studies.layers import layers
from train.studies.scaling import scaling

NO_TRIPLE_LOSS = {"loss.ce.weight": 0, "loss.mlm.weight": 0, "loss.cos.weight": 0}


def glue_points(delta: float) -> PublishedDelta:
    """A published difference in the mean of GLUE's scores."""
    return PublishedDelta(delta, "GLUE points")


def worth_of_teacher() -> StudyConfig:
    """The students of the quickstart with their teacher and without it, with error bars.

    Both start as the teacher's layers, and see the same batches and masks as often.

        python -m train.ablate worth-of-teacher

    Two CPU cores: a quarter of an hour. Results: docs/results/worth-of-teacher.
    """
    return StudyConfig(
        name="worth-of-teacher",
        title="What the teacher is worth",
        base=replace(
            tiny_base("worth-of-teacher"),
            batch_size=32,
            steps=200,
            evaluate_every=25,
            heldout_sequences=1024,
        ),
        variants=(
            Variant("without teacher", {"loss.ce.weight": 0, "loss.cos.weight": 0}, "masked LM"),
            Variant("distilled", about="KL 5, masked LM 2, cosine 1"),
        ),
    )


TABLE_4 = (
    Variant("triple loss", about="KL 5, masked LM 2, cosine 1; layers of the teacher"),
    Variant("without KL", {"loss.ce.weight": 0}, "weight 0", glue_points(-2.96)),
    Variant("without cosine", {"loss.cos.weight": 0}, "weight 0", glue_points(-1.46)),
    Variant("without masked LM", {"loss.mlm.weight": 0}, "weight 0", glue_points(-0.31)),
    Variant(
        "random start",
        {"student.layers": "random"},
        "random weights, frozen sinusoids as positions",
        glue_points(-3.69),
    ),
)


def paper_table_4() -> StudyConfig:
    """The worth of each loss and of the start from the teacher: table 4 of Sanh et al. 2019.

    The paper trained to the end and averaged GLUE; here short trainings of tiny models are
    compared on held-out text. Order and sign can be set beside the paper's, sizes cannot. How the
    paper ran "without masked LM" is unpublished: its own code refuses to.

        python -m train.ablate paper-table-4
        python -m train.ablate paper-table-4 --downstream sst2 --task-data.root glue

    Two CPU cores: minutes. On uniform masks, with the clip; `paper-table-4-crossed` has the others.
    """
    return StudyConfig(
        name="paper-table-4",
        title="What each loss is worth, and the start from the teacher",
        base=tiny_base("paper-table-4"),
        variants=TABLE_4,
    )


def paper_table_4_crossed() -> StudyConfig:
    """The five students of `paper-table-4` on two kinds of masks, with the clip and without.

    A loss that is taken away changes more than the loss: the gradient is clipped less often, and
    where masks choose rare tokens, masked LM alone learns these. So each student is compared with
    the triple loss under the same masks and the same clip.

        python -m train.ablate paper-table-4-crossed

    Twenty students, not run here; of masked LM alone docs/results/studies.md has results.
    """
    return StudyConfig(
        name="paper-table-4-crossed",
        title="What each loss is worth, on two kinds of masks, with the clip and without",
        base=tiny_base("paper-table-4-crossed"),
        variants=crossed(
            TABLE_4,
            masks={"": {}, "smoothed masks": {"masking.smoothing": 0.7}},
            clip={"": {}, "no clip": {"optimizer.clip_norm": 1e9}},
        ),
    )


def paper_table_4_small() -> StudyConfig:
    """`paper-table-4` at the size of the small reproduction: nine minutes on one H100.

        python -m train.ablate paper-table-4-small --data.corpus books wiki.train.tokens.gz

    From the model of `train.pretrain small`; 64 sequences of 128 tokens an update. Five students
    and their teacher take 9.6 TFLOP an update: 5 seeds of 3,400 at 396 TFLOP/s (see
    train/recipes/small.py) are 414 seconds. Not run here.
    """
    study = paper_table_4()
    return replace(study, name="paper-table-4-small", base=recipes_small.study_small())


def temperature() -> StudyConfig:
    """Softness of the targets: temperatures of 1, 2, 4 and 8 in the KL.

        python -m train.ablate temperature

    The original uses 2. Results: docs/results/temperature.
    """
    return StudyConfig(
        name="temperature",
        title="How soft the teacher's targets should be",
        base=tiny_base("temperature"),
        variants=(
            Variant("T 2", about="the original's"),
            *(Variant(f"T {t}", {"loss.ce.temperature": t}) for t in (1, 4, 8)),
        ),
    )


def faithful() -> StudyConfig:
    """The choices of the original code, one by one, against those made here.

    Texts are sequences of their own (`lines`, not packed) of very different lengths, in
    micro-batches of four, so that it shows whether a mean is taken over all tokens or over
    micro-batches.

        python -m train.ablate faithful

    Results: docs/results/faithful.
    """
    base = tiny_base("faithful")
    return StudyConfig(
        name="faithful",
        title="The original's choices one by one, against the ones made here",
        base=replace(
            base,
            data=replace(base.data, mode="lines", pack_lines=False),
            student=replace(base.student, copy_head=True, token_types="fold"),
            micro_batches=4,
            freeze_positions=False,
        ),
        variants=(
            Variant(
                "corrected",
                about="means over tokens, positions learned, KL at all tokens, head copied, type "
                "vector folded in, uniform masks",
            ),
            Variant("means of means", {"loss.mean": "micro-batches"}, "as the original"),
            Variant("frozen positions", {"freeze_positions": True}, "as the original"),
            Variant(
                "KL at masked tokens",
                {"loss.ce.positions": "masked"},
                "the original's --restrict_ce_to_mask",
            ),
            Variant("random head", {"student.copy_head": False}, "as the original"),
            Variant("type vector dropped", {"student.token_types": "drop"}, "as the original"),
            Variant(
                "smoothed masks",
                {"masking.smoothing": 0.7},
                "rare tokens oftener, as the original",
            ),
        ),
    )


def objectives() -> StudyConfig:
    """Whole objectives of other papers against the triple loss, each at its best learning rate.

    Three of them train no masked-LM head, so all are compared after fine-tuning.
    Needs the data of the task.

        python -m train.ablate objectives --task-data.root glue
    """
    return StudyConfig(
        name="objectives",
        title="Whole objectives, each at its best learning rate",
        base=tiny_base("objectives"),
        variants=(
            Variant("triple loss", about="Sanh et al. 2019"),
            Variant("masked LM alone", {"loss.ce.weight": 0, "loss.cos.weight": 0}, "no teacher"),
            Variant(
                "TinyBERT, general",
                {
                    **NO_TRIPLE_LOSS,
                    "loss.hidden.weight": 1,
                    "loss.hidden.layers": "uniform",
                    "loss.embeddings.weight": 1,
                    "loss.attention.weight": 1,
                    "loss.attention.layers": "uniform",
                },
                "Jiao et al. 2020: hidden states, embeddings and attention scores",
            ),
            Variant(
                "MiniLMv2",
                {**NO_TRIPLE_LOSS, "loss.relations.weight": 1},
                "Wang et al. 2021: relations of the last layer",
            ),
            Variant(
                "Patient KD",
                {
                    **NO_TRIPLE_LOSS,
                    "loss.hidden.weight": 1,
                    "loss.hidden.normalised": True,
                    "loss.hidden.layers": "0:1,1:3,2:5,3:7,4:9",
                },
                "Sun et al. 2019: normalised hidden states of all layers but the last",
            ),
        ),
        primary="downstream_sst2",
        downstream=("sst2",),
        tune=(3e-4, 1e-3, 3e-3),
    )


STUDIES: dict[str, Callable[[], StudyConfig]] = {
    "worth-of-teacher": worth_of_teacher,
    "paper-table-4": paper_table_4,
    "paper-table-4-crossed": paper_table_4_crossed,
    "paper-table-4-small": paper_table_4_small,
    "temperature": temperature,
    "layers": layers,
    "faithful": faithful,
    "objectives": objectives,
    "scaling": scaling,
}
