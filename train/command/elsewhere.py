"""Flags of other programs, with the flag that does the same here."""

from collections.abc import Sequence

from model.errors import InputError

_RATE, _BATCH = "--optimizer.learning-rate", "--batch-size"
_LENGTH = "--data.sequence-length for text, --reading.max-length for tasks"
_HERE = {
    "lr": _RATE,
    "learning-rate": _RATE,
    "rate": _RATE,
    "wd": "--optimizer.weight-decay",
    "warmup": "--optimizer.warmup-share",
    "warmup-steps": "--optimizer.warmup-share, a share of all updates",
    "fp16": "--dtype bfloat16",
    "bf16": "--dtype bfloat16",
    "mixed-precision": "--dtype bfloat16",
    "num-train-epochs": "--epochs",
    "num-epochs": "--epochs",
    "max-steps": "--steps",
    "epoch": "--epochs",
    "n-epochs": "--epochs",
    "bs": _BATCH,
    "batch": _BATCH,
    "train-batch-size": _BATCH,
    "per-device-train-batch-size": f"{_BATCH}, of all devices together",
    "gradient-accumulation-steps": f"--micro-batches, parts of the {_BATCH}",
    "gradient-checkpointing": "--run.remat",
    "weight-decay": "--optimizer.weight-decay",
    "warmup-ratio": "--optimizer.warmup-share",
    "warmup-proportion": "--optimizer.warmup-share",
    "max-grad-norm": "--optimizer.clip-norm",
    "adam-epsilon": "--optimizer.epsilon",
    "output-dir": "--output",
    "model-name-or-path": "--model",
    "tokenizer-name": "--data.tokenizer",
    "train-file": "--data.train or --data.corpus",
    "validation-file": "--data.dev",
    "test-file": "--data.test",
    "seq-len": _LENGTH,
    "seq-length": _LENGTH,
    "max-seq-len": _LENGTH,
    "max-seq-length": _LENGTH,
    "max-len": _LENGTH,
    "max-length": _LENGTH,
    "wandb": "--run.track wandb",
    "report-to": "--run.track",
    "temperature": "--loss.ce.temperature or --loss.temperature",
    "alpha-ce": "--loss.ce.weight",
    "alpha-mlm": "--loss.mlm.weight",
    "alpha-cos": "--loss.cos.weight",
    "mlm-probability": "--masking.share",
}


def check_flags(flags: Sequence[str]) -> None:
    """Raises InputError for a flag that has another name here; the sentence has that name."""
    for flag in flags:
        name = flag.partition("=")[0].removeprefix("--").replace("_", "-")
        if flag.startswith("--") and name in _HERE:
            raise InputError(f"there is no flag --{name}: here it is {_HERE[name]}")
