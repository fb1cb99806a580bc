"""What-if variants: the changed config and cluster, without a plan of each."""

import json
import shutil
from types import SimpleNamespace

import pytest
import yaml
from plan_documents import HOUR, chain
from teachergrid.cost import machines
from teachergrid.errors import BadInput
from teachergrid.grid.cells import Cells
from teachergrid.grid.config import checked
from teachergrid.planning import pools, whatif
from teachergrid.planning.document import Setting
from workspace import ROOT, SMALL


@pytest.fixture
def variant(small, monkeypatch):
    """Return a function: the config and the setting of a change of the small grid on two kinds of GPUs."""
    monkeypatch.setattr(whatif.options, "configured", lambda args: small)
    cluster = pools.parse("h100=4,a100=8@48h,cpu=16")
    setting = Setting([], SimpleNamespace(), cluster, None, None, machines.read(), 4)

    return lambda change: whatif.changed(change, setting)[:2]


def test_the_given_config_stays_as_it_is(variant, small):
    before = yaml.safe_load((SMALL / "config.yaml").read_text())
    for change in ("without-teacher=large", "lora", "gpu=a100", "instructions=0.5"):
        variant(change)
    assert small == before


def test_another_gpu_takes_the_place_of_all(variant, small):
    small["models"]["large"]["gpu_model"] = "h100"
    config, setting = variant("gpu=l40s")
    assert setting.gpu == "l40s" and "gpu_model" not in config["models"]["large"]
    # as many as there were, with the limit of the larger pool
    assert setting.cluster.amounts() == {"l40s": 12, "cpu": 16}
    assert setting.cluster.pools["l40s"].limit_s == 48 * HOUR
    assert whatif.exchanged(pools.parse("cpu=2"), "l40s").amounts() == {"cpu": 2}


def test_a_teacher_or_base_less(variant, small):
    block = small["grids"]["teachers"]
    block["exclude"] = [{"teacher": "large", "base": "w"}, {"teacher": "small", "base": "w"}]
    config, _ = variant("without-teacher=large")
    assert config["grids"]["teachers"]["teachers"] == ["small"], "`all` is written out"
    assert config["corpora"]["best"]["teachers"] == ["small"]
    # a pattern of the missing teacher would match nothing
    assert config["grids"]["teachers"]["exclude"] == [{"teacher": "small", "base": "w"}]
    config, _ = variant("without-base=w")
    assert config["grids"]["teachers"]["bases"] == ["q"] and config["grids"]["teachers"]["exclude"] == []
    assert "bases" not in config["corpora"]["best"]


def test_fewer_instructions_seeds_and_weights_together(variant, small):
    small["grids"]["teachers"]["seeds"] = [1, 2, 3]
    small["instructions"]["seed"]["sample"] = 10
    small["recipes"]["own"] = {"lora": {"r": 8}}
    config, setting = variant("instructions=0.25+seeds=2 + lora")
    assert config["instructions"]["seed"]["sample"] == 2 and config["instructions"]["evolved"]["sample"] == 1
    assert config["grids"]["teachers"]["seeds"] == [1, 2]
    assert config["recipes"]["sft"]["lora"] == whatif.LORA and config["recipes"]["own"]["lora"] == {"r": 8}
    assert setting.gpu is None and setting.cluster.amounts() == {"h100": 4, "a100": 8, "cpu": 16}


def test_all_that_generates_does_so_by_another_engine(variant, small):
    small["teachers"]["plain"] = {"engine": "stripped", "of": "large"}
    config, _ = variant("engine=vllm")
    assert {name: entry.get("engine") for name, entry in config["teachers"].items()} == {
        "small": "vllm",
        "large": "vllm",
        "plain": "stripped",
    }
    assert {entry["engine"] for entry in config["suites"].values()} == {"vllm"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("without-teachers=a", r"no such change, did you mean 'without-teacher'\?"),
        ("without-teacher=larg", r"no such teacher, did you mean 'large'\?"),
        ("without-base=large", "no such base"),
        ("instructions=2", "a share of at most 1"),
        ("instructions=0", "a number above 0"),
        ("seeds=two", "a number above 0"),
        ("engine=existing", "there is no 'existing'; known: transformers, vllm"),
        ("gpu=h1000", "no GPU type 'h1000'"),
        ("lora+list", "no such change"),
    ],
)
def test_mistakes(variant, change, message):
    with pytest.raises(BadInput, match=message):
        variant(change)


