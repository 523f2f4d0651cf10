"""Names of the metrics of training and evaluation in print, and how their values are written."""

import math
from collections.abc import Iterable
from typing import Any

from tasks.catalogue import TASKS
from tasks.kinds import KINDS

# Others appear under their own names.
NAMES = {
    "loss": "training loss (weighted sum)",
    "mlm": "masked LM (nats a token)",
    "next_token": "next token (nats a token)",
    "ce": "T² KL to teacher (nats a token)",
    "cos": "cosine distance of hidden states",
    "mse": "squared error of logits (sum)",
    "reverse_kl": "T² reverse KL to teacher (nats a token)",
    "js": "T² Jensen-Shannon divergence from teacher (nats a token)",
    "hidden": "squared error of hidden states",
    "cka": "1 − CKA of hidden states",
    "procrustes": "Procrustes distance of hidden states",
    "embeddings": "squared error of embeddings",
    "attention": "squared error of attention scores",
    "relations": "KL of query, key and value relations (nats a token)",
    "learning_rate": "learning rate",
    "grad_norm": "gradient norm",
    "clipped": "share of updates clipped",
    "tokens_per_second": "tokens/s",
    "masked_lm_loss": "masked-LM loss (nats)",
    "masked_lm_accuracy": "masked-LM accuracy",
    "other_masked_lm_loss": "masked-LM loss on the other text (nats)",
    "other_masked_lm_accuracy": "masked-LM accuracy on the other text",
    "training_masks_loss": "masked-LM loss on the masks of training (nats)",
    "training_masks_accuracy": "masked-LM accuracy on the masks of training",
    "training_masks_kl": "KL to teacher on the masks of training (nats)",
    "training_masks_agreement": "top-1 agreement with teacher on the masks of training",
    "next_token_loss": "next-token loss (nats)",
    "next_token_accuracy": "next-token accuracy",
    "perplexity": "perplexity",
    "calibration_error": "calibration error",
    "pseudo_perplexity": "pseudo-perplexity",
    "exp_masked_lm_loss": "exp(masked-LM loss)",
    "kl_to_teacher": "KL to teacher (nats)",
    "top1_agreement": "top-1 agreement with teacher",
    "hidden_cosine": "cosine of hidden states",
    "task": "loss on the labels",
    "soft": "loss against the teacher",
    "score": "score (mean of the task's metrics)",
}
NAMES |= {name: title for kind in KINDS.values() for name, title in kind.titles.items()}
# Of `eval.perplexity`, beside each perplexity.
NAMES |= {
    f"{name}_bits": "bits a character"
    for name in ("perplexity", "pseudo_perplexity", "exp_masked_lm_loss")
}
# The held-out metrics of a student without a vocabulary head.
NAMES |= {
    f"heldout_{term}": f"held out: {NAMES[term]}"
    for term in ("cos", "hidden", "cka", "procrustes", "embeddings", "attention", "relations")
}
SHARES = {
    *("masked_lm_accuracy", "other_masked_lm_accuracy", "next_token_accuracy"),
    *("training_masks_accuracy", "training_masks_agreement"),
    *("calibration_error", "top1_agreement", "clipped", "score"),
    *(name for kind in KINDS.values() for name in kind.titles if name not in kind.unscaled),
}
FLOORS = {
    **dict.fromkeys(("masked_lm_loss", "next_token_loss"), "unigram_loss"),
    **dict.fromkeys(("masked_lm_accuracy", "next_token_accuracy"), "unigram_accuracy"),
    "training_masks_loss": "training_masks_unigram_loss",
    "training_masks_accuracy": "training_masks_unigram_accuracy",
}


def in_tables(names: Iterable[str]) -> list[str]:
    """Those of a task's metrics that tables and pictures show.

    Not `collapsed`, which gets a sentence, nor the score if it is the mean of a single metric.
    """
    rest = [name for name in names if name != "collapsed"]
    return [name for name in rest if name != "score"] if len(rest) == 2 else rest


