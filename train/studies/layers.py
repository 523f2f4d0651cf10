"""The study of layers: which ones a student starts as, and which ones it is matched with."""

from train.recipes.distill import tiny_base
from train.studies.config import StudyConfig, Variant, crossed

STARTS = (
    Variant("alternate", about="0, 2, 4, 7, 9, 11, as the original"),
    Variant("lowest", {"student.layers": "first"}, "0 to 5"),
    Variant("last", {"student.layers": "last"}, "6 to 11"),
    Variant("random", {"student.layers": "random"}, "random weights, sinusoids as positions"),
)


def matched(pairs: str) -> dict[str, object]:
    """The settings of a student whose hidden states are compared at pairs of layers."""
    return {"loss.hidden.weight": 1, "loss.hidden.layers": pairs}


def layers() -> StudyConfig:
    """Four starts of a student of six layers, crossed with four ways to match its hidden states.

    Wang et al. 2023 (ACL short 157) find the lowest layers the best start, above all where hidden
    states are matched; Yu et al. 2025 (arXiv 2502.04499) that matching helps, and that it hardly
    matters which layers are matched: in order, reversed, or all with one. Both fine-tune; here each
    claim meets the other's factor, on running text.

        python -m train.ablate layers

    Sixteen students. The reference of each way to match is DistilBERT's start under the same.
    """
    return StudyConfig(
        name="layers",
        title="Which layers a student should start as, and be matched with",
        base=tiny_base("layers"),
        variants=crossed(
            STARTS,
            matching={
                "": {},
                "in order": matched("uniform"),
                "reversed": matched("0:11,1:9,2:7,3:5,4:3,5:1"),
                "all to the last": matched("0:11,1:11,2:11,3:11,4:11,5:11"),
            },
        ),
    )
