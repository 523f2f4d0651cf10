"""What the metrics of a study are called in print, and how values and differences are written."""

from data.tasks import TASKS
from eval.naming import NAMES, SHARES

LOSS, DOWNSTREAM = "loss_", "downstream_"
CLIPPED, AGREEMENT = "clipped_share", "top1_agreement"
MINUS = "−"


def label(metric: str) -> str:
    """The name of a metric, with its unit where it has one."""
    if metric == CLIPPED:
        return NAMES["clipped"]
    if metric.startswith(LOSS):
        return NAMES.get(metric.removeprefix(LOSS), metric.removeprefix(LOSS))
    if metric.startswith(DOWNSTREAM):
        task = metric.removeprefix(DOWNSTREAM)
        return f"{TASKS[task].title if task in TASKS else task}, development score"
    return NAMES.get(metric, metric)


def noun(metric: str) -> str:
    """What a metric is called inside a sentence: its name without the unit."""
    return label(metric).split(" (")[0]


def is_share(metric: str) -> bool:
    """Whether values lie between 0 and 1 and are shown as per cent."""
    return metric in SHARES or metric == CLIPPED or metric.startswith(DOWNSTREAM)


def scale(metric: str) -> tuple[float, str]:
    """What differences are multiplied with in print, and their unit: "points", "nats" or none."""
    if is_share(metric):
        return 100.0, "points"
    return 1.0, "nats" if "(nats" in label(metric) else ""


def value(metric: str, number: float | None) -> str:
    """A value in full: "24.18 %", "5.210"; "" where there is none."""
    if number is None:
        return ""
    if is_share(metric):
        text = f"{100 * number:.2f} %"
    else:
        text = f"{number:,.3f}" if abs(number) < 100 else f"{number:,.0f}"
    return text.replace("-", MINUS)


def difference(metric: str, number: float, half: float | None = None, *, unit: bool = True) -> str:
    """A difference with its interval: "−3.41 ± 0.31 points"."""
    factor, name = scale(metric)
    digits = 2 if factor == 100 else 3
    text = f"{factor * number:+.{digits}f}".replace("-", MINUS)
    if half is not None:
        text += f" ± {factor * half:.{digits}f}"
    return f"{text} {name}" if unit and name else text


def probability(p: float | None) -> str:
    """A p value: "0.012", "< 0.001"; "" where there is none."""
    if p is None:
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def capital(text: str) -> str:
    """With its first letter, and no other, made a capital one."""
    return text[:1].upper() + text[1:]