def test_variants_are_shown_side_by_side():
    unknown = chain() | {"schedule": None, "no_schedule": "no GPUs"}
    lines = whatif.text([("as planned", chain()), ("gpu=a100", unknown)], 80).splitlines()
    assert [line.split()[-1] for line in lines] == ["takes", "h", "unknown"] and "5.0 h" in lines[1]


# --- what a change leaves empty

SHIPPED = ["config/config.yaml", "config/paper_car.yaml", "config/alpaca_eval.yaml", "tests/small/config.yaml"]


@pytest.mark.parametrize("path", SHIPPED)
def test_every_change_of_every_shipped_config_is_a_grid(path, tmp_path, monkeypatch):
    """Or it is refused because no grid is left, and says so."""
    if path == "config/alpaca_eval.yaml" and not (ROOT / "data/alpaca_eval").exists():
        pytest.skip("its data are not part of the project: put them, or a link, in data/alpaca_eval")
    config = yaml.safe_load((ROOT / path).read_text())
    if path.startswith("tests"):
        shutil.copytree(SMALL, tmp_path / "config")
    monkeypatch.chdir(tmp_path if path.startswith("tests") else ROOT)
    monkeypatch.setattr(whatif.options, "configured", lambda args: config)
    setting = Setting(
        [], SimpleNamespace(), pools.parse("h100=4"), None, None, machines.read(ROOT / "config/machines.yaml"), 4
    )
    changes = [
        f"without-{word}={name}" for word, key in (("teacher", "teachers"), ("base", "bases")) for name in config[key]
    ]
    for change in [*changes, "engine=vllm", "instructions=0.5", "instructions=0.0001", "lora", "seeds=1", "gpu=a100"]:
        try:
            changed, _, notes = whatif.changed(change, setting)
        except BadInput as error:
            assert "no grid is left; without" in str(error) and change.startswith("without-"), error
            continue
        cells = Cells(checked(changed))
        assert {*changed["grids"]} == {*config["grids"]} - {
            note.split()[2].rstrip(",") for note in notes if "without grid" in note
        }
        word, _, name = change.removeprefix("without-").partition("=")
        students = json.dumps([*cells.rows["finetune"]])
        assert not (word == "teacher" and f"__{name}__" in students)
        assert not (word == "base" and f'"{name}__' in students)


def test_what_a_change_leaves_empty_goes_and_is_told(variant, small):
    grids = small["grids"]
    grids["one"] = {**grids["teachers"], "bases": ["w"], "corpora": []}
    grids["teachers"] |= {"seeds": [1, 2], "exclude": [{"seed": 2, "base": "q"}]}
    setting = Setting([], SimpleNamespace(), pools.parse("h100=4"), None, None, machines.read(), 4)
    config, _, notes = whatif.changed("without-base=w", setting)
    assert "one" not in config["grids"] and notes == ["without grid one, which is left empty"]
    # a pattern that matches nothing any more would be refused
    assert variant("seeds=1")[0]["grids"]["teachers"]["exclude"] == []
    grids["teachers"] |= {"pilot": {"sample": 2, "by": ["car"], "keep": 1}}
    config, _, notes = whatif.changed("without-teacher=large", setting)
    assert config["grids"]["teachers"]["pilot"] is None
    assert "without the pilot of grid teachers, which would keep every teacher" in notes
    assert variant("instructions=0.5")[0]["grids"]["teachers"]["pilot"]["sample"] == 1
    grids["teachers"]["pilot"] = None
    with pytest.raises(BadInput, match="no grid is left; without grid"):
        whatif.changed("without-base=w+without-base=q", setting)
