"""What makes training data in the config: derived corpora, stripped teachers, suites that are removed; and their cells."""

import copy
import json
import re
from pathlib import Path

import pytest
import yaml
from teachergrid.errors import BadInput
from teachergrid.grid import config_docs
from teachergrid.grid.cells import Cells
from teachergrid.grid.config import checked
from teachergrid.spec import canonical, schema
from workspace import ROOT, setting


def best(**settings):
    return lambda config: config["corpora"]["best"].update(settings)


def stripped(config, **settings):
    config["teachers"]["plain"] = {"engine": "stripped", "of": "large", **settings}


def of_a_set(config):
    """Task gsm consists of the set that is decontaminated."""
    config["tasks"]["gsm"] = {"instructions": "seed", "checker": {}}
    config["instructions"]["seed"]["decontaminate"] = ["math"]


BAD = {
    "a mix of an unknown metric": (
        best(by={"cars": 1}),
        "config.corpora.best.by: there is no 'cars', did you mean 'car'?",
    ),
    "a metric of whole corpora": (best(by="borrowed"), "'borrowed' .borrowed. has no value of a single response"),
    "no metric": (lambda c: c["corpora"]["best"].pop("by"), "config.corpora.best.by: `choose: best` needs a metric"),
    "a weight of 0": (best(by={"car": 0}), "config.corpora.best.by"),
    "ratios without a draw": (
        best(ratios={"small": 1, "large": 1}),
        "ratios need a random choice; write `choose: random`",
    ),
    "an unknown ratio": (
        best(choose="random", ratios={"smal": 1}),
        "best.ratios: there is no 'smal', did you mean 'small'?",
    ),
    "a ratio too few": (
        best(choose="random", ratios={"small": 1}),
        "best.ratios: there is none for 'large'; state one for each",
    ),
    "share and rows": (best(share=0.5, rows=3), "best: state either `share` or `rows`"),
    "quotas of all": (best(each=["category"]), "best.each: needs `share` or `rows`"),
    "an unknown counter": (best(tokens=9, counted_by="x"), "best.counted_by: there is no 'x'"),
    "tokens that no format counts": (
        lambda c: (best(tokens=9)(c), c.update(likelihood={"formats": ["plain"]})),
        "counted in chat format; add it to config.likelihood.formats",
    ),
    "stripped of nobody": (lambda c: stripped(c, of=None), "engine 'stripped' needs the key 'of'"),
    "stripped of an unknown": (lambda c: stripped(c, of="big"), "config.teachers.plain.of: there is no 'big'"),
    "stripped twice": (
        lambda c: (stripped(c), c["teachers"].update(two={"engine": "stripped", "of": "plain"})),
        "stripped itself",
    ),
    "an unknown suite": (
        setting("instructions", "seed", "decontaminate", to=["maths"]),
        "there is no 'maths', did you mean",
    ),
    "a set without itself": (of_a_set, "task 'gsm' of suite 'math' consists of config.instructions.seed"),
}


@pytest.mark.parametrize("name", BAD)
def test_errors_name_the_key_and_the_remedy(small, name):
    change, message = BAD[name]
    change(small)
    with pytest.raises(BadInput, match=message):
        checked(small)


def cells(config: dict) -> Cells:
    return Cells(checked(copy.deepcopy(config)))


def selected(config: dict, **settings) -> tuple[str, dict]:
    """Return the variant and the row of the corpus `best` on base q."""
    config = copy.deepcopy(config)
    best(**settings)(config)
    table = cells(config)
    (variant,) = table.rows["finetune"]["q__best__sft__s1"]["variant"]
    return variant, table.rows["select"][f"best/{variant}"]


