"""The page about the config: fresh, every key described, and its examples are configs."""

import copy
import re
from pathlib import Path

import yaml
from teachergrid.grid import config_docs
from teachergrid.grid.cells import Cells
from teachergrid.grid.config import checked
from teachergrid.spec import schema
from workspace import ROOT


def test_config_readme_is_fresh():
    path = ROOT / "config/README.md"
    assert path.read_text() == config_docs.page(), "python -m teachergrid.grid.config_docs > config/README.md"


def cells(config: dict) -> Cells:
    return Cells(checked(copy.deepcopy(config)))


def test_the_examples_of_the_docs_are_configs(monkeypatch):
    monkeypatch.chdir(ROOT)
    config = yaml.safe_load(Path("config/config.yaml").read_text())
    introduction = config_docs.page().partition("## Top level")[0]
    examples = [yaml.safe_load(text) for text in re.findall(r"(?s)```yaml\n(.*?)```", introduction)[1:]]
    for kind, entries in (pair for example in examples for pair in example.items()):
        config[kind] = {**config.get(kind, {}), **entries}
    config["grids"]["teachers"]["corpora"] = list(config["corpora"])
    table = cells(config)
    students = table.rows["finetune"]
    assert {f"{base}__top__sft__s1" for base in ("bs", "bm")} <= students.keys()
    assert {"bs__pool__steps-l__fast__s1", "bm__pool__steps-l__slow__s1"} <= set(
        table.rows["correlate"]["tuned"]["students"]
    )
    assert "bs__pool__steps-l__slow__s1" not in table.rows["correlate"]["tuned"]["students"]
    assert {
        variant.split("/")[1] for variant in table.rows["select"] if variant.startswith(("best", "lot", "blend"))
    } == {"any"}
    assert table.rows["select"].keys() >= {"grape/bs", "grape/bm", "mixed/bs", "few-steps/bm"}


def test_every_key_is_described():
    def walk(part, where):
        for key, value in part.get("properties", {}).items():
            assert schema.resolve(value).get("description"), f"{where}.{key} has no description"
            walk(value, f"{where}.{key}")

    walk(schema.read(), "config")
    for name, part in schema.read()["$defs"].items():
        walk(part, name)
