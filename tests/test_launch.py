"""The launch scripts, with stand-ins for the tools of a cloud and one worker."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import yaml

SCRIPT = Path(__file__).parent.parent / "launch" / "tpu-slice.sh"

# Copies what is copied into the worker's home, and runs there what is run there.
GCLOUD = """#!/bin/bash
echo "$@" >> "$WORKER/asked"
if [ "$4" = scp ]; then cp "$5" "$WORKER/${6#*:}"; else cd "$WORKER" && bash -c "$7"; fi
"""
PYTHON = """#!/bin/bash
printf '%s\\n' "$PWD" "$@" "$LIBTPU_INIT_ARGS" > "$WORKER/ran-${2%% *}"
echo said
"""


def executable(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def test_the_repository_is_brought_over_and_the_command_started_there(tmp_path):
    worker, tools = tmp_path / "worker", tmp_path / "tools"
    executable(tools / "gcloud", GCLOUD)
    executable(worker / "distilbert-flax" / ".venv" / "bin" / "python", PYTHON)
    repository = tmp_path / "repository"
    for file in ("launch/tpu-slice.sh", "model/bert.py", ".git/HEAD", ".venv-tpu/libtpu.so",
                 ".venv/bin/python", ".pytest_cache/x", "runs/one/metrics.jsonl"):  # fmt: skip
        (repository / file).parent.mkdir(parents=True, exist_ok=True)
        (repository / file).write_bytes(SCRIPT.read_bytes() if file.endswith(".sh") else b"")
    environment = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}", "WORKER": str(worker)}
    environment["LIBTPU_INIT_ARGS"] = "--one=true --two=false"
    command = ["train.distill", "tiny", "--loss.ce.temperature", "8 2", "--output", "gs://b/run"]
    done = subprocess.run(
        ["bash", repository / "launch" / SCRIPT.name, "mine", "zone-a", *command],
        env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    home = worker / "distilbert-flax"
    assert "--worker=0 --command 'tail -f distilbert-flax/run.log'" in done.stdout
    asked = (worker / "asked").read_text()
    assert asked.count(" --zone zone-a --worker=all") == 2
    assert asked.startswith("compute tpus tpu-vm scp ") and " mine:distilbert-flax.tgz" in asked
    assert (home / "model" / "bert.py").is_file()
    assert [path.name for path in home.iterdir() if path.name.startswith(".")] == [".venv"]
    assert not (home / "runs").exists()
    deadline = time.monotonic() + 20  # it runs by itself
    while not (home / "run.log").is_file() or "said" not in (home / "run.log").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert (worker / "ran-train.distill").read_text().splitlines() == [
        *(str(home), "-m", *command),
        environment["LIBTPU_INIT_ARGS"],
    ]
    assert "-e" in (worker / "ran-pip").read_text().splitlines()


def test_without_a_command_it_says_how_it_is_used():
    done = subprocess.run(["bash", SCRIPT, "mine"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "launch/tpu-slice.sh NAME ZONE train.distill" in done.stdout


def test_the_flags_for_gpus_are_those_of_the_xla_that_is_installed():
    """XLA reads those of all platforms, and ends a process that gives it one that it lacks."""
    flags = re.findall(r"--xla\w+=\w+", (SCRIPT.parent / "slurm.sbatch").read_text())
    known = [flag.replace("=BYTES", "=1048576") for flag in flags]
    assert len(known) == 2
    program = "import jax; jax.config.update('jax_platforms', 'cpu'); jax.devices()"
    for given, status in ((known, True), ([*known, "--xla_gpu_no_such_flag=true"], False)):
        environment = os.environ | {"XLA_FLAGS": " ".join(given)}
        done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True)
        assert (done.returncode == 0) is status, done.stderr


XPK = """#!/bin/bash
printf '%s\\n' "$@" > "$WORKER/asked"
"""


def test_xpk_starts_the_command_on_every_host_of_a_slice(tmp_path):
    executable(tmp_path / "tools" / "xpk", XPK)
    executable(tmp_path / ".venv" / "bin" / "python", PYTHON)
    path = f"{tmp_path / 'tools'}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "WORKER": str(tmp_path)}
    command = ["train.distill", "tiny", "--loss.ce.temperature", "8 2", "--output", "gs://b/run"]
    line = ["bash", SCRIPT.parent / "xpk.sh", "mine", "cluster", "v5litepod-16", "image", *command]
    done = subprocess.run(line, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked[:4] == ["workload", "create", "--workload", "mine"]
    assert {"--tpu-type=v5litepod-16", "--docker-image", "image"} < {*asked}
    there = asked[asked.index("--command") + 1].replace("/repository", str(tmp_path))
    subprocess.run(["bash", "-c", there], env=environment, check=True)
    ran = (tmp_path / "ran-train.distill").read_text().splitlines()
    assert ran[:-1] == [str(tmp_path), "-m", *command]
    usage = subprocess.run(line[:4], capture_output=True, text=True)
    assert usage.returncode == 2 and "launch/xpk.sh NAME CLUSTER TPU_TYPE IMAGE" in usage.stdout


def test_a_job_of_skypilot_installs_and_resumes_from_its_bucket(tmp_path):
    job = yaml.safe_load((SCRIPT.parent / "skypilot.yaml").read_text())
    assert job["resources"]["use_spot"] is True
    executable(tmp_path / "tools" / "python3", "#!/bin/bash\n")
    executable(tmp_path / ".venv" / "bin" / "python", PYTHON)
    path = f"{tmp_path / 'tools'}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "WORKER": str(tmp_path), **job["envs"]}

    def on_the_machine(script: str, **given: str) -> int:
        line = ["bash", "-c", script]
        return subprocess.run(line, cwd=tmp_path, env=environment | given).returncode

    assert on_the_machine(job["setup"]) == 0
    assert ".[cuda,gcs]" in (tmp_path / "ran-pip").read_text().splitlines()
    assert on_the_machine(job["run"]) == 2
    assert on_the_machine(job["run"], OUTPUT="gs://b/run") == 0
    ran = (tmp_path / "ran-train.distill").read_text().splitlines()[1:-1]
    expected = [*job["envs"]["RUN"].split(), "--output", "gs://b/run"]
    assert ran == ["-m", *expected, "--data.cache", "gs://b/run-cache"]
