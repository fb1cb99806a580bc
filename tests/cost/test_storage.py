"""Bytes that a grid's results will take, by hand, and what is said where the disk cannot hold them."""

import json
import re
import struct

import pytest
from teachergrid.cost import resources, storage
from teachergrid.grid import config
from teachergrid.grid.cells import Cells
from teachergrid.spec import canonical
from teachergrid.store import disk


def test_peak(small, monkeypatch):
    cells = Cells(config.checked(small))
    for rule in ("generate", "likelihood", "answer"):
        for row in cells.rows[rule].values():
            row |= {"rows": 100, "tokens": 40}
    students = {"parameters": 2.0, "dtype": "bfloat16", "lora": False, "keep": "model"}
    for row in cells.rows["finetune"].values():
        row |= students
    needed = storage.peak(cells, at_once=3)
    assert needed["responses"] == 3 * 100 * (25 + 40 * 3)
    # a job's 40 tokens are four looks at the same ten, which stand in two tables
    assert needed["likelihoods"] == 5 * 2 * 100 * (25 + 10 * 8)
    assert needed["students"] == 7 * 4e9
    assert needed["checkpoints"] == 3 * 2 * 24e9
    for row in cells.rows["finetune"].values():
        row |= {"keep": "none", "lora": True}
    assert storage.peak(cells, at_once=3)["students"] == 6 * 4e9
    assert storage.peak(cells, at_once=3)["checkpoints"] == pytest.approx(3 * 2 * 24e9 * storage.ADAPTER_SHARE, abs=1)
    assert storage.peak(cells, at_once=100)["students"] == 7 * 4e9
    monkeypatch.setattr(disk, "free_bytes", lambda path: 10**12)
    assert storage.lacking(cells, 3) is None
    monkeypatch.setattr(disk, "free_bytes", lambda path: 10**9)
    assert re.match(
        r"results will need up to 28\.\d GB more \(students 24\.0 GB, .* and has 1\.0 GB free",
        storage.lacking(cells, 3),
    )


def test_a_small_model_whose_size_the_config_does_not_state_needs_little(tmp_path):
    """0.27 M parameters in a folder at hand are no 8 B: not on the disk, not in memory."""
    text = json.dumps({"w": {"dtype": "F32", "shape": [270, 1000]}}).encode()
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    spec = canonical.dump(model={"repo": str(tmp_path)}, recipe={})
    row = {"spec": spec, "parameters": None, "dtype": "float32", "lora": False, "keep": "model"}
    assert storage.saved(row) == pytest.approx(4 * 270_000) and storage.checkpoint_bytes(row) < 1e7
    asked = row | {"rows": 100, "gpus": 1, "nodes": 1}
    assert resources.megabytes("finetune", asked, 1) < 5_000
    unknown = asked | {"spec": canonical.dump(model={"repo": "org/none"}, recipe={})}
    assert resources.megabytes("finetune", unknown, 1) > 30_000
