"""Installation elsewhere: the workflows' targets exist, and the Dockerfile and uv install."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def steps(workflow: Path) -> list[str]:
    """The commands of all jobs."""
    jobs: dict[str, Any] = yaml.safe_load(workflow.read_text())["jobs"]
    return [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_run_targets_that_exist(workflow):
    targets = [run.removeprefix("make ") for run in steps(workflow) if run.startswith("make ")]
    assert targets and set(targets) <= TARGETS


def test_every_change_passes_what_the_script_runs_on_all_pythons():
    checks = ROOT / ".github/workflows/checks.yml"
    script = re.findall(r"^make .*$", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    assert set(script) <= {*steps(checks)}
    matrix = yaml.safe_load(checks.read_text())["jobs"]["tests"]["strategy"]["matrix"]
    assert matrix["python"] == ["3.11", "3.12", "3.13"]


def test_the_newest_versions_are_those_without_pins(tmp_path):
    (line,) = [run for run in steps(ROOT / ".github/workflows/monthly.yml") if "sed" in run]
    shutil.copy(ROOT / "constraints.txt", tmp_path)
    subprocess.run(["bash", "-c", line], cwd=tmp_path, check=True)
    left = (tmp_path / "constraints.txt").read_text().splitlines()
    assert all(not row or row.startswith("#") for row in left)


def dockerfile() -> tuple[dict[str, str], list[str]]:
    """Its arguments, and its lines of RUN."""
    lines = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    arguments = dict(re.findall(r'^ARG (\w+)="(.*)"$', "\n".join(lines), re.MULTILINE))
    return arguments, [line.removeprefix("RUN ") for line in lines if line.startswith("RUN ")]


@pytest.mark.skipif(shutil.which("hadolint", path=Path(sys.executable).parent) is None,
                    reason="hadolint is not installed")  # fmt: skip
def test_the_dockerfile_is_in_order():
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_the_lines_of_the_dockerfile_install_what_runs(tmp_path):
    """In an empty folder with the files that git tracks, as COPY brings them."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    arguments, lines = dockerfile()
    assert arguments == {"EXTRAS": ""} and len(lines) == 2
    path = f"{Path(sys.executable).resolve().parent}:/usr/bin:/bin"
    for line in lines:
        done = subprocess.run(
            ["bash", "-ec", line],
            cwd=tmp_path,
            env={"PATH": path, "HOME": str(tmp_path), **arguments},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("uv", path=Path(sys.executable).parent) is None,
                    reason="uv is not installed")  # fmt: skip
def test_uv_installs_with_the_constraints(tmp_path):
    (line,) = re.findall(r"^uv (pip install .*)$", (ROOT / "CONTRIBUTING.md").read_text(), re.M)
    assert line == "pip install -c constraints.txt -e ."
    uv = Path(sys.executable).parent / "uv"
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    command = [uv, *line.split(), "--dry-run", "--python", python]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "+ jax==0.10.2" in done.stderr
    assert not re.search(r"\+ (torch|transformers|wandb|mkdocs|uvicorn|onnx)\b", done.stderr)
