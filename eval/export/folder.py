"""The folder of an exported model, as transformers.js reads it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx

from data.storage.atomic import make_folder, writing
from data.tokenizer import save_vocabulary
from data.vocabulary import Vocabulary
from eval.export.quantise import write_quantised
from eval.export.runtime import FOLDER
from model.hf.temporaries import temporary_folder
from model.pretrained import settings_files


def write_folder(
    folder: Path,
    model: Any,
    vocabulary: Vocabulary,
    programs: Mapping[str, onnx.ModelProto],
    *,
    int8: bool,
) -> dict[str, list[Path]]:
    """Writes all files, or where it cannot none; the programs of an earlier export are removed.

    Args:
        folder: made if need be.
        model: whose settings lie beside the programs; its weights do not.
        vocabulary: its own.
        programs: by the names of their files, see `programs`.
        int8: whether to write them with weights of 8 bits, too.

    Returns:
        The files of each program: in float32 and, if asked for, with 8 bits.

    Raises:
        InputError: the disk refuses.
    """
    with writing(make_folder(folder), "--output"), temporary_folder(folder) as unfinished:
        made = unfinished / "export"
        length = getattr(model, "max_length", None) or model.config.max_positions
        save_vocabulary(vocabulary, made, length)
        for name, content in settings_files(model).items():
            (made / name).parent.mkdir(exist_ok=True)
            (made / name).write_text(json.dumps(content, indent=2) + "\n", "utf-8")
        (made / FOLDER).mkdir()
        files: dict[str, list[Path]] = {}
        for name, program in programs.items():
            files[name] = [Path(FOLDER, f"{name}.onnx")]
            onnx.save(program, made / files[name][0])
            if int8:
                files[name].append(Path(FOLDER, f"{name}_quantized.onnx"))
                write_quantised(program, made / files[name][1])
        for earlier in (folder / FOLDER).glob("*.onnx"):
            earlier.unlink()
        for path in sorted(made.rglob("*")):
            place = folder / path.relative_to(made)
            if path.is_file():
                place.parent.mkdir(exist_ok=True)
                path.replace(place)
    return {name: [folder / file for file in each] for name, each in files.items()}
