"""A student narrower than its teacher, with the dense layer that makes the two comparable."""

from flax import nnx

from model.blocks.layers import linear
from model.tasks import LanguageModel, MaskedLM


class LiftedStudent(nnx.Module):
    """A student, and one dense layer from its width to its teacher's for all hidden states.

    Learned beside the student and thrown away after (Jiao et al. 2020, TinyBERT, section 3.1; one
    layer for all depths, as in that paper's code).
    """

    def __init__(self, student: MaskedLM, teacher_width: int, *, rngs: nnx.Rngs):
        self.student = student
        config = student.config
        self.lift = linear(config, config.hidden_size, teacher_width, rngs=rngs)


def student_of(trained: nnx.Module) -> LanguageModel:
    """The student itself."""
    student = trained.student if isinstance(trained, LiftedStudent) else trained
    assert isinstance(student, LanguageModel)
    return student
