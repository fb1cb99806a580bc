"""The specs of all jobs that load a model are those of the first versions: no result that took a GPU is made again.

`specs.json` holds for each config and rule a hash of all specs, and the cells of each spec under the first 12 digits of its
hash. It was written by the code of commit cdb235c.

When it is right to change that file:
- A spec must change, since the same settings now give another result. CHANGELOG.md then says which results are made again.
- One of the three configs has a new cell, or lost one. The lines of all other cells stay.
It is never right for a new default, a new key, a renamed key or a moved module. A default of a new key stays out of every spec,
and `x-was` in the schema keeps a key's older name there.

    PYTHONPATH=tests/helpers .venv/bin/python tests/workflow/test_identity.py    # writes the file again
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections import defaultdict
from pathlib import Path

import pytest
import yaml
from teachergrid.cost.resources import MODEL_RULES
from teachergrid.grid import cells, config
from teachergrid.hub import pins
from workspace import ROOT, SMALL

STORED = ROOT / "tests/workflow/specs.json"
CONFIGS = ("config/config.yaml", "config/paper_car.yaml", "tests/small/config.yaml")
SHOWN = 3  # cells that a failure names
# none of these configs lets a model improve a method of evolution, or has a language model or a loss as a judge
RULES = tuple(rule for rule in MODEL_RULES if rule not in ("optimise", "ask", "loss"))

Specs = dict[str, dict[str, dict[str, str]]]  # {config: {rule: {cell: spec}}}


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def specs_of(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, str]]:
    """Return {rule: {cell: spec}} of a config. folder: an empty one."""
    # whatever has been pinned in this checkout
    monkeypatch.setattr(pins, "LOCK", folder / "none.lock")
    if name == "tests/small/config.yaml":
        # its files lie in a folder `config`
        shutil.copytree(SMALL, folder / "config")
        monkeypatch.chdir(folder)
    else:
        monkeypatch.chdir(ROOT)
    table = cells.Cells(config.checked(yaml.safe_load((ROOT / name).read_text())))
    return {rule: {cell: row["spec"] for cell, row in sorted(table.rows[rule].items())} for rule in RULES}


def hashes(specs: dict[str, str]) -> dict:
    """Return what the file holds of a rule. specs: {cell: spec}."""
    lines = "".join(f"{cell}\t{spec}\n" for cell, spec in sorted(specs.items()))
    cells_of = defaultdict(list)
    for cell, spec in sorted(specs.items()):
        cells_of[sha256(spec)[:12]].append(cell)
    return {"all": sha256(lines), "specs": cells_of}


def by_cell(hashes: dict) -> dict[str, str]:
    """Return {cell: hash of its spec}."""
    return {cell: spec for spec, of_spec in hashes["specs"].items() for cell in of_spec}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", CONFIGS)
def test_specs_are_those_of_before(name, rule, tmp_path, monkeypatch):
    specs = specs_of(name, tmp_path, monkeypatch)[rule]
    found, stored = hashes(specs), json.loads(STORED.read_text())[name][rule]
    if found["all"] == stored["all"]:
        return
    now, before = by_cell(found), by_cell(stored)
    changed = [cell for cell in sorted(now.keys() | before.keys()) if now.get(cell) != before.get(cell)]
    lines = []
    for cell in changed[:SHOWN]:
        lines.append(f"{cell}: {specs.get(cell, 'is gone') if cell in before else 'is new'}")
    if len(changed) > SHOWN:
        lines.append(f"... and {len(changed) - SHOWN} more cells")
    pytest.fail(
        f"{name}: {len(changed)} cells of the rule `{rule}` have another spec than before, so their results would be made "
        "again. Undo what changes them, or read the docstring of this file.\n" + "\n".join(lines)
    )


def test_every_rule_has_cells():
    """A rule without cells would pass whatever its specs."""
    stored = json.loads(STORED.read_text())
    assert {name: {*rules} for name, rules in stored.items()} == {name: {*RULES} for name in CONFIGS}
    assert all(rules[rule]["specs"] for rules in stored.values() for rule in rules)


def write() -> None:
    found = {}
    for name in CONFIGS:
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as monkeypatch:
            found[name] = {rule: hashes(specs) for rule, specs in specs_of(name, Path(folder), monkeypatch).items()}
            monkeypatch.chdir(ROOT)
    STORED.write_text(json.dumps(found, indent=0, sort_keys=True) + "\n")


if __name__ == "__main__":
    os.chdir(ROOT)
    write()
