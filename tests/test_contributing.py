"""The examples of .github/CONTRIBUTING.md work as printed: each is applied to a copy, with its tests, and planned."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from workspace import ENV, ROOT, copy_code

PAGE = ROOT / ".github/CONTRIBUTING.md"
EXAMPLES = dict(
    zip(
        ("metric", "checker", "health check", "engine"),
        re.findall(r"```diff\n(.*?)```", PAGE.read_text(), re.S),
        strict=True,
    )
)
# the config is planned, without a model, with all four
CONFIG = {
    "models": {"q": {"repo": "org/q", "revision": "sha256-333"}},
    "instructions": {"seed": {"source": "config/seed.jsonl"}},
    "teachers": {"parrot": {"engine": "echo"}, "short": {"engine": "echo", "sampling": {"max_tokens": 2}}},
    "bases": {"q": {"model": "q", "template": "own"}},
    "rewards": {"listed": {"checker": {"compare": "items"}}},
    "metrics": {"words": {"formula": "words_per_sentence"}, "right": {"formula": "reward_mean", "reward": "listed"}},
    "health": {"gates": {"echoed": 0.5}},
    "grids": {
        "teachers": {
            "compare": "teacher",
            "instructions": ["seed"],
            "teachers": "all",
            "bases": ["q"],
            "primary": "words",
        }
    },
}


def apply(example: str, folder: Path) -> list[str]:
    """Make the changes of an example to the files in a folder, and return their names."""
    files = re.split(r"^\+\+\+ (.*)\n", example, flags=re.M)
    assert files[0] == ""
    for name, hunks in zip(files[1::2], files[2::2], strict=True):
        path = folder / name
        text = path.read_text() if path.exists() else ""
        for hunk in hunks.split("@@\n")[1:]:
            lines = [(line[:1], line[1:] + "\n") for line in hunk.splitlines()]
            old = "".join(line for mark, line in lines if mark != "+")
            new = "".join(line for mark, line in lines if mark != "-")
            assert not old or text.count(old) == 1, f"{name}: the page says {old!r}"
            text = text.replace(old, new) if old else new
        path.write_text(text)
    return files[1::2]


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_addition_is_small(name):
    """Its test and the schema aside, an addition changes two files at most. The drawing of all modules is one word."""
    files = set(re.findall(r"^\+\+\+ (.*)$", EXAMPLES[name], re.M))
    code = {file for file in files if not file.startswith("tests/") and file.endswith(".py")}
    assert len(code) <= 2 and len(files - code) <= 3
    assert "workflow/schemas/config.schema.yaml" in files


@pytest.mark.slow
def test_the_examples_work(tmp_path):
    copy_code(tmp_path, stand_in=False)
    shutil.copytree(ROOT / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "workflow/miniworld").mkdir()
    for example in EXAMPLES.values():
        apply(example, tmp_path)
    tests = "metrics/test_measure.py tasks/test_verify.py data/test_health.py engines"
    chosen = "by_hand or every_formula or verdict or echo or engine"
    argv = [
        *(f"tests/{name}" for name in tests.split()),
        "-k",
        chosen,
        "-m",
        "not slow and not vllm",
        "-p",
        "no:cacheprovider",
    ]
    env = {**ENV, "PYTHONPATH": str(tmp_path / "workflow/scripts"), "SLURM_CONF": os.devnull}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *argv], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
    (tmp_path / "config/config.yaml").write_text(yaml.safe_dump(CONFIG))
    argv = [sys.executable, "-m", "teachergrid", "plan"]
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0 and re.search(r"generate +2 ", done.stdout), done.stderr
