"""AutoIF's steps: which sets they add, and what each is made from."""

import copy

import pytest
import yaml
from teachergrid.cost import machines, throughput, workload
from teachergrid.errors import BadInput
from teachergrid.evolution import methods
from teachergrid.grid import config
from teachergrid.grid.builder import Builder
from teachergrid.spec import canonical

BASE = """
seed: 1
models: {a: {repo: org/a, revision: sha256-1, parameters: 1}}
instructions: {q: {source: q.jsonl}}
teachers:
  small: {model: a, sampling: {temperature: 0.7}}
  large: {model: a, sampling: {temperature: 0.7}, system: Be large.}
  greedy: {model: a}
  thinks: {engine: stripped, of: greedy}
evolutions:
  one: {of: q, by: small, method: autoif, autoif: {calls: 2, each: 3}}
bases: {b: {model: a, template: own}}
metrics: {length: {formula: length}}
grids: {g: {compare: teacher, instructions: [one.r1], teachers: [small], bases: [b], metrics: [length]}}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "q.jsonl").write_text('{"instruction": "What would you say about rice?"}\n')


def changed(**entry):
    given = yaml.safe_load(BASE)
    one = given["evolutions"]["one"]
    own = entry.pop("autoif", {})
    one.update(entry)
    one["autoif"] = one["autoif"] | own
    return given


def specs(given) -> dict[str, str]:
    """Return {set: its spec and what it reads}."""
    full = config.checked(copy.deepcopy(given))
    build = Builder(full)
    found = {}
    for name in full["instructions"]:
        row = build.instructions(name)
        found[name] = f"{row['spec']} {row['sets']} {row['responses']}"
    return found


def made(given, name):
    full = config.checked(given)
    return canonical.load(Builder(full).instructions(name)["spec"])["made"]["settings"]


ALL = [
    "instruct.asked",
    "instruct",
    "functions.asked",
    "functions",
    "back.asked",
    "nli.asked",
    "verified",
    "r1",
]


def test_each_stage_is_a_set_with_as_many_rows_as_it_may_have():
    full = config.checked(changed())
    build = Builder(full)
    rows = {name: build.instructions(name)["rows"] for name in full["instructions"] if name != "q"}
    constraints = 36 + 2 * 3
    most = [
        2,
        constraints,
        8 * constraints,
        constraints,
        3 * constraints,
        3 * constraints,
        constraints,
        16 * constraints,
    ]
    assert rows == {f"one.{name}": number for name, number in zip(ALL, most, strict=True)}
    assert build.instructions("one.r1")["sets"] == [
        "results/instructions/one.verified.parquet",
        "results/instructions/q.parquet",
    ]


def test_as_published_leaves_back_translation_and_cleaning_out():
    published = changed(as_published=True)
    assert [name for name in specs(published) if name != "q"] == [f"one.{name}" for name in [*ALL[:4], "r1"]]
    assert made(published, "one.instruct")["clean"] is False
    rule = made(published, "one.functions")
    assert (rule["functions"], rule["cases"], rule["case_share"], rule["function_share"]) == (1, 1, 0, 0.8)
    assert made(published, "one.instruct.asked")["shuffle"] is False
    assert [*specs(changed(autoif={"back_translated": 0}))][1:] == [f"one.{name}" for name in [*ALL[:4], "r1"]]


@pytest.mark.parametrize(
    ("entry", "anew"),
    [
        ({"autoif": {"queries": 8}}, ["r1"]),
        ({"autoif": {"constraints": 5}}, ["r1"]),
        ({"autoif": {"nli_by": "large"}}, ["verified"]),
        ({"autoif": {"back_translated": 2}}, ["back.asked"]),
        ({"autoif": {"crosscheck": {"rule": "code"}}}, ["functions"]),
        ({"autoif": {"crosscheck": {"function_share": 0.9}}}, ["functions"]),
        ({"autoif": {"functions": 4}}, ["functions.asked"]),
        ({"autoif": {"calls": 3}}, ["instruct.asked"]),
        ({"prompts": "own.yaml"}, ["nli.asked"]),
        ({"by": "large"}, ["instruct", "functions", "nli.asked", "verified"]),
    ],
)
def test_a_setting_makes_only_its_own_stage_anew(entry, anew, tmp_path):
    """What follows from a set is made again by its bytes, so only specs count here."""
    (tmp_path / "own.yaml").write_text("entailment: Does {premise} contradict {hypothesis}?")
    before, after = specs(changed()), specs(changed(**copy.deepcopy(entry)))
    assert sorted(name for name in after if before.get(name) != after[name]) == sorted(f"one.{name}" for name in anew)


def test_evolvers_share_prompts_and_draws():
    given = changed()
    given["evolutions"]["two"] = given["evolutions"]["one"] | {"by": "large"}
    found = specs(given)
    assert found["one.instruct.asked"] == found["two.instruct.asked"]
    assert canonical.load(found["one.r1"].partition(" [")[0]) == canonical.load(found["two.r1"].partition(" [")[0])


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"rounds": 2}, r"config.evolutions.one.rounds: method autoif has no such thing"),
        ({"operators": ["deepen"]}, "one.operators: method autoif has no such thing"),
        ({"by": "greedy"}, "one.by: teacher 'greedy' is greedy, so that all 8 functions"),
        ({"by": "thinks"}, "one.by: teacher 'thinks' is greedy"),
        ({"autoif": {"nli_by": "larg"}}, "larg"),
        ({"autoif": {"longest": 21}}, "autoif.longest: no text has more than 20 and fewer than 21 characters"),
        ({"autoif": {"shown": 37}}, "autoif.shown: there are 36 seeds"),
        ({"prompts": "own.yaml"}, r"the text `functions` has no \{instruction\}"),
        ({"prompts": "seeds.yaml"}, "`seeds` is no list of texts"),
    ],
)
def test_what_contradicts_itself(entry, said, tmp_path):
    (tmp_path / "own.yaml").write_text("functions: Write a function.")
    (tmp_path / "seeds.yaml").write_text("seeds: []")
    with pytest.raises(BadInput, match=said):
        config.checked(changed(**entry))


def test_one_function_may_be_written_greedily():
    config.checked(changed(by="greedy", autoif={"functions": 1}))


def test_a_plan_knows_that_functions_take_time():
    full = config.checked(changed())
    spec = Builder(full).instructions("one.functions")["spec"]
    assert workload.CALLS_FUNCTIONS in methods.STAGES
    assert workload.settings("load_instructions", spec) == (("calls_functions", True),)
    work = workload.Work("load_instructions", 780, 0, 0, 0, 0, 1, workload.settings("load_instructions", spec))
    assert 300 < throughput.seconds(work, machines.read().device("cpu")).work < 600
    assert throughput.seconds(work._replace(settings=()), machines.read().device("cpu")).work < 1


def test_the_seeds_are_single_and_different():
    seeds = made(changed(), "one.instruct.asked")["seeds"]
    assert len(seeds) == len({*seeds}) == 36
