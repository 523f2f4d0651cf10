"""Bands for the first updates of the large recipes, predicted: none of these has been run here.

The bands of the loss follow from arithmetic. At random weights a masked token costs log 30,522 =
10.3. Until an update Adam has moved no weight further than the sum of the learning rates so far.
Those of the gradient's norm are orders of magnitude.
"""

from report.first_hour import DeviceSpeed, FirstHour, Milestone

PREDICTED = (
    "predicted, not measured; losses from those of random weights and from the sum of the learning "
    "rates, gradients in orders of magnitude, speeds from 20 to 60 % of the published peak"
)
_PEAKS = {
    "TPU v5 lite": 197e12,
    "TPU v6 lite": 918e12,
    "NVIDIA H100": 989e12,
    "NVIDIA H200": 989e12,
}


def _speeds(flops: float, text: float) -> tuple[DeviceSpeed, ...]:
    """Of devices that make so many FLOPs for a place, of which a share is text."""
    return tuple(
        DeviceSpeed(kind, (0.2 * peak * text / flops, 0.6 * peak * text / flops))
        for kind, peak in _PEAKS.items()
    )


def of_bert_base() -> FirstHour:
    """Of masked LM from random weights, learning rate 1e-4 after 10,000 updates."""
    return FirstHour(
        milestones=(
            Milestone(100, loss=(9.5, 10.8), grad_norm=(0.1, 30.0)),
            Milestone(1000, loss=(6.0, 9.9), grad_norm=(0.05, 20.0)),
            Milestone(5000, loss=(2.5, 7.6), grad_norm=(0.05, 20.0)),
        ),
        speeds=_speeds(0.59e9, text=1.0),
        source=PREDICTED,
    )


def of_distilbert() -> FirstHour:
    """Of the triple loss 5/2/1, learning rate 5e-4 after 2,254 updates.

    KL at temperature 2 is at most 4 log 30,522 = 41 before training, so the loss at most 230.
    """
    return FirstHour(
        milestones=(
            Milestone(100, loss=(60.0, 230.0), grad_norm=(1.0, 1000.0)),
            Milestone(1000, loss=(8.0, 150.0), grad_norm=(0.5, 500.0)),
            Milestone(5000, loss=(4.0, 60.0), grad_norm=(0.2, 200.0)),
        ),
        speeds=_speeds(0.66e9, text=0.99),
        source=PREDICTED,
    )


def of_wikitext_103() -> FirstHour:
    """Of weights of 1/3 each, learning rate 5e-4 after 493 updates; at most 18 before training."""
    return FirstHour(
        milestones=(
            Milestone(100, loss=(3.0, 18.0), grad_norm=(0.1, 100.0)),
            Milestone(1000, loss=(0.7, 12.0), grad_norm=(0.05, 50.0)),
            Milestone(5000, loss=(0.4, 6.0), grad_norm=(0.02, 20.0)),
        ),
        speeds=_speeds(0.66e9, text=0.99),
        source=PREDICTED,
    )
