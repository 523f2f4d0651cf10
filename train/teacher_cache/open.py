"""The folder of --teacher-cache, opened by the settings of a run: checked, completed, read."""

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from fractions import Fraction

import jax

from data.open import Data
from data.storage.cache import DIGESTS, make_once
from data.storage.mirror import on_disk
from model.errors import InputError
from model.tasks import MaskedLM
from model.terminal import say
from train.command.signals import until_safe
from train.config import DistillConfig
from train.objectives.stored import stored_columns
from train.teacher_cache.answers import FLAG, Shard, Shards, StoredAnswers
from train.teacher_cache.key import claim_cache, key_of
from train.teacher_cache.writing import Writer

GB = 1e9


def stored_answers(config: DistillConfig, teacher: MaskedLM, data: Data) -> StoredAnswers | None:
    """All the answers that a run with --teacher-cache can ask for; None without that flag.

    Those that are missing or damaged are computed and written, shard by shard: a stop costs no more
    than one shard. Their size on the disk is told before.

    Raises:
        InputError: the folder holds other answers, too little room is left or allowed, or the run
            has several processes.
        Stopped: a signal came; the same command writes the rest.
    """
    if config.teacher_cache is None:
        return None
    if jax.process_count() > 1:
        raise InputError(
            f"{FLAG} is for runs of one process, and this one has {jax.process_count()}: leave it "
            "out, and every process asks the teacher itself"
        )
    folder = on_disk(config.teacher_cache, "a teacher's cache", FLAG)
    columns = stored_columns(teacher.config, config.cache.dtype)
    shards = Shards(folder, data.train, columns, config.cache.mask_sets)
    check_room(shards, config.cache.max_gb)
    writer = Writer(config, teacher, data, columns)
    key = key_of(
        teacher.config,
        writer.params,
        data.train.fingerprint,
        asdict(config.masking),
        writer.some_masked_text(),
        columns,
    )
    digest = claim_cache(folder, key)
    missing = [shard for shard in shards.all() if not (shard.folder / DIGESTS).exists()]
    say(_announcement(config, shards, missing))
    with until_safe():
        for shard in shards.all():
            make_once(shard.folder, lambda part, shard=shard: writer.write(shard, part), flag=FLAG)
            if shard in missing:
                say(f"{len(shard.sequences):,} sequences more are answered: {shard.folder}")
    return StoredAnswers(shards, digest)


def check_room(shards: Shards, max_gb: float) -> None:
    """Raises InputError for answers that take more than is allowed, or than the disk has left."""
    size = shards.total_bytes / GB
    if size > max_gb:
        raise InputError(
            f"the teacher's answers take {size:.3g} GB, above --cache.max-gb {max_gb:g}: raise it, "
            "lower --cache.mask-sets, or give less text"
        )
    there = sum(file.stat().st_size for file in shards.folder.glob("*/*.bin")) / GB
    place = next(each for each in (shards.folder, *shards.folder.parents) if each.exists())
    free = shutil.disk_usage(place).free / GB
    if size - there > free:
        raise InputError(
            f"the teacher's answers take {size - there:.3g} GB more, and {place} has {free:.3g} GB "
            f"left: make room there, or give another folder with {FLAG}"
        )


def _announcement(config: DistillConfig, shards: Shards, missing: Sequence[Shard]) -> str:
    """One sentence: what is stored, its size, what of it is to be computed, and what for."""
    sequences = len(shards.sequences)
    asked = config.updates(Fraction(sequences, config.batch_size)) * config.batch_size
    sets = "one set" if shards.mask_sets == 1 else f"{shards.mask_sets} sets"
    left = sum(len(shard.sequences) for shard in missing)
    return (
        f"the teacher's answers to {sequences:,} sequences under {sets} of masks take "
        f"{shards.total_bytes / GB:.3g} GB in {shards.folder}: {left:,} are to be computed, and "
        f"this run asks for {asked:,}"
    )
