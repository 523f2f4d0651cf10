"""The study `scaling`: students of several sizes, each trained for several numbers of updates."""

from train.recipes.distill import tiny_base
from train.studies.config import StudyConfig, Variant, crossed

DEPTHS = (
    Variant("2 layers", {"student.layers": "5,11"}, "layers 5 and 11 of the teacher"),
    Variant("4 layers", {"student.layers": "2,5,8,11"}, "layers 2, 5, 8 and 11"),
    Variant("6 layers", {"student.layers": "1,3,5,7,9,11"}, "every second layer"),
)
UPDATES = (25, 50, 100, 200)


def scaling() -> StudyConfig:
    """The held-out loss that compute buys: three depths, each for four numbers of updates.

    Operations are counted, the teacher's too. Of the students that are the best for their compute
    the report fits and draws a power law.

        python -m train.ablate scaling

    Sixty students in four programs, not run here. A number of updates has its own schedule of the
    learning rate, and students are compared at equal updates.
    """
    return StudyConfig(
        name="scaling",
        title="The loss that compute buys",
        base=tiny_base("scaling"),
        variants=crossed(
            DEPTHS, updates={f"{steps} updates": {"steps": steps} for steps in UPDATES}
        ),
        primary="masked_lm_loss",
        better="lower",
    )
