"""Tuning of a fine-tuning's learning rate: each is tried, and the one with the best score taken."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from model.errors import InputError
from model.terminal import say
from report.seeds import best_rate
from train.config import FinetuneConfig
from train.loop.fit import DivergedError


def tune(
    config: FinetuneConfig, run: Callable[[FinetuneConfig], list[dict[str, float]]]
) -> tuple[FinetuneConfig, Mapping[float, float | None]]:
    """The configuration with the best learning rate of `config.tune`, and the score of each.

    They are tried with a seed that the fine-tuning does not use, in a folder beside its own. One
    with which training diverges has no score.

    Raises:
        InputError: training diverges with all of them.
    """
    seed = config.seed - 1
    folder = config.output.with_name(f"{config.output.name}-tuning")
    scores: dict[float, float | None] = {}
    for rate in config.tune:
        say("", f"tuning: learning rate {rate:g}, seed {seed}")
        trial = replace(
            config,
            output=folder / f"{rate!r}",
            optimizer=replace(config.optimizer, learning_rate=rate),
            data=replace(config.data, test=None),
            seed=seed,
            seeds=1,
            tune=(),
        )
        try:
            [result] = run(trial)
            scores[rate] = result["score"]
        except DivergedError as error:
            say(f"learning rate {rate:g}: {error}")
            scores[rate] = None
    best = best_rate(scores)
    if best is None:
        least = min(config.tune)
        raise InputError(f"training diverges with all rates of --tune: give some below {least:g}")
    say("", f"the learning rate is {best:g}, which had the best score")
    optimizer = replace(config.optimizer, learning_rate=best)
    return replace(config, optimizer=optimizer, tune=()), scores
