"""A server for one model: what eval.predict says, asked over HTTP, and a page to try it.

    python -m eval.serve runs/finetune-sst2/model
    python -m eval.serve runs/finetune-wnut17/model --port 8001
    python -m eval.serve assets/bert-tiny-pydocs --embed
    python -m eval.serve sentence-transformers/all-MiniLM-L6-v2 --max-length 128
    python -m eval.serve runs/finetune-squad/model --host 0.0.0.0

Then, when it says that it is ready:

    curl http://127.0.0.1:8000/predict --data '{"texts": ["a film of rare charm"]}'

Requests that come together are read together. Their address depends on the model: /predict (any
head of a task), /answer (of questions), /fill (a masked LM), /embed (an encoder), and /attention;
GET /model says which there are and what they take, /health and /metrics (for Prometheus) are for
those who operate it, and / is the page.
"""

import logging
from dataclasses import dataclass
from typing import Annotated

import tyro

from data.extras import library
from model.errors import InputError
from model.hf.checkpoint import open_checkpoint
from model.ranges import Count, Length, Range, check_settings
from model.terminal import say

NEEDED = ("uvicorn", "starlette", "prometheus_client")


@dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """Serve a model over HTTP, until SIGTERM or Ctrl-C: requests in flight are answered first."""

    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL")]
    """A folder or hub name of a BERT or DistilBERT, ours or Hugging Face's."""
    host: str = "127.0.0.1"
    """The address to listen on. By default only programs of this machine can ask; 0.0.0.0 lets
    every machine ask that reaches this one. There is no encryption and no password: put a proxy
    before it that has both."""
    port: Annotated[int, Range(0, 65535)] = 8000
    """The port to listen on; 0: any that is free."""
    embed: bool = False
    """Vectors at /embed also of a model with a head; of an encoder without one they always are."""
    max_length: Length | None = None
    """Tokens of a window, as for eval.predict. The shorter, the less is compiled at the start, and
    the less memory is needed."""
    most_waiting: Count = 256
    """Texts that may wait; what comes then is refused, with the status 429."""
    most_texts: Count = 64
    """Texts of a request, at most."""
    most_characters: Count = 20_000
    """Characters of a text, at most."""
    most_bytes: Count = 1_000_000
    """Bytes of a request, at most."""
    patience: Annotated[float, Range(0, 3600, above=True)] = 10.0
    """Seconds in which the whole request has to be there."""


def serve(config: ServeConfig) -> None:
    """Serves a model until it is told to stop.

    Raises:
        InputError: there is no such model, it can do nothing with a text, the address is taken, or
            a library is missing.
    """
    check_settings(config)
    if config.most_texts > config.most_waiting:
        raise InputError(
            f"--most-texts is {config.most_texts}: --most-waiting {config.most_waiting} are fewer"
        )
    check_libraries()
    # Only now: these need the libraries.
    from eval.serve.app import make_app
    from eval.serve.process import bound_socket, run_server
    from eval.serve.query import RequestLimits
    from eval.serve.start import about_model, open_abilities, warm_up

    # Remarks on long texts are for those who sent them.
    logging.getLogger("tasks.embeddings.embed").setLevel(logging.ERROR)

    with bound_socket(config.host, config.port) as listener:
        checkpoint = open_checkpoint(config.model)
        abilities = open_abilities(checkpoint, config.max_length, with_vectors=config.embed)
        say(f"{config.model}: compiling its programs")
        warm_up(abilities)
        limits = RequestLimits(
            body=config.most_bytes,
            texts=config.most_texts,
            characters=config.most_characters,
            seconds=config.patience,
        )
        app = make_app(abilities, about_model(checkpoint), limits, config.most_waiting)
        count = run_server(app, listener)
    say(f"stopped, after {count:,} requests")


def check_libraries() -> None:
    """Raises InputError if a library of the extra `serve` is missing."""
    for name in NEEDED:
        library(name, "serve", "eval.serve")


if __name__ == "__main__":
    from train.command.cli import main, parse

    main(lambda: serve(parse(ServeConfig, prog="python -m eval.serve", description=__doc__)))
