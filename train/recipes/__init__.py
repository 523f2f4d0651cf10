"""Recipes: named configurations, each with its purpose, its command and its expected result.

A recipe is a function, so that it has a docstring, which `--help` shows. Flags change its fields.
"""

from collections import Counter
from collections.abc import Callable, Mapping

from model.errors import InputError
from tasks.catalogue import TASKS
from train.config import (
    CausalConfig,
    CausalDistillConfig,
    DistillConfig,
    FinetuneConfig,
    FurtherConfig,
    PretrainConfig,
    TrainConfig,
)
from train.recipes import causal, distill, pretrain, small
from train.recipes.finetune import finetune_recipe

PRETRAIN: dict[str, Callable[[], PretrainConfig | FurtherConfig | CausalConfig]] = {
    "tiny-shallow": pretrain.pretrain_tiny_shallow,
    "tiny": pretrain.pretrain_tiny,
    "tiny-further": pretrain.pretrain_tiny_further,
    "small": small.pretrain_small,
    "bert-base-uncased": pretrain.pretrain_bert_base_uncased,
    "further": pretrain.pretrain_further,
    "causal": causal.pretrain_causal,
}

DISTILL: dict[str, Callable[[], DistillConfig | CausalDistillConfig]] = {
    "tiny": distill.distill_tiny,
    "small": small.distill_small,
    "distilbert-base-uncased": distill.distill_base_uncased,
    "distilbert-base-cased": distill.distill_base_cased,
    "distilbert-base-multilingual-cased": distill.distill_base_multilingual_cased,
    "wikitext-103": distill.wikitext_103,
    "tinybert-general": distill.tinybert_general,
    "minilmv2": distill.minilmv2,
    "patient-kd": distill.patient_kd,
    "causal": causal.distill_causal_tiny,
}

FINETUNE: dict[str, Callable[[], FinetuneConfig]] = {
    name: finetune_recipe(task)
    for name, task in TASKS.items()
    if task.published is None or "train" in task.published.files
}

LOOPS: dict[str, Mapping[str, Callable[[], TrainConfig]]] = {
    "pretrain": PRETRAIN,
    "distill": DISTILL,
    "finetune": FINETUNE,
}


def recipes_by_name() -> dict[str, Callable[[], TrainConfig]]:
    """All recipes, by name or, where several loops have a recipe of that name, by `loop:name`."""
    times = Counter(name for recipes in LOOPS.values() for name in recipes)
    return {
        name if times[name] == 1 else f"{loop}:{name}": recipe
        for loop, recipes in LOOPS.items()
        for name, recipe in recipes.items()
    }


def recipe_name(given: str) -> str:
    """The key of a recipe in `recipes_by_name`; `loop:name` may be given for every recipe.

    Raises:
        InputError: several loops have a recipe of this name.
    """
    loop, _, name = given.rpartition(":")
    if loop in LOOPS and given not in recipes_by_name() and name in LOOPS[loop]:
        return name
    having = [f"{loop}:{given}" for loop, recipes in LOOPS.items() if given in recipes]
    if len(having) > 1:
        raise InputError(f"there are several recipes called {given}: give {' or '.join(having)}")
    return given
