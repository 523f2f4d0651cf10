"""A model and its card, uploaded to the Hugging Face hub.

    python -m train.share runs/distill-tiny/model user/name --dry-run
    python -m train.share runs/distill-tiny/model user/name --license apache-2.0 --language en
    python -m train.share runs/finetune-sst2/model user/name --public

A dry run shows every file and the card, and sends nothing. The repository is private unless
--public is given. It needs a token that may write: hf auth login, or HF_TOKEN.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import huggingface_hub
import tyro
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
)
from huggingface_hub.utils import disable_progress_bars, validate_repo_id
from rich.console import Console

from model.errors import InputError, first_line
from model.hf.card import CARD_FILE, of_hub, plain_card
from model.hf.checkpoint import open_checkpoint
from model.pretrained import load
from model.ranges import check_settings
from model.terminal import say
from report.card import parse_card, read_card
from report.tables import terminal_table

SECONDS_TO_ANSWER = 20


@dataclass(frozen=True)
class ShareConfig:
    """Upload a model's folder to the hub, as a private repository."""

    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FOLDER")]
    """The folder of a model: `model` in a run's folder."""
    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME")]
    """The repository, `user/name` or `organisation/name`; it is made if there is none."""
    public: bool = False
    """Let everybody see it."""
    dry_run: bool = False
    """Show what would be uploaded, and upload nothing."""
    license: str | None = None
    """The licence of the model for its card, such as apache-2.0; by default what the card says."""
    language: str | None = None
    """The language of its texts for the card, such as en; by default what the card says."""


def share(config: ShareConfig) -> None:
    """Uploads the files of a folder in one commit, or shows them.

    Raises:
        InputError: the folder holds no model, the name is none, or the hub refuses or is not there.
    """
    check_settings(config)
    folder = config.folder.expanduser()
    _check_name(config.name)
    card = _card(folder, config)
    files = {str(path.relative_to(folder)): path for path in _files(folder)}
    sizes = {name: path.stat().st_size for name, path in files.items()}
    sizes[CARD_FILE] = len(card.encode())
    lines = [[name, f"{size:,}"] for name, size in sorted(sizes.items())]
    lines.append(["together", f"{sum(sizes.values()):,}"])
    access = "public" if config.public else "private"
    title = f"{config.name}, {access}"
    Console(highlight=False, markup=False).print(terminal_table(title, ["", "bytes"], lines))
    if config.dry_run:
        say(f"{CARD_FILE} would be:", "", *card.split("\n"), "nothing was uploaded (--dry-run)")
        return
    content = {**files, CARD_FILE: card.encode()}
    with _explained(config.name):
        address = _upload(config, content)
    say(f"uploaded: {address}")


def _check_name(name: str) -> None:
    try:
        validate_repo_id(name)
        if "/" not in name:
            raise HFValidationError("no owner")
    except HFValidationError:
        raise InputError(
            f"NAME is {name!r}: give user/name, in letters, digits, dots, dashes and underscores"
        ) from None


def _card(folder: Path, config: ShareConfig) -> str:
    """The card to upload, once all of the model has been read."""
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder here: name that of a model, RUN/model say")
    model = load(open_checkpoint(folder))
    card = read_card(folder / CARD_FILE)
    if card is None:
        card = parse_card(plain_card(model))
    card.data.license = config.license or card.data.license
    card.data.language = config.language or card.data.language
    return of_hub(f"---\n{card.data.to_yaml()}\n---\n{card.text}", config.name)


def _files(folder: Path) -> list[Path]:
    """All files but hidden ones, which programs leave for themselves."""
    return [
        path
        for path in folder.rglob("*")
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def _upload(config: ShareConfig, content: dict[str, Path | bytes]) -> str:
    if huggingface_hub.get_token() is None:
        raise InputError(
            "there is no token for the hub here: log in with hf auth login, or set HF_TOKEN to one "
            "that may write"
        )
    if not sys.stderr.isatty():
        disable_progress_bars()
    api = HfApi()
    try:
        there = api.repo_info(config.name, timeout=SECONDS_TO_ANSWER)
    except RepositoryNotFoundError as error:
        if error.response.status_code == 401:
            raise
        api.create_repo(config.name, private=not config.public)
    else:
        if there.private is not True and not config.public:
            raise InputError(
                f"{config.name} is there, and public: add --public, or give another name"
            )
    operations = [CommitOperationAdd(name, file) for name, file in sorted(content.items())]
    commit = api.create_commit(config.name, operations, commit_message="Upload the model")
    return str(commit.repo_url)


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turns errors of the hub's client into one sentence."""
    try:
        yield
    except InputError:
        raise
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status == 401:
            reason = (
                "the hub does not know the token (HF_TOKEN, or that of hf auth login): make "
                "another that may write"
            )
        elif status == 403:
            reason = "this token may not write there: name a repository of yours, or another token"
        else:
            reason = f"the hub refuses ({first_line(error)})"
        raise InputError(f"{name} was not uploaded: {reason}") from None
    except Exception as error:  # whatever the HTTP client beneath the library raises
        raise InputError(
            f"{name} was not uploaded: the hub cannot be reached ({first_line(error)}); is there a "
            "network?"
        ) from None


if __name__ == "__main__":
    from train.command.cli import main, parse

    main(lambda: share(parse(ShareConfig, prog="python -m train.share", description=__doc__)))
