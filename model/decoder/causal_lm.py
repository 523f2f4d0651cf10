"""A language model that predicts each token from those before it, alone or given a source."""

from flax import nnx

from model.bert import CausalBert
from model.config import EncoderConfig
from model.decoder.settings import GenerationConfig
from model.errors import InputError
from model.tasks import LanguageModel


class CausalLM(LanguageModel):
    """Next-token prediction, transformers' BertLMHeadModel: BERT's layers and head, left to right.

    The logits at a place are those of the token after it.

    Args:
        config: its shape, of a BERT of any depth.
        crosses: whether its layers also read another text, as in `Seq2Seq`.
        generation: the settings with which it generates by default, if it is known which token
            starts a text.
        rngs: draws the weights.

    Raises:
        InputError: the configuration is of a DistilBERT, which transformers knows no decoder of.
    """

    def __init__(
        self,
        config: EncoderConfig,
        *,
        crosses: bool = False,
        generation: GenerationConfig | None = None,
        rngs: nnx.Rngs,
    ):
        if config.architecture != "bert":
            raise InputError(
                f"a decoder is a BERT, of any depth, and this configuration is of a "
                f"{config.architecture}: transformers has no such decoder"
            )
        super().__init__(CausalBert(config, crosses=crosses, rngs=rngs), rngs=rngs)
        self.generation = generation
