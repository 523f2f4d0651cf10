"""The recipes: each one named configuration, with what it reproduces and what to expect.

A recipe is a function so that its docstring can say so; `--help` shows it. Flags change its fields.
"""

from collections import Counter
from collections.abc import Callable, Mapping

from model.errors import InputError
from tasks.catalogue import TASKS
from train.config import DistillConfig, FinetuneConfig, PretrainConfig, TrainConfig
from train.recipes import distill, pretrain, small
from train.recipes.finetune import finetune_recipe

PRETRAIN: dict[str, Callable[[], PretrainConfig]] = {
    "tiny-shallow": pretrain.tiny_shallow,
    "tiny": pretrain.tiny,
    "tiny-further": pretrain.tiny_further,
    "small": small.pretrain_small,
    "bert-base-uncased": pretrain.bert_base_uncased,
}

DISTILL: dict[str, Callable[[], DistillConfig]] = {
    "tiny": distill.tiny,
    "small": small.distill_small,
    "distilbert-base-uncased": distill.distilbert_base_uncased,
    "distilbert-base-cased": distill.distilbert_base_cased,
    "distilbert-base-multilingual-cased": distill.distilbert_base_multilingual_cased,
    "wikitext-103": distill.wikitext_103,
    "tinybert-general": distill.tinybert_general,
    "minilmv2": distill.minilmv2,
    "patient-kd": distill.patient_kd,
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
    """All recipes: by their name or, where several loops have one so called, `loop:name`."""
    times = Counter(name for recipes in LOOPS.values() for name in recipes)
    return {
        name if times[name] == 1 else f"{loop}:{name}": recipe
        for loop, recipes in LOOPS.items()
        for name, recipe in recipes.items()
    }


def recipe_name(given: str) -> str:
    """The name under which `recipes_by_name` has a recipe; `loop:name` is taken for any.

    Raises:
        InputError: several loops have a recipe so called.
    """
    loop, _, name = given.rpartition(":")
    if loop in LOOPS and given not in recipes_by_name() and name in LOOPS[loop]:
        return name
    having = [f"{loop}:{given}" for loop, recipes in LOOPS.items() if given in recipes]
    if len(having) > 1:
        raise InputError(f"there are several recipes called {given}: say {' or '.join(having)}")
    return given
