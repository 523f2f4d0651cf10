"""Recipes of train.finetune, one for each task."""

from collections.abc import Callable
from pathlib import Path

from report.tables import listed
from tasks.task import Task
from train.config import FinetuneConfig
from train.update.optimizer import OptimizerConfig


def finetune_recipe(task: Task) -> Callable[[], FinetuneConfig]:
    """The recipe of a task: its hyper-parameters, with the optimizer of Devlin et al. 2019."""

    def recipe() -> FinetuneConfig:
        return FinetuneConfig(
            output=Path(f"runs/finetune-{task.name}"),
            task=task.name,
            model="distilbert/distilbert-base-uncased",
            optimizer=OptimizerConfig(
                learning_rate=task.learning_rate,
                warmup_share=0.1,
                beta2=0.999,
                epsilon=1e-8,
                weight_decay=0.01,
                clip_norm=1.0,
            ),
            batch_size=task.batch_size,
            epochs=task.epochs,
            seed=1,
        )

    rows = f"rows of {task.kind.row}; " if task.own_files else ""
    metrics = listed([task.kind.titles.get(name, name) for name in task.metrics])
    recipe.__doc__ = f"""{task.title}: {rows}{metrics}.

    Fine-tuning with settings of Devlin et al. 2019: {task.batch_size} examples an update,
    {task.epochs:g} epochs; the learning rate rises to {task.learning_rate:g} over 10 % of them and
    falls to 0; weight decay 0.01. This is as in their section 4 and appendix A.3, also for tasks
    that they do not have. The settings of the DistilBERT paper are unpublished.

        python -m train.finetune {task.name} --model MODEL
    """
    return recipe
