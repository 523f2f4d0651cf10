"""A teacher's cache: what is written, resumed, repaired and refused, and runs that read it."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data.masking import MaskingConfig
from model.errors import InputError
from tests import runs
from train.distill import distill, initial_student, objective_of, teacher_and_data
from train.loop.fit_text import text_batches
from train.objectives.forward import borders
from train.objectives.terms import DistillationLoss
from train.studies.config import variants_of
from train.studies.controls import with_controls
from train.teacher_cache import answers
from train.teacher_cache.config import TeacherCacheConfig
from train.teacher_cache.open import stored_answers
from train.teacher_cache.writing import Writer
from train.update.parallel import Parallel

FLOAT = TeacherCacheConfig(mask_sets=2, dtype="float32")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return runs.make_home(tmp_path_factory.mktemp("home"))


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(answers, "SHARD_BYTES", 50 * 16 * 16 * 4)  # 50 sequences in float32


def cached(home, folder, **changes):
    """A run of twenty updates: more than an epoch."""
    changes = {"cache": FLOAT, "steps": 20, "masking": MaskingConfig(group_rows=1)} | changes
    return runs.distill_config(home, teacher_cache=folder, **changes)


def opened(config):
    answers = stored_answers(config, *teacher_and_data(config))
    assert answers is not None
    return answers


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    }


@pytest.fixture(scope="module")
def whole(home, tmp_path_factory):
    """A cache that was written without a stop."""
    folder = tmp_path_factory.mktemp("whole") / "cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(answers, "SHARD_BYTES", 50 * 16 * 16 * 4)
        opened(cached(home, folder))
    return folder


@pytest.mark.long
@pytest.mark.parametrize("lines", [None, "padded", "shared"])
def test_a_batch_holds_what_the_teacher_says_to_its_masked_rows(home, tmp_path, lines):
    config = cached(home, tmp_path / "cache", micro_batches=2)
    if lines:
        changed = replace(config.data, mode="lines", pack_lines=lines == "shared")
        config = replace(config, data=changed)
    teacher, data = teacher_and_data(config)
    batches = text_batches(
        config, data, Parallel(config.run), stored_answers(config, teacher, data)
    )
    objective = objective_of(
        config, initial_student(teacher, config), teacher, data.vocabulary.special.mask
    )
    constants = objective.constants(data.train.counts, data.vocabulary.special)
    seen = {}
    for step in range(0, 2 * len(data.train) // 8, 5):
        batch = jax.tree.map(jnp.asarray, batches.batch(step))
        masked = objective.prepare(constants, batch, jax.random.key(step))
        for part in range(2):
            each = {name: array[part] for name, array in masked.items()}
            live = teacher.backbone(each["input_ids"], **borders(each)).last_hidden
            there = np.ones(live.shape[:2], bool)
            for border in borders(each).values():
                there = np.asarray(border) > 0
            np.testing.assert_allclose(
                each["teacher_hidden"][there], live[there], rtol=1e-6, atol=1e-6
            )
            assert (each["input_ids"] != batch["input_ids"][part]).any()
        seen |= dict.fromkeys(np.asarray(batch["row"]).ravel() // len(data.train))
    assert set(seen) == {0, 1}


def test_a_stopped_writer_goes_on_after_its_last_shard(home, whole, tmp_path, monkeypatch, capsys):
    write, calls = Writer.write, []

    def dying(self, shard, folder):
        calls.append(shard)
        write(self, shard, folder)
        if len(calls) == 2:
            raise KeyError

    config = cached(home, tmp_path / "cache")
    with monkeypatch.context() as patch:
        patch.setattr(Writer, "write", dying)
        with pytest.raises(KeyError):
            opened(config)
        first = capsys.readouterr().out
        opened(config)
    shards = opened(config).shards.all()
    assert [shard.folder for shard in calls] == [shards[n].folder for n in (0, 1, *range(1, 6))]
    assert contents(tmp_path / "cache") == contents(whole)
    count = len(shards[0].sequences) + len(shards[1].sequences) + len(shards[2].sequences)
    sizes = f"the teacher's answers to {count} sequences under 2 sets of masks take 0.000"
    assert sizes in first and f"{2 * count} are to be computed, and this run asks for 160" in first


def test_more_sets_of_masks_are_added_to_those_that_are_there(home, whole, tmp_path):
    config = cached(home, tmp_path / "cache", cache=replace(FLOAT, mask_sets=1))
    opened(config)
    assert contents(tmp_path / "cache").items() < contents(whole).items()
    opened(replace(config, cache=FLOAT))
    assert contents(tmp_path / "cache") == contents(whole)


def test_a_damaged_shard_is_named_and_made_again(home, whole, tmp_path, capsys):
    config = cached(home, tmp_path / "cache")
    file = opened(config).shards.all()[1].folder / "teacher_hidden.bin"
    content = bytearray(file.read_bytes())
    content[7] ^= 1
    file.write_bytes(content)
    opened(config)
    assert f"{file} is damaged" in capsys.readouterr().err
    assert contents(tmp_path / "cache") == contents(whole)


def test_stale_answers_are_refused_with_what_differs(home, whole, tmp_path):
    config, before = cached(home, whole), contents(whole)
    runs.write_teacher(tmp_path / "wider", runs.MODEL.replace(initializer_range=0.3))
    for changes, differs in {
        ("teacher", str(tmp_path / "wider")): "teacher",
        ("masking", MaskingConfig(group_rows=1, share=0.3)): r"masking\.share, masks",
        ("data", replace(config.data, heldout_share=0.4)): "text",
        ("cache", replace(FLOAT, dtype="bfloat16")): r"columns\.teacher_hidden",
        ("dtype", "bfloat16"): "teacher",
    }.items():
        with pytest.raises(InputError, match=rf"another kind \([^)]*{differs}[^)]* differ"):
            opened(replace(config, **dict([changes])))
    assert contents(whole) == before


def test_a_folder_with_other_things_is_left_alone(home, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="is not empty and holds no answers of a teacher"):
        opened(cached(home, tmp_path))
    (tmp_path / "letter.txt").rename(tmp_path / "cache.json")
    with pytest.raises(InputError, match=r"cache\.json"):
        opened(cached(home, tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["cache.json"]


def test_nothing_is_written_where_there_is_too_little_room(home, tmp_path, monkeypatch):
    config = cached(home, tmp_path / "cache", cache=replace(FLOAT, max_gb=1e-4))
    with pytest.raises(
        InputError, match=r"take 0\.000\d+ GB, above --cache\.max-gb 0\.0001: raise"
    ):
        opened(config)
    full = type("Usage", (), {"free": 10**5})
    monkeypatch.setattr("train.teacher_cache.open.shutil.disk_usage", lambda place: full)
    with pytest.raises(InputError, match=r"GB more, and .* has 0\.0001 GB left: make room there"):
        opened(replace(config, cache=FLOAT))
    assert not (tmp_path / "cache").exists()


def test_several_processes_ask_the_teacher_themselves(home, tmp_path, monkeypatch):
    config = cached(home, tmp_path / "cache")
    models = teacher_and_data(config)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(InputError, match="is for runs of one process, and this one has 2"):
        stored_answers(config, *models)


def test_settings_that_a_cache_cannot_serve_are_refused(home, tmp_path):
    with pytest.raises(InputError, match=r"--masking\.group-rows is 2: make it 1"):
        cached(home, tmp_path / "cache", masking=MaskingConfig(group_rows=2))
    with pytest.raises(InputError, match="--answers untrained asks for others"):
        cached(home, tmp_path / "cache", answers="untrained")
    for loss, sentence in {
        DistillationLoss().with_weights(mlm=1.0): "no term of --loss listens",
        DistillationLoss().with_weights(relations=1.0): r"--loss\.relations compares more",
    }.items():
        with pytest.raises(InputError, match=sentence):
            distill(cached(home, tmp_path / "cache", loss=loss, output=tmp_path / "run"))
    assert not (tmp_path / "cache").exists()


@pytest.mark.long
def test_a_resumed_run_is_the_run_that_was_never_stopped(home, whole, tmp_path):
    config = cached(home, whole, output=tmp_path / "whole")
    distill(config)
    stopped = replace(config, output=tmp_path / "stopped")
    with pytest.MonkeyPatch.context() as patch:
        calls = iter(range(7, 0, -1))
        patch.setattr("train.loop.fit.stop_if_asked", lambda: 1 / (next(calls) - 1))
        with pytest.raises(ZeroDivisionError):
            distill(stopped)
    moved = whole.rename(whole.with_name("moved"))
    try:
        distill(replace(stopped, teacher_cache=moved))
    finally:
        moved.rename(whole)
    assert runs.metrics(tmp_path / "stopped") == runs.metrics(tmp_path / "whole")
    assert runs.weights(tmp_path / "stopped") == runs.weights(tmp_path / "whole")
    with pytest.raises(InputError, match=r"cache\.mask_sets is 2 there and 1 here"):
        distill(replace(config, cache=replace(FLOAT, mask_sets=1)))


@pytest.mark.long
@pytest.mark.parametrize("parallel", ["jit", pytest.param("pmap", marks=pytest.mark.slow)])
def test_devices_share_the_answers_with_the_rows(home, tmp_path, parallel):
    """Without dropout, which pmap draws on each device for itself."""
    plain = runs.MODEL.replace(hidden_dropout=0.0, attention_dropout=0.0)
    teacher = str(runs.write_teacher(tmp_path / "teacher", plain))
    config = cached(home, tmp_path / "cache", teacher=teacher, micro_batches=2, steps=4)
    several = replace(config.run, devices=4, parallel=parallel)
    distill(replace(config, output=tmp_path / "one"))
    distill(replace(config, output=tmp_path / "several", run=several))
    ours, theirs = (
        [row["loss"] for row in runs.metrics(tmp_path / name) if row["kind"] == "train"]
        for name in ("one", "several")
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_a_study_shares_its_cache_and_the_masks_of_the_answers(home, tmp_path):
    base = cached(home, tmp_path / "cache")
    study = replace(
        runs.study_config(home, {"all": {}, "other": {"masking.share": 0.3}}), base=base
    )
    with pytest.raises(InputError, match="variant 'other' changes masking"):
        variants_of(study)
    study = replace(study, variants=study.variants[:1], controls=("untrained-teacher",))
    assert with_controls(study).variants == study.variants
