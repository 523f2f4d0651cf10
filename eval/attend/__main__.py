"""Attention maps of a model for a text, and of its teacher beside it, as a picture and as a page.

    python -m eval.attend assets/bert-tiny-pydocs "Return the number of items in a list."
    python -m eval.attend STUDENT "the cat sat on the mat" --teacher TEACHER --output maps

All layers and heads, counted from 0. A map has a row for each token, which shows how the token
divides its attention among the columns: every row adds up to 1. Writes attention.png, and
attention.html, which any browser shows without a server or a network: there a map that is chosen
is enlarged, with its tokens and numbers.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from data.storage.atomic import check_folder, make_folder, write_text
from data.tokenizer import load_vocabulary
from eval.attend.maps import AttentionMaps, attention_maps, encode_text
from eval.attend.page import attention_page
from model.hf.checkpoint import open_checkpoint
from model.ranges import check_settings
from model.terminal import say


@dataclass(frozen=True)
class AttendConfig:
    """Draw the attention maps of a model, in float32."""

    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL")]
    """A folder or hub name of a BERT, a DistilBERT or a decoder, with any head or none."""
    text: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="TEXT")]
    """The text to read, which is put between [CLS] and [SEP]."""
    teacher: str | None = None
    """A model of the same vocabulary, whose maps are drawn beside the model's."""
    output: Path = Path("attention")
    """The folder of attention.png and attention.html."""


def show_attention(config: AttendConfig) -> list[AttentionMaps]:
    """Computes, draws and writes the maps; returns those of the model, then the teacher's.

    Raises:
        InputError: a model reads no text alone or has no tokenizer or another vocabulary, the text
            is empty or longer than a model's positions, or the disk refuses.
    """
    check_settings(config)
    check_folder(config.output)
    names = [config.model, *([config.teacher] if config.teacher else [])]
    checkpoints = [open_checkpoint(name) for name in names]
    vocabularies = [load_vocabulary(each.place) for each in checkpoints]
    vocabularies[0].check_teacher(vocabularies[-1])
    ids = encode_text(vocabularies[0], config.text, checkpoints)
    tokens = tuple(vocabularies[0].pieces[index] for index in ids)
    models = [AttentionMaps(each.name, tokens, attention_maps(each, ids)) for each in checkpoints]
    make_folder(config.output)
    picture, page = (config.output / f"attention.{suffix}" for suffix in ("png", "html"))
    from eval.attend.picture import draw_attention  # matplotlib takes a second to import

    draw_attention(picture, config.text, models)
    write_text(page, attention_page(config.text, models))
    say(f"{len(tokens)} tokens: {picture}, {page}")
    return models


if __name__ == "__main__":
    from train.command.cli import main, parse

    main(
        lambda: show_attention(
            parse(AttendConfig, prog="python -m eval.attend", description=__doc__)
        )
    )
