"""Other files in the place of a model's: of other formats, or not fetched."""

from pathlib import Path

from model.errors import InputError

_POINTER = b"version https://git-lfs.github.com/spec/"
_OTHER_WEIGHTS = {
    "tf_model.h5": "weights of TensorFlow",
    "flax_model.msgpack": "weights of transformers' Flax models",
    "bert_model.ckpt.index": "a checkpoint of TensorFlow 1",
}
_ADAPTER = "adapter_config.json"


def check_fetched(file: Path) -> None:
    """Raises InputError for a pointer of Git LFS in the place of a file."""
    with file.open("rb") as content:
        if content.read(len(_POINTER)) == _POINTER:
            raise InputError(
                f"{file} is a pointer of Git LFS and not the file itself: run git lfs pull in its "
                "folder"
            )


def other_form(folder: Path) -> str | None:
    """A sentence on a model in another form, with what to do; None if none is known."""
    if (folder / _ADAPTER).is_file():
        return (
            f"{folder} holds an adapter (LoRA and the like) and no model: merge it into its base "
            "model with peft, merge_and_unload(), and save that"
        )
    for name, content in _OTHER_WEIGHTS.items():
        if (folder / name).is_file():
            return (
                f"{folder} holds {content} ({name}): convert them to model.safetensors with "
                "transformers 4, from_pretrained(..., from_tf=True or from_flax=True) and "
                "save_pretrained(...)"
            )
    for inner in sorted(folder.glob("*_Transformer")):
        if (inner / "config.json").is_file():
            return f"{folder} holds its model in {inner.name}: name {inner}"
    return None
