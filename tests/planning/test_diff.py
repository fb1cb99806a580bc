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
