"""A sweep of sampling: which teachers it makes, what is refused, and that the study of a paper is grid lines."""

import pytest
import yaml
from teachergrid.errors import BadInput
from teachergrid.grid.cells import Cells
from teachergrid.grid.config import checked
from teachergrid.spec import canonical
from workspace import ROOT


def config(sweep, sampling=None, **more) -> dict:
    teacher = {"model": {"repo": "org/t"}, "sampling": sampling or {}, "sweep": sweep}
    return {
        "instructions": {"set": {"source": "hub:org/set", "sample": 10}},
        "teachers": {"t": teacher | more},
        "bases": {"b": {"model": {"repo": "org/b"}, "template": "own"}},
        "metrics": {"nll": {"formula": "nll_mean"}},
        "grids": {"g": {"compare": "teacher", "instructions": ["set"], "teachers": "all", "bases": "all"}},
    }


def specs(found: dict) -> dict[str, str]:
    return {cell: row["spec"] for cell, row in Cells(checked(found)).rows["generate"].items()}


def test_each_combination_is_a_teacher_and_the_first_one_stays():
    made = specs(config({"top_p": [0.9, 1], "temperature": [0.7, 1.0]}, {"max_tokens": 9}))
    assert set(made) == {f"set__t{end}" for end in ("", "-t0.7-p0.9", "-t0.7-p1", "-t1-p0.9", "-t1-p1")}
    # each is the teacher that one would have written out, and the first one's responses are not made again
    alone = config({}, {"max_tokens": 9})
    assert made["set__t"] == specs(alone)["set__t"]
    alone["teachers"]["t"]["sampling"] |= {"temperature": 0.7, "top_p": 0.9}
    assert made["set__t-t0.7-p0.9"] == specs(alone)["set__t"]
    assert len(set(made.values())) == 5


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (config({"temperature": [0, 1]}), r"sweep: 't-t0' would be 't' again; leave these values out"),
        (config({"top_p": [0.9]}), "a temperature of 0 draws nothing, .* set `sampling.temperature`"),
        (config({"temperature": []}), r"config.teachers.t.sweep.temperature: \[\] should be non-empty"),
        (config({"temperature": [1, 1]}), "state each once"),
        (config({"temperature": [3, "x"]}), "config.teachers.t.sweep.temperature"),
        (config({"temperatur": [1]}), "unknown key 'temperatur', did you mean 'temperature'"),
        (
            config({"temperature": [1]}, engine="existing", source="a.jsonl"),
            "engine 'existing' draws nothing; leave `sweep` out",
        ),
    ],
)
def test_a_sweep_that_changes_nothing_is_refused(given, says):
    with pytest.raises(BadInput, match=says):
        checked(given)


def test_a_name_that_is_taken_is_refused():
    given = config({"temperature": [1]})
    given["teachers"]["t-t1"] = {"model": {"repo": "org/other"}}
    with pytest.raises(BadInput, match="there is a teacher 't-t1'; rename it"):
        checked(given)


# --- the study of a paper


@pytest.fixture(scope="module")
def study() -> Cells:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return Cells(checked(yaml.safe_load((ROOT / "config/sampling.yaml").read_text())))


BASE, TEACHER = "llama-3.1-minitron-4b", "gemma-2-9b-it"
DRAWN = [f"-t{t}-p{p}" for t in (0.3, 0.7, 1) for p in (0.8, 0.9, 1)]


def test_the_study_has_exactly_these_responses_and_students(study):
    responses = {f"magpie__{TEACHER}{end}" for end in ("", *DRAWN, "-n5")}
    assert set(study.rows["generate"]) == responses
    chosen = {f"{choice}-{by}" for choice in ("best", "worst") for by in ("armorm", "skywork")} | {"random"}
    corpora = {name.removeprefix("results/") for name in (*responses, *chosen)}
    assert set(study.rows["finetune"]) == {f"{BASE}__{corpus}__paper__s1" for corpus in corpora}
    # rewards of the five samples alone: no other row is chosen by one
    assert set(study.rows["reward"]) >= {f"{reward}/magpie__{TEACHER}-n5" for reward in ("armorm", "skywork")}
    assert {row["rows"] for row in study.rows["select"].values()} == {5 * 100_000}


def test_students_learn_from_one_sample_or_from_all(study):
    rows = {name.split("__")[1]: row["rows"] for name, row in study.rows["finetune"].items() if "magpie" not in name}
    assert set(rows.values()) == {100_000}
    assert study.rows["finetune"][f"{BASE}__magpie__{TEACHER}-n5__paper__s1"]["rows"] == 500_000
    entries = {cell: canonical.load(row["spec"])["corpus"] for cell, row in study.rows["select"].items()}
    assert {cell.split("/")[0]: entry["choose"] for cell, entry in entries.items()} == {
        "best-armorm": "best", "best-skywork": "best", "worst-armorm": "worst", "worst-skywork": "worst", "random": "random"
    }  # fmt: skip
