"""Reads and writes models as transformers stores them: `config.json` and `model.safetensors`.

    model = load("runs/distill/model")                      # what its config.json says it is
    model = load("distilbert-base-uncased", MaskedLM, dtype="bfloat16")
    model = load("bert-base-uncased", SequenceClassification, labels=("no", "yes"),
                 init_missing=nnx.Rngs(0))
    save(model, "my-model")

No torch is needed, but for old checkpoints that have only a `pytorch_model.bin`.
"""

from pathlib import Path
from typing import Any, Literal, TypeVar

from flax import nnx

from model.decoder.causal_lm import CausalLM
from model.decoder.seq2seq import Seq2Seq
from model.errors import InputError
from model.hf.card import CARD_FILE, is_ours, plain_card
from model.hf.checkpoint import Checkpoint, open_checkpoint
from model.hf.config import is_decoder, write_config
from model.hf.documents import document_tensors, load_documents
from model.hf.encoder_decoder import write_seq2seq_config
from model.hf.files import CONFIG_FILE, DOCUMENT_FILE, write_model
from model.hf.generation import generation_files
from model.hf.sentence_transformers import embedder_files
from model.hf.sides import load_seq2seq, seq2seq_tensors
from model.hf.tensors import load_part, tensors_of
from model.hf.weight_map import ENCODERS
from model.tasks import DocumentClassification, Embedder

Model = TypeVar("Model", bound=nnx.Module)


def load(
    checkpoint: str | Path | Checkpoint,
    task: type[Model] | None = None,
    *,
    init_missing: nnx.Rngs | None = None,
    **changes: Any,
) -> Model:
    """A model with the weights of a checkpoint, in float32 whatever they are stored in.

    Every parameter gets a tensor, and every tensor of the encoder goes to a parameter. Heads that
    `task` does not have are left out, and other tensors beside the encoder too, with a warning. A
    `Bert` has a pooler if the checkpoint has one. An `Embedder` pools as the checkpoint's files of
    sentence-transformers say, and by the mean, with a warning, if there are none. A `CausalLM` or
    `Seq2Seq` generates as the checkpoint's generation_config.json says, if there is one.

    Args:
        checkpoint: an open one, a folder, or a name on the Hugging Face hub, `owner/name` or
            `owner/name@revision`.
        task: the class to make, of model.tasks or `Bert` or `DistilBert`; by default what the
            checkpoint says it is.
        init_missing: draws the weights of a head (or pooler) that the checkpoint does not have, or
            has for another number of labels, and a warning says so. Without it that is an error.
        changes: fields of `EncoderConfig` to change, such as `dtype` or `labels`.

    Raises:
        InputError: no such checkpoint, it cannot be read, is of another model, or does not fit;
            the message names tensors that are missing, unknown, of a wrong shape or not finite.
    """
    if not isinstance(checkpoint, Checkpoint):
        checkpoint = open_checkpoint(checkpoint)
    kind: type[Any] = task or checkpoint.model_class()
    _check_direction(checkpoint, kind)
    if kind is Seq2Seq:
        return load_seq2seq(checkpoint, changes)  # type: ignore[return-value]
    if kind is Embedder:
        encoder = ENCODERS[checkpoint.config.architecture]
        encoder = load(checkpoint, encoder, init_missing=init_missing, **changes)
        return Embedder(encoder, **checkpoint.read_embedder()._asdict())  # type: ignore[return-value]
    if kind is DocumentClassification:
        return load_documents(checkpoint, changes)  # type: ignore[return-value]
    options = {"generation": checkpoint.read_generation()} if kind is CausalLM else {}
    return load_part(checkpoint, kind, checkpoint.read_tensors(), changes, init_missing, **options)


def _check_direction(checkpoint: Checkpoint, kind: type[Any]) -> None:
    """Raises InputError for a model that reads text in another way than its checkpoint did."""
    name = checkpoint.name
    if (checkpoint.decoder is not None) != (kind is Seq2Seq):
        raise InputError(
            f"{name} is an encoder with a decoder, which writes texts, and no {kind.__name__}: "
            f"name another model, or load it as {Seq2Seq.__name__}"
            if checkpoint.decoder is not None
            else f"{name} has no decoder, which a {Seq2Seq.__name__} needs"
        )
    if kind is CausalLM and checkpoint.config.architecture != "bert":
        raise InputError(
            f"{name} is a {checkpoint.config.architecture}, and a decoder is a BERT, of any depth"
        )
    if kind is not Seq2Seq and is_decoder(checkpoint.settings) != (kind is CausalLM):
        raise InputError(
            f"{name} reads from left to right, and a {kind.__name__} would read both sides"
            if is_decoder(checkpoint.settings)
            else f"{name} reads both sides of a token, and a {CausalLM.__name__} from left to "
            "right: start one from its layers (model.decoder.start.decoder_from), and train it"
        )


def save(
    model: nnx.Module, path: str | Path, *, dtype: Literal["float32", "float16"] = "float32"
) -> None:
    """Writes a folder that transformers (and `load`) reads; other files in it stay as they are.

    A short model card (README.md) is among them, where the folder has none of somebody else.

    As transformers does, tensors that are tied to another are left out. `dtype` is what weights are
    stored in: float16 halves the file and costs up to 0.05 % of a weight. The folder of an
    `Embedder` is one of sentence-transformers, and a bare encoder to transformers; so is that of a
    `DocumentClassification`, with a document.safetensors for what is behind the encoder.

    Raises:
        InputError: transformers has no such model, or the folder cannot be written (a full disk, no
            permission): then nothing is left of the attempt.
    """
    settings = settings_files(model, dtype)
    content = settings.pop(CONFIG_FILE)
    beside = {}
    if isinstance(model, Seq2Seq):
        tensors = seq2seq_tensors(model, dtype)
    elif isinstance(model, DocumentClassification):
        tensors = tensors_of(model.backbone, dtype)
        beside = {DOCUMENT_FILE: document_tensors(model, dtype)}
    else:
        tensors = tensors_of(model, dtype)
    folder = Path(path).expanduser()
    card = {CARD_FILE: plain_card(model)} if is_ours(folder) else {}
    write_model(folder, content, tensors, {**settings, **card}, beside)


def settings_files(
    model: nnx.Module, dtype: Literal["float32", "float16"] = "float32"
) -> dict[str, Any]:
    """The JSON files in a model's folder, by path: config.json first, and those beside it.

    Raises:
        InputError: transformers has no such model.
    """
    if isinstance(model, Seq2Seq):
        files = {CONFIG_FILE: write_seq2seq_config(model, dtype)}
        return files | generation_files(model.generation, has_source=True)
    files = {CONFIG_FILE: write_config(model.config, type(model), dtype)}  # type: ignore[attr-defined]
    if isinstance(model, Embedder):
        files |= embedder_files(model)
    elif isinstance(model, CausalLM):
        files |= generation_files(model.generation, has_source=False)
    return files
