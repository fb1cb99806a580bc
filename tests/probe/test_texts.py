"""The texts that a probe reads where none are there yet."""

import pytest
from probes import TINY
from teachergrid.probe import stages
from teachergrid.spec import canonical
from workspace import ROOT


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "model", "parts", "rows"),
    [
        ("generate", "bs", {"teacher": {"batch": 4, "sampling": {"max_tokens": 5, "samples": 2}}}, 12),
        ("answer", "bs", {"reference": {}, "suite": {"batch": 4}, "tasks": {"a": {}, "b": {}}}, 12),
        ("judge", "rm", {"reward": {"batch": 4}, "judge": {}, "tasks": {"a": {}}}, 12),
        ("likelihood", "bs", {"base": {}, "likelihood": {}}, 12),
        ("finetune", "bs", {"base": {}, "recipe": {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2,
          "max_length": 64, "num_train_epochs": 2, "packing": False}, "seed": 1}, 6),
    ],
)  # fmt: skip
def test_texts_are_made_up_where_there_are_none(tmp_path, rule, model, parts, rows):
    """Of about the expected length, enough for three parts (SFT: four updates) or as many as there are to do."""
    for task in parts.get("tasks", {}).values():
        task["sampling"] = {"max_tokens": 5}
    text = canonical.dump(model={**TINY, "repo": str(ROOT / "workflow/miniworld/models" / model)}, **parts)
    given = {"rule": rule, "spec": text, "rows": 12, "read": 12.0, "written": 9.0, "seconds": 300.0, "threads": 1}
    found = stages.probed(tmp_path, given)
    assert found["rows"] + found["more_rows"] == pytest.approx(rows)  # SFT: 12 in one epoch count as 6 in two
    assert found["more_seconds"] > 0 and 8 < found["read"] < 40
    assert found["written"] <= 5 if rule in ("generate", "answer") else 6 < found["written"] < 14
    assert (tmp_path / "probed.parquet").exists() == (rule in ("generate", "answer"))
