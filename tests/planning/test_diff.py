"""The difference of two plans, and a run that is held to the plan that was agreed on."""

import pytest
from plan_documents import job, plan
from teachergrid.errors import BadInput
from teachergrid.planning import archive, diff


def test_the_difference_of_two_plans():
    before = plan([job("generate a", 1), job("generate b", 2)])
    now = plan([job("generate a", 5), job("generate c", 3) | {"because": {"reason": "new teacher", "detail": "c"}}])
    found = diff.between(before, now)
    assert (found["added"]["jobs"], found["removed"]["jobs"], found["changed"]["jobs"], found["kept"]) == (1, 1, 0, 1)
    assert found["added"]["gpu_hours"]["expected"] == 3
    told = diff.text(found, 80)
    assert "+1" in told and "new teacher: c" in told and "-2.0 GPU-h" in told
    assert "the same 2 jobs" in diff.text(diff.between(now, now), 80)
    changed = plan([job("generate a", 1) | {"spec": "1" * 16}, job("generate b", 2)])
    assert changed["hash"] != before["hash"] and diff.between(before, changed)["changed"]["jobs"] == 1


def test_a_plan_is_held_by_its_hash_or_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before, now = plan([job("generate a", 1)]), plan([job("generate a", 1), job("generate b", 2)])
    diff.refuse(now["hash"], now)
    with pytest.raises(BadInput, match="is saved in these results"):
        diff.refuse(before["hash"], now)
    archive.save(before)
    with pytest.raises(BadInput, match=r"from the agreed plan: 1 more \(generate b\)"):
        diff.refuse(before["hash"], now)
    # neither times nor costs are agreed on
    diff.refuse(before["hash"], plan([job("generate a", 9)]))
    assert archive.read(archive.find("last")) == before


def agreed_and_now(change: dict, files: dict) -> tuple[dict, dict]:
    """Return a plan of a set and two responses, and the same plan with another set or other responses."""
    load = job("load_instructions seed", 0.1) | {"files": ["seed.jsonl"]}
    others = [job("generate a", 1), job("generate b", 2)]
    before = plan([load, *others], {"seed.jsonl": "1"})
    return before, plan([load | change.get("load", {}), *(one | change.get("generate", {}) for one in others)], files)


@pytest.mark.parametrize(
    ("change", "files", "told"),
    [
        ({"generate": {"costs": {"gpus": 8, "cpus": 1}}}, {"seed.jsonl": "1"}, "generate a and 1 other: 8 GPUs, was 1"),
        (
            {"generate": {"costs": {"gpus": 1, "cpus": 1, "gpu_model": "a100"}}},
            {"seed.jsonl": "1"},
            "generate a and 1 other: a100 as GPU type, was none",
        ),
        ({}, {"seed.jsonl": "2"}, "seed.jsonl has other contents"),
        (
            {"load": {"files": ["new.jsonl"]}},
            {"new.jsonl": "2"},
            "load_instructions seed: reads new.jsonl, was seed.jsonl",
        ),
    ],
)
def test_a_run_is_held_to_costs_and_contents(tmp_path, monkeypatch, change, files, told):
    monkeypatch.chdir(tmp_path)
    before, now = agreed_and_now(change, files)
    archive.save(before)
    assert before["hash"] != now["hash"]
    with pytest.raises(BadInput) as refused:
        diff.refuse(before["hash"], now)
    assert f"differs from the agreed plan: {told}. Look at" in str(refused.value)
    assert f"the same 3 jobs, but:\n! {told}" in diff.text(diff.between(before, now), 80)
    # the same contents under another name are the same plan
    renamed = agreed_and_now({"load": {"files": ["other.jsonl"]}}, {"other.jsonl": "1"})[1]
    assert renamed["hash"] == before["hash"]
    diff.refuse(before["hash"], renamed)


def test_a_run_is_held_to_the_weights_of_model_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before, same, other, unread = (
        plan([job("generate a", 1)]) | {"folders": {"models/a": f"folder {shown}"}}
        for shown in ("sha256:aa", "sha256:aa", "sha256:bb", "not yet read")
    )
    archive.save(before)
    diff.refuse(before["hash"], same)
    # nobody knows that it changed
    diff.refuse(before["hash"], unread)
    with pytest.raises(BadInput, match="from the agreed plan: models/a has other contents"):
        diff.refuse(before["hash"], other)


def test_a_plan_of_an_earlier_version_cannot_be_agreed_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    now = plan([job("generate a", 1)])
    old = now | {"format": 1, "hash": "1" * 16, "jobs": [{**now["jobs"][0]}]}
    del old["jobs"][0]["costs"], old["jobs"][0]["files"], old["files"]
    archive.save(old)
    with pytest.raises(BadInput, match="an earlier version made this plan"):
        diff.refuse(old["hash"], now)
    assert "the same 1 jobs" in diff.text(diff.between(archive.read(archive.find(old["hash"])), now), 80)
