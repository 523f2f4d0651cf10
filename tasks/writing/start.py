"""The start of a model that writes: its decoder, from an encoder's layers or from nothing."""

from flax import nnx

from model.config import EncoderConfig
from model.decoder.causal_lm import CausalLM
from model.decoder.seq2seq import Seq2Seq
from model.decoder.start import decoder_from
from model.hf.checkpoint import Checkpoint
from model.hf.weight_map import ENCODERS
from model.pretrained import load
from model.tasks import MaskedLM, backbone


def new_seq2seq(
    config: EncoderConfig,
    checkpoint: Checkpoint | None,
    decoder_layers: str | None,
    decoder_depth: int | None,
    *,
    rngs: nnx.Rngs,
) -> Seq2Seq:
    """An encoder with random weights, and a decoder that starts as its checkpoint does.

    Args:
        config: of the encoder, whose weights are the caller's to copy.
        checkpoint: the encoder's, with a masked-LM head or without, whose layers, embeddings and
            head the decoder gets (Rothe et al. 2020); None: its weights are random.
        decoder_layers: those layers, see `model.student.choose_layers`; None: all.
        decoder_depth: layers of a decoder with random weights; None: as many as the encoder has.
        rngs: draws all other weights.

    Raises:
        InputError: the checkpoint has no such layers.
    """
    encoder = backbone(config, pooler=config.architecture == "bert", rngs=rngs)
    if checkpoint is None:
        shape = config.replace(
            architecture="bert",
            num_layers=decoder_depth or config.num_layers,
            type_vocab_size=config.type_vocab_size or 1,
            labels=(),
        )
        return Seq2Seq(encoder, CausalLM(shape, crosses=True, rngs=rngs), rngs=rngs)
    has_head = checkpoint.has_head(MaskedLM)
    source = load(
        checkpoint,
        MaskedLM if has_head else ENCODERS[checkpoint.config.architecture],
        dtype=config.dtype,
    )
    decoder = decoder_from(source, crosses=True, layers=decoder_layers or "all", rngs=rngs)
    return Seq2Seq(encoder, decoder, rngs=rngs)
