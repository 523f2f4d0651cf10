"""A model as a program of ONNX, to be run without Python: in browsers, servers and phones.

    python -m eval.export runs/finetune-sst2/model --onnx
    python -m eval.export runs/finetune-sst2/model --onnx --int8 --output my-model
    python -m eval.run my-model/onnx/model_quantized.onnx --task sst2

It leaves a folder as transformers.js reads it: onnx/model.onnx (float32) and, with --int8,
onnx/model_quantized.onnx, beside config.json and the tokenizer. Batch and length are of any size.
The program is compared with the model on random tokens. What 8 bits cost, a task tells: eval.run
scores both files. `pip install -c constraints.txt -e '.[onnx]'` brings what this needs.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from data.extras import library
from data.storage.mirror import on_disk
from eval.predict import open_model
from eval.run import model_in_names
from model.errors import InputError
from model.ranges import check_settings
from model.terminal import say


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """Write a model as a program of ONNX, with its tokenizer and settings."""

    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL")]
    """A folder or hub name of a BERT or DistilBERT, with any head or none."""
    onnx: bool = False
    """The format, of which there is one: ONNX, opset 20."""
    int8: bool = False
    """Also write it with weights of 8 bits: a quarter of the size."""
    output: Path | None = None
    """The folder; by default runs/onnx-MODEL."""


def export_onnx(config: ExportConfig) -> dict[str, list[Path]]:
    """Writes the folder, prints each program's size and its difference from the model.

    Returns:
        The files of each program, as `write_folder` has it.

    Raises:
        InputError: a library is missing, there is no such model, it has no tokenizer, or the disk
            refuses.
    """
    check_settings(config)
    if not config.onnx:
        raise InputError("give --onnx, the format to write; --int8 adds a file of 8 bits to it")
    library("onnx", "onnx", "--onnx")
    library("onnxruntime", "onnx", "--onnx")
    from eval.export.check import compare_program  # this and the others import onnx
    from eval.export.folder import write_folder
    from eval.export.programs import DECODER, programs

    folder = on_disk(
        config.output or Path(f"runs/onnx-{model_in_names(config.model)}"), "an export"
    )
    if folder.exists() and folder.samefile(Path(config.model).expanduser()):
        raise InputError("--output is the folder of the model itself: name another")
    model, vocabulary = open_model(config.model)
    say(*vocabulary.check_rows(model.config.vocab_size, config.model))
    made = write_folder(folder, model, vocabulary, programs(model), int8=config.int8)
    for name, files in made.items():
        for file in files:
            line = f"{file}: {file.stat().st_size / 1e6:.1f} MB"
            if name != DECODER:
                found = compare_program(getattr(model, "encoder", model), file)
                line += f", differs from the model by at most {found.largest:.1g}"
                line += f" (its numbers are up to {found.scale:.3g})"
            say(line)
    return made


if __name__ == "__main__":
    from train.command.cli import main, parse

    main(
        lambda: export_onnx(parse(ExportConfig, prog="python -m eval.export", description=__doc__))
    )
