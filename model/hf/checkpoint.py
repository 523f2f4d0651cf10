"""A checkpoint, opened once: looked up, its config.json read, its tensors read when asked for."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from model.config import EncoderConfig
from model.decoder.seq2seq import Seq2Seq
from model.decoder.settings import GenerationConfig
from model.errors import InputError
from model.hf.config import encoder_config, read_settings
from model.hf.encoder_decoder import has_sides, seq2seq_configs, side_settings
from model.hf.files import (
    CONFIG_FILE,
    DOCUMENT_FILE,
    WEIGHTS_FILE,
    Tensors,
    hub_folder,
    read_tensors,
)
from model.hf.generation import GENERATION_FILE, read_generation
from model.hf.lookalikes import other_form
from model.hf.sentence_transformers import (
    EMBEDDER_FILES,
    MODULES_FILE,
    EmbedderSettings,
    encoder_folder,
    read_embedder,
)
from model.hf.weight_map import ENCODERS, MODEL_CLASSES, class_name
from model.tasks import DocumentClassification, Embedder


@dataclass(frozen=True)
class Checkpoint:
    """A folder with a model, or one commit of a model on the Hugging Face hub."""

    name: str
    """The name that it was opened by, for messages."""
    folder: Path
    """Of config.json and weights; for a name on the hub a folder of its cache."""
    commit: str | None
    """`owner/name@commit` for a name on the hub."""
    settings: dict[str, Any]
    """The content of its config.json."""
    config: EncoderConfig
    """Of the model, or of the encoder of a model with two sides."""
    root: Path
    """The folder itself: older versions of sentence-transformers put the encoder inside it."""
    decoder: EncoderConfig | None = None
    """Of the decoder of a model with two sides."""

    @property
    def place(self) -> str:
        """A name for these very files: opening it again needs no look-up on the hub."""
        return self.commit or str(self.folder)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of transformers that config.json names under `architectures`."""
        return tuple(self.settings.get("architectures", ()))

    def has_head(self, head: type[Any]) -> bool:
        """True if the checkpoint calls itself a model of this class."""
        if head is Seq2Seq or self.decoder is not None:
            return (head is Seq2Seq) == (self.decoder is not None)
        if head is DocumentClassification:
            return bool(self.classes) and self.model_class() is head
        return class_name(head, self.config.architecture) in self.classes

    def model_class(self) -> type[Any]:
        """The class here for what the checkpoint calls itself.

        An encoder with a modules.json, of sentence-transformers, is an `Embedder`; one with a
        document.safetensors is that of a `DocumentClassification`.

        Raises:
            InputError: it names none that is known.
        """
        if self.decoder is not None:
            return Seq2Seq
        known = MODEL_CLASSES[self.config.architecture]
        embeds = (self.root / MODULES_FILE).is_file()
        for name in self.classes:
            if name in known:
                found = known[name][0]
                if found not in ENCODERS.values():
                    return found
                if (self.folder / DOCUMENT_FILE).is_file():
                    return DocumentClassification
                return Embedder if embeds else found
        raise InputError(
            f"{self.folder / CONFIG_FILE} names {' and '.join(self.classes) or 'no class'} under "
            f"architectures, which is none of {', '.join(known)}: say which model to load it as"
        )

    def read_embedder(self) -> EmbedderSettings:
        """The settings of an embedder, see `model.hf.sentence_transformers.read_embedder`."""
        return read_embedder(self.root, self.folder, self.config.max_positions)

    def read_generation(self) -> GenerationConfig | None:
        """The settings of generation, see `model.hf.generation.read_generation`."""
        return read_generation(self.folder, self.settings)

    def side(self, name: str) -> "Checkpoint":
        """The `encoder` or the `decoder` of a model with two sides, without its tensors."""
        config = self.config if name == "encoder" else self.decoder
        assert config is not None
        settings = side_settings(self.settings, name, self.folder / CONFIG_FILE)
        return replace(
            self,
            name=f"the {name} of {self.name}",
            settings=settings,
            config=config,
            decoder=None,
        )

    def read_tensors(self) -> Tensors:
        """All tensors, from safetensors where there are both kinds of files.

        Raises:
            InputError: there are none, or a file cannot be fetched or is damaged.
        """
        for weights in ("model{}.safetensors", "pytorch_model{}.bin"):
            file, shards = weights.format(""), weights.format("-*-of-*")
            files = [file, f"{file}.index.json"]
            if self.commit:
                hub_folder(self.commit, [*files, shards], absent=f"{self.name} is not here")
            for path in (self.folder / name for name in files):
                if path.is_file():
                    return read_tensors(path)
        raise _no_model(self.name, self.folder)


def open_checkpoint(name: str | Path) -> Checkpoint:
    """The checkpoint in a folder or of a name on the hub, `owner/name` or `owner/name@revision`.

    Raises:
        InputError: neither a folder with a model nor a name that the hub knows, no network, or its
            config.json is of another model.
    """
    folder, commit = Path(name).expanduser(), None
    if folder.is_file():
        raise InputError(
            f"{folder} is a file: name the folder with {CONFIG_FILE} and {WEIGHTS_FILE}"
        )
    if not folder.exists():
        absent = f"{name}: there is no such folder here"
        folder = hub_folder(
            str(name), [CONFIG_FILE, GENERATION_FILE, *EMBEDDER_FILES], absent=absent
        )
        commit = f"{str(name).partition('@')[0]}@{folder.name}"
    root, folder = folder, encoder_folder(folder)
    if commit and folder != root:
        raise InputError(
            f"{name} holds its model in {folder.name}, and is on the hub: download it, with hf "
            f"download {commit.partition('@')[0]} --local-dir FOLDER, and name that folder"
        )
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise _no_model(str(name), folder)
    # Null is what an absent key says, too.
    settings = {key: value for key, value in read_settings(path).items() if value is not None}
    decoder = None
    if has_sides(settings):
        config, decoder = seq2seq_configs(settings, path)
    else:
        config = encoder_config(settings, path)
    return Checkpoint(str(name), folder, commit, settings, config, root, decoder)


def _no_model(name: str, folder: Path) -> InputError:
    return InputError(
        other_form(folder) or f"{name} holds no model: that takes {CONFIG_FILE} and {WEIGHTS_FILE}"
    )