def test_what_a_corpus_reads(small):
    small["metrics"]["rm"] = {"formula": "reward_mean", "reward": "rm"}
    variant, row = selected(small)
    assert (variant, row["rewards"], row["scorers"], row["instructions"]) == ("q", ["rm"], ["q"], [])
    # no metric, no likelihoods: one file for all bases
    variant, row = selected(small, by=None, choose="random")
    assert (variant, row["rewards"], row["scorers"]) == ("any", [], [])
    assert json.loads(row["spec"])["metrics"] == {}
    variant, row = selected(small, by={"rm": 1, "length": 2}, share=0.5, each=["category"])
    assert (variant, row["rewards"], row["instructions"]) == ("any", ["rm"], ["seed"])
    assert list(json.loads(row["spec"])["metrics"]) == ["length", "rm"]
    # tokens are those of the base that learns
    assert selected(small, by="rm", tokens=9)[0] == "q" and selected(small, by="rm", tokens=9)[1]["scorers"] == ["q"]
    assert selected(small, by="rm", tokens=9, counted_by=None)[0] == "any"
    assert selected(small, by="rm", tokens=9, counted_by="w")[1]["scorers"] == ["w"]


def test_defaults_stay_out_of_the_spec(small):
    defaults = {
        key: part["default"] for key, part in schema.definition("corpus")["properties"].items() if "default" in part
    }
    assert selected(small, **{**defaults, "by": "car"})[1]["spec"] == selected(small)[1]["spec"]
    assert json.loads(selected(small)[1]["spec"])["corpus"].keys() == {"instructions", "by", "seed"}
    # a list's order, a number's form and the order of keys decide nothing
    drawn = {"choose": "random", "by": None}
    one, two = ({"small": 1, "large": 3.0}, {"large": 3, "small": 1.0})
    assert selected(small, **drawn, ratios=one)[1]["spec"] == selected(small, **drawn, ratios=two)[1]["spec"]


@pytest.mark.parametrize(
    ("settings", "rows"), [({}, 10), ({"choose": "all"}, 30), ({"share": 0.25}, 3), ({"choose": "all", "rows": 7}, 7)]
)
def test_how_many_rows_a_student_of_it_sees(small, settings, rows):
    (small_file := small["instructions"]["seed"]).update(sample=10)
    small["teachers"]["small"]["sampling"]["samples"] = 2
    best(**settings)(small)
    assert cells(small).rows["finetune"]["q__best__sft__s1"]["rows"] == rows and small_file["sample"] == 10


def test_a_stripped_teacher_reads_the_raw_responses(small):
    stripped(small)
    small["grids"]["teachers"]["teachers"] = ["plain"]
    small["models"]["large"]["family"] = "Big"
    small["teachers"]["large"]["sampling"]["samples"] = 3
    table = cells(small)
    row = table.rows["generate"]["seed__plain"]
    assert row["files"] == ["results/responses/seed__large.parquet"] and row["gpus"] == 0
    assert row["spec"] == '{"teacher": {"engine": "stripped"}}'
    assert row["rows"] == table.rows["generate"]["seed__large"]["rows"] > 0
    # it is scored like any other; of the raw ones nothing else is asked
    assert "rm/seed__plain" in table.rows["reward"] and "q__seed__plain__sft__s1" in table.rows["finetune"]
    labels = canonical.load(table.rows["correlate"]["teachers"]["spec"])["teachers"]["plain"]
    assert (labels["model"], labels["family"]) == ("large", "Big")


def test_a_set_without_the_prompts_of_suites(small):
    before = cells(small).rows["load_instructions"]["seed"]
    assert before["prompts"] == [] and "decontaminate" not in before["spec"] and "tasks" not in before["spec"]
    small["instructions"]["seed"]["decontaminate"] = ["math", "chat"]
    table = cells(small)
    row = table.rows["load_instructions"]["seed"]
    assert row["prompts"] == ["config/gsm.jsonl", "config/ifeval.jsonl"]
    assert list(canonical.load(row["spec"])["tasks"]) == ["gsm", "ifeval"]
    # which suite holds a task, and how it is asked and checked, is no matter of the set
    small["suites"]["both"] = {"tasks": ["gsm", "ifeval"]}
    small["instructions"]["seed"]["decontaminate"] = ["both"]
    small["tasks"]["gsm"].update(prompt_version=2, checker_version=2)
    assert cells(small).rows["load_instructions"]["seed"] == row
    # a task may consist of another set, whose job comes first
    small["tasks"]["gsm"] = {"instructions": "evolved", "checker": {}}
    small["grids"].pop("instructions")
    table = cells(small)
    assert table.rows["load_instructions"]["seed"]["prompts"][0] == "results/instructions/evolved.parquet"
    assert "evolved" in table.rows["load_instructions"]


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
