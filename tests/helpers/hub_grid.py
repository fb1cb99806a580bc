"""A grid whose models and data sets come from a hub, and a hub that has them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import hub as stand_in
import yaml
from teachergrid.grid.cells import Cells
from teachergrid.grid.config import checked

WEIGHTS = {"config.json": b"{}", "model.safetensors": b"w" * 3000, "tokenizer.json": b"{}", "tokenizer.model": b"t"}
USELESS = {
    "pytorch_model.bin": b"w" * 3000,
    "consolidated.safetensors": b"w" * 3000,
    "original/consolidated.00.pth": b"w" * 3000,
    "onnx/model.safetensors": b"w" * 9,
    "README.md": b"#",
    "modeling_own.py": b"#",
    "tf_model.h5": b"w",
}
CONFIG = """
models:
  small: {repo: org/small}
  big: {repo: org/big}
  own: {repo: org/own, trust_remote_code: true}
  unused: {repo: org/unused}
instructions:
  set: {source: "hub:org/set", sample: 2}
  asked: {source: "hub:org/many/some/asked.jsonl", sample: 1}
teachers:
  small: {model: small}
  big: {model: big}
  there: {model: unused, engine: existing, source: there.jsonl}
bases:
  own: {model: own, template: own}
recipes: {sft: {}}
tasks: {exam: {instructions: asked, checker: {}}}
suites: {exam: {tasks: [exam]}}
metrics: {nll: {formula: nll_mean}}
grids:
  all:
    compare: teacher
    instructions: [set]
    teachers: all
    bases: all
    recipes: [sft]
    seeds: [1]
    suites: [exam]
    performance: [exam/verify]
"""


@contextmanager
def serving(folder: Path, monkeypatch) -> Iterator[stand_in.Hub]:
    """Serve a hub that has all of CONFIG. folder: the working folder, with an empty cache."""
    from huggingface_hub import constants

    monkeypatch.chdir(folder)
    Path("config").mkdir()
    Path("there.jsonl").write_text('{"instruction": "a", "response": "b"}\n')
    with stand_in.running() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        # in a folder with a dot, as the usual cache
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / ".cache/hub"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        hub.add("org/small", WEIGHTS | USELESS)
        hub.add(
            "org/big", {"model-1.safetensors": b"1" * 5000, "model-2.safetensors": b"2" * 5000, "config.json": b"{}"}
        )
        hub.add(
            "org/own",
            {"config.json": b"{}", "pytorch_model.bin": b"o" * 70, "modeling_own.py": b"#", "a.tiktoken": b""},
        )
        hub.add("org/unused", WEIGHTS)
        rows = '{"instruction": "first"}\n{"instruction": "second"}\n'
        hub.add("org/set", {"data/train.jsonl": rows.encode(), "README.md": b"# A set"}, kind="dataset")
        many = {"some/asked.jsonl": b'{"prompt": "why"}\n', "some/other.jsonl": b'{"x": 1}', "own.py": b"#"}
        hub.add("org/many", many, kind="dataset")
        yield hub


def planned(change=None) -> list:
    """Return jobs as planning.graph.planned does, as far as they are looked at: all of the grid."""
    config = yaml.safe_load(CONFIG)
    if change:
        change(config)
    config = checked(config)
    cells = Cells(config)
    rows = [row for rows in cells.rows.values() for row in rows.values()]
    rule = SimpleNamespace(workflow=SimpleNamespace(config=config, globals={"cells": cells}))
    return [SimpleNamespace(params=SimpleNamespace(spec=row["spec"]), rule=rule) for row in rows]


def got(name: str, kind: str = "models") -> set[str]:
    snapshots = Path(".cache/hub", f"{kind}--{name.replace('/', '--')}", "snapshots")
    return {"/".join(path.relative_to(snapshots).parts[1:]) for path in snapshots.rglob("*") if path.is_file()}
