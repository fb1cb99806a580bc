"""Rows that the config alone decides: of derived corpora, stripped teachers, and sets without the prompts of suites."""

import copy
import json
from pathlib import Path

import pytest
from teachergrid.errors import BadInput
from teachergrid.grid.cells import Cells
from teachergrid.grid.config import checked
from teachergrid.hub import needs
from teachergrid.spec import canonical, schema


def best(**settings):
    return lambda config: config["corpora"]["best"].update(settings)


def stripped(config, **settings):
    config["teachers"]["plain"] = {"engine": "stripped", "of": "large", **settings}


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


def test_distributions_are_read_where_a_metric_needs_them(small):
    plain = cells(small)
    small["likelihood"] = {"distributions": True}
    kept = cells(small)
    assert not any(row["expecting"] for row in kept.rows["metric"].values())
    for name, row in plain.rows["likelihood"].items():
        changed = json.loads(kept.rows["likelihood"][name]["spec"])
        assert changed.pop("likelihood") == {"distributions": True}
        assert changed == {key: value for key, value in json.loads(row["spec"]).items() if key != "likelihood"}
    # a metric of them changes no spec of a job that loads a model
    small["metrics"]["lark"] = {"formula": "lark"}
    measured = cells(small)
    for row in measured.rows["metric"].values():
        assert row["expecting"] == (row["scorers"] if "lark" in row["metrics"] else [])
    assert all(not row["expecting"] for row in measured.rows["select"].values())
    assert measured.rows["likelihood"] == kept.rows["likelihood"]
    assert selected(small, by="lark")[1]["expecting"] == ["q"]


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
    Path("config/seed.jsonl").write_text('{"prompt": "p"}\n' * 10)
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


def test_what_only_costs_under_an_engine_is_not_in_its_spec(small):
    """batch, shard, attention: of transformers they move bits, of vLLM they do not. How many GPUs share a model never counts."""

    def specs(engine, **change) -> tuple[str, str]:
        config = copy.deepcopy(small)
        of_teacher = {key: change[key] for key in ("batch", "shard") if key in change}
        config["teachers"]["large"] |= {"engine": engine, **of_teacher}
        config["suites"]["math"] |= {"engine": engine, **of_teacher}
        for model in ("large", "q"):
            config["models"][model] |= {key: change[key] for key in change.keys() - of_teacher.keys()}
        rows = cells(config).rows
        return rows["generate"]["seed__large"]["spec"], rows["answer"]["q-raw/math"]["spec"]

    for key, value in {"batch": 5, "shard": 5, "attention": "eager"}.items():
        assert specs("vllm", **{key: value}) == specs("vllm")
        assert all(
            now != then for now, then in zip(specs("transformers", **{key: value}), specs("transformers"), strict=True)
        )
    for engine in ("transformers", "vllm"):
        assert specs(engine, tensor_parallel=2, gpus=4) == specs(engine)
        assert all(now != then for now, then in zip(specs(engine, dtype="float32"), specs(engine), strict=True))
    assert all('"engine": "vllm"' in text for text in specs("vllm"))
    assert not any("engine" in text for text in specs("transformers")), "as before there was a choice"


COMMIT = "a" * 40


def zoo(source="hub:org/zoo", revision=COMMIT, names=("Q-72B", "g-9b")):
    """A grid of published teachers with a stored reward and two bases, in which nothing is generated."""
    return {
        "models": {"q-72b": {"repo": "org/never-loaded"}, "one": {"repo": "org/one"}, "two": {"repo": "org/two"}},
        "instructions": {"set": {"source": "hub:org/zoo", "revision": COMMIT, "sample": 9}},
        "zoos": {
            "zoo": {
                "source": source,
                "revision": revision,
                "teachers": list(names),
                "fields": {"response": ["{teacher}", "content"]},
            }
        },
        "bases": {name: {"model": name, "template": "own"} for name in ("one", "two")},
        "rewards": {"rm": {"column": "Sky-2-27B", "scale": "sigmoid"}},
        "metrics": {"car": {"formula": "car_mean", "reward": "rm"}},
        "grids": {"g": {"compare": "teacher", "instructions": ["set"], "teachers": "all", "bases": "all"}},
    }


def test_published_teachers_need_no_gpu_but_for_the_likelihoods():
    rows = cells(zoo()).rows
    assert sorted(rows["generate"]) == ["set__g-9b", "set__q-72b"]
    assert sorted(rows["likelihood"]) == [
        f"{base}/set__{name}" for base in ("one", "two") for name in ("g-9b", "q-72b")
    ]
    assert not rows["answer"] and not rows["finetune"] and not rows["judge"]
    for row in (*rows["generate"].values(), *rows["reward"].values()):
        assert row["gpus"] == 0 and row["files"] == []
    teacher = {"fields": {"response": ["g-9b", "content"]}, "revision": COMMIT, "source": "hub:org/zoo"}
    assert json.loads(rows["generate"]["set__g-9b"]["spec"]) == {"teacher": {"engine": "existing", **teacher}}
    reward = json.loads(rows["reward"]["rm/set__g-9b"]["spec"])
    assert reward == {
        "reward": {"column": "Sky-2-27B", "scale": "sigmoid"},
        "teacher": {"engine": "existing", **teacher},
    }
    # one data set and two bases are fetched, and not the model that only tells a teacher's size
    specs = {row["spec"] for rule in rows.values() for row in rule.values()}
    needed, _ = needs.needs(specs)
    assert [(need.kind, need.repo) for need in needed] == [
        ("dataset", "org/zoo"),
        ("model", "org/one"),
        ("model", "org/two"),
    ]


def test_a_further_published_teacher_is_a_further_column():
    """It changes no job of the others that reads the source or loads a model."""
    before, after = cells(zoo()).rows, cells(zoo(names=("Q-72B", "g-9b", "new"))).rows
    for rule in ("load_instructions", "generate", "reward", "likelihood"):
        assert before[rule].items() <= after[rule].items()
        assert all(cell.endswith("__new") for cell in after[rule].keys() - before[rule].keys())


def test_another_commit_or_column_is_another_result():
    rows = cells(zoo()).rows
    for changed in (zoo(revision="b" * 40), zoo() | {"rewards": {"rm": {"column": "Armo"}}}):
        other = cells(changed).rows
        assert rows["reward"]["rm/set__g-9b"]["spec"] != other["reward"]["rm/set__g-9b"]["spec"]
    assert rows["generate"] == other["generate"]


def test_a_file_of_published_teachers_is_an_input(tmp_path):
    """Its content counts, so its name is not in the spec."""
    rows = []
    for name in ("a.jsonl", "b.jsonl"):
        path = tmp_path / name
        path.write_text('{"instruction": "a", "Q-72B": {"content": "b"}}\n')
        table = cells(zoo(source=str(path), revision=None)).rows
        rows.append((table["generate"]["set__g-9b"], table["reward"]["rm/set__g-9b"]))
        assert [row["files"] for row in rows[-1]] == [[str(path)]] * 2
    assert [row["spec"] for row in rows[0]] == [row["spec"] for row in rows[1]]


def test_stored_rewards_of_a_teacher_that_generates_are_refused():
    config = zoo()
    config["teachers"] = {"own": {"model": "one"}}
    with pytest.raises(BadInput, match=r"config\.rewards\.rm\.column: the teacher of 'set__own' has no `source`"):
        cells(config)