def in_full(task_metrics: Iterable[str], names: Iterable[str]) -> list[str]:
    """Those of a split's metrics that tables show: the task's, then those of its breakdown."""
    own = ("score", *task_metrics)
    return [*in_tables(own), *(name for name in names if name not in (*own, "collapsed"))]


def by_name(metrics: Iterable[str]) -> list[str]:
    """The metrics in the order of NAMES, and those without a name after them."""
    order = list(NAMES)
    return sorted(metrics, key=lambda name: order.index(name) if name in NAMES else len(order))


LOSS, DOWNSTREAM = "loss_", "downstream_"
DOWNSTREAM_MEAN = f"{DOWNSTREAM}mean"
CLIPPED, AGREEMENT = "clipped_share", "top1_agreement"
MINUS = "−"


def label(metric: str) -> str:
    """The name of a metric, with its unit where it has one."""
    if metric == CLIPPED:
        return NAMES["clipped"]
    if metric in NAMES:
        return NAMES[metric]
    if metric.startswith(LOSS):
        return NAMES.get(metric.removeprefix(LOSS), metric.removeprefix(LOSS))
    if metric == DOWNSTREAM_MEAN:
        return "mean development score of the tasks"
    if metric.startswith(DOWNSTREAM):
        task = metric.removeprefix(DOWNSTREAM)
        return f"{TASKS[task].title if task in TASKS else task}, development score"
    return metric


def noun(metric: str) -> str:
    """The name of a metric inside a sentence, without its unit."""
    return label(metric).split(" (")[0]


def is_share(metric: str) -> bool:
    """True for values between 0 and 1, which are shown as per cent."""
    return metric in SHARES or metric == CLIPPED or metric.startswith(DOWNSTREAM)


def scale(metric: str) -> tuple[float, str]:
    """The factor of differences in print and their unit: "points", "nats" or ""."""
    if is_share(metric):
        return 100.0, "points"
    return 1.0, "nats" if "(nats" in label(metric) else ""


def written(metric: str, number: float | None, *, decimals: int = 1) -> str:
    """The value of a metric: "24.2 %", of a share, with `decimals`; "5.210"; "" for None."""
    if number is None:
        return ""
    if is_share(metric):
        text = f"{100 * number:.{decimals}f} %"
    elif 0 < abs(number) < 0.01:
        text = f"{number:.2g}"
    else:
        text = f"{number:,.3f}" if abs(number) < 100 else f"{number:,.0f}"
    return text.replace("-", MINUS)


def with_interval(metric: str, number: float | None, half: float | None) -> str:
    """A value with half its interval: "93.1 % ± 2.9"; "0.512 ± 0.031"; "" for None."""
    if number is None or half is None:
        return written(metric, number)
    factor = 100 if is_share(metric) else 1
    digits = digits_to_show(factor * half, 1 if factor == 100 else 3)
    return f"{written(metric, number, decimals=digits)} ± {factor * half:.{digits}f}"


def difference(metric: str, number: float, half: float | None = None, *, unit: bool = True) -> str:
    """A difference with its interval: "−3.41 ± 0.31 points"."""
    factor, name = scale(metric)
    digits = digits_to_show(factor * (half or 0), 2 if factor == 100 else 3)
    text = f"{factor * number:+.{digits}f}".replace("-", MINUS)
    if half is not None:
        text += f" ± {factor * half:.{digits}f}"
    return f"{text} {name}" if unit and name else text


def width(metric: str, number: float) -> str:
    """A size of differences, above zero: "0.31 points"."""
    factor, name = scale(metric)
    digits = digits_to_show(factor * number, 2 if factor == 100 else 3)
    return f"{factor * number:.{digits}f} {name}".strip()


def digits_to_show(half: float, decimals: int) -> int:
    """Decimals that show two digits of half an interval, and not fewer than `decimals`."""
    return max(decimals, 1 - math.floor(math.log10(half))) if half > 0 else decimals


def as_text(value: Any) -> str:
    """A setting in print; "" for None."""
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return " to ".join(map(as_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def probability(p: float | None) -> str:
    """A p value: "0.012", "< 0.001"; "" where there is none."""
    if p is None:
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def capital(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]
