"""Fine-tuning of the students of a study: their scores on tasks are metrics like the others."""

from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from data.storage.atomic import make_folder, writing
from model.terminal import say
from report.naming import DOWNSTREAM, DOWNSTREAM_MEAN
from tasks.catalogue import find_task
from train.finetune import finetune
from train.recipes import FINETUNE
from train.studies.config import StudyConfig


def downstream_metrics(study: StudyConfig) -> list[str]:
    """The names of the metrics that `downstream_scores` returns."""
    mean = [DOWNSTREAM_MEAN] if len(study.downstream) > 1 else []
    return [*(f"{DOWNSTREAM}{task}" for task in study.downstream), *mean]


def downstream_scores(study: StudyConfig, student: Path, seed: int) -> dict[str, list[float]]:
    """`downstream_TASK` for every task of the study, of the student in a folder: all fine-tunings.

    And of each fine-tuning the mean over several tasks. Their seeds are those of no other student
    of the variant. The fine-tuned models go beside the folder of models.

    Raises:
        InputError: a task or its data cannot be used.
        Stopped: a signal asked for it; the same command resumes the fine-tuning.
    """
    scores = {}
    for task in study.downstream:
        recipe = FINETUNE[find_task(task).name]()
        rate = study.task_learning_rate or recipe.optimizer.learning_rate
        config = replace(
            recipe,
            output=student.parent.parent / "downstream" / student.name / task,
            model=str(student),
            data=study.task_data,
            optimizer=replace(recipe.optimizer, learning_rate=rate),
            epochs=study.task_epochs or recipe.epochs,
            seed=seed * study.task_seeds,
            seeds=study.task_seeds,
            tune=study.task_tune,
            run=replace(recipe.run, devices=study.base.run.devices, keep_checkpoints=1),
        )
        log = make_folder(config.output).parent / f"{task}.log"
        # All other refusals of the disk in here are InputErrors already.
        with writing(log), log.open("w", encoding="utf-8") as file, redirect_stdout(file):
            own = [result["score"] for result in finetune(config)]
        scores[f"{DOWNSTREAM}{task}"] = own
        say(f"{student.name} on {task}: {', '.join(f'{100 * score:.2f} %' for score in own)}")
    if len(scores) > 1:
        scores[DOWNSTREAM_MEAN] = [fmean(each) for each in zip(*scores.values(), strict=True)]
    return scores
