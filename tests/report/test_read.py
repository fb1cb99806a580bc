"""Files that a report is made of."""

import json
from types import SimpleNamespace

from teachergrid.hub import folders
from teachergrid.report import read
from teachergrid.store import artifacts, origin
from teachergrid.store.contents import Contents


def test_what_a_report_reads(data, tmp_path):
    """The pilot of its grid, with what it lost by the table of the grid that trained all."""
    found = {"bases": {"bs": {"kept": ["steps-s"]}}}
    (tmp_path / "pilot.json").write_text(json.dumps(found))
    rows = data["performance"]
    artifacts.write(tmp_path / "performance.parquet", rows, artifacts.PERFORMANCE, None)
    given = SimpleNamespace(pilots=[tmp_path / "pilot.json"], complete=[])
    assert read.pilot(given, {"saved": {"students_kept": 1}}) == found | {"saved": {"students_kept": 1}, "regret": None}
    given.complete = [tmp_path / "performance.parquet"]
    ap = {r["teacher"]: r.get("value") for r in rows if (r["measure"], r["kind"], r["base"]) == ("AP", "student", "bs")}
    (row,) = read.pilot(given, {"saved": {}})["regret"]
    assert row["regret"] == ap["steps-l"] - ap["steps-s"] > 0 and row["best"] == "steps-l"
    assert read.pilot(SimpleNamespace(pilots=[], complete=[]), {}) is None


def test_a_judge_whose_reward_is_in_a_metric_is_named():
    judges = {"wins": {"reward": "rm"}}
    (note,) = read.circular_notes(judges, {"wins": ["car", "another"]})
    assert "wins" in note and "the reward rm" in note and "another, car" in note
    assert read.circular_notes(judges, {}) == []


def test_a_judge_of_a_teachers_family_is_told():
    kin = {"lm": {"family": "GPT", "names": ["gpt-mini"]}, "wins": {"family": None, "names": ["t"]}}
    first, second = read.family_notes(kin)
    assert first.startswith("The judge lm is of the family GPT, as gpt-mini: it may favour")
    assert second.startswith("The judge wins is the model behind t: it may favour")
    assert read.family_notes({}) == []


def test_a_reward_that_hardly_tells_right_from_wrong_is_named():
    quality = [
        {"reward": name, "same_prompt_accuracy": accuracy, "n_pairs": 12}
        for name, accuracy in (("weak", 0.628), ("good", 0.75), ("unknown", None))
    ]
    (note,) = read.weak(quality)
    assert "The reward weak" in note and "63 % of 12 pairs" in note


def rewards(path, **values):
    rows = [{"id": id, "sample": 0, "reward": value} for id, value in values.items()]
    artifacts.write(path, artifacts.table(rows, artifacts.REWARDS), artifacts.REWARDS, None)
    return str(path)


def test_a_reward_of_0_and_1_alone_is_a_verifier_and_the_measure_of_the_others(tmp_path):
    paths = []
    for name, a, b in (("check", {"i": 1.0, "j": None}, {"i": 0.0}), ("rm", {"i": 0.9, "j": 0.1}, {"i": 0.3})):
        (tmp_path / name).mkdir()
        paths += [rewards(tmp_path / name / "pool__a.parquet", **a), rewards(tmp_path / name / "pool__b.parquet", **b)]
    assert read.is_verifier(dict(enumerate(paths[:2]))) and not read.is_verifier(dict(enumerate(paths)))
    (row,) = read.reward_quality(paths)
    assert (row["reward"], row["n_pairs"], row["same_prompt_accuracy"]) == ("rm", 1, 1.0)
    assert read.reward_quality(paths[2:]) == []


def test_what_was_removed_comes_before_what_is_still_shared(tmp_path):
    def items(*texts):
        rows = [
            {"id": text, "messages": [{"role": "user", "content": text}], "source": "t", "round": 0} for text in texts
        ]
        return artifacts.table(rows, artifacts.INSTRUCTIONS)

    path = tmp_path / "pool.parquet"
    artifacts.write(path, items("name three red fruits", "another one"), artifacts.INSTRUCTIONS, None)
    prompts = {"fruit": items("name three red fruits")}
    (row,) = read.contaminated(str(path), prompts)
    assert (row["instructions"], row["task"], row["how"], row["removed"]) == ("pool", "fruit", "equal", False)
    gone = artifacts.table([{**row, "id": "gone", "removed": True}], artifacts.CONTAMINATION)
    artifacts.write(f"{path}.removed", gone, artifacts.CONTAMINATION, None)
    assert [found["id"] for found in read.contaminated(str(path), prompts)] == ["gone", "name three red fruits"]


def test_a_model_folder_is_shown_by_the_digest_that_made_the_rows(tmp_path, monkeypatch):
    """As a commit is: that which the responses record; else, and for a base, as the folder is now."""
    monkeypatch.setenv("TEACHERGRID_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(name)
    made_from = origin.of("generate", "{}", [], {"a": f"sha256:{'1' * 64}"})
    responses = tmp_path / "r.parquet"
    artifacts.write(responses, [], artifacts.REWARDS, made_from)
    models = {
        "teacher": {"repo": "a", "revision": None},
        "base": {"repo": "b", "revision": None},
        "hub": {"repo": "org/name", "revision": "c" * 40},
        "none": {"repo": "org/other", "revision": None},
    }
    settings = {"grid": {"seeds": [1], "seed": 2}}
    shown = read.provenance(settings, models, {"spec": "{}", "inputs": {}}, read.digests([str(responses)]))["models"]
    now = folders.digest("b", Contents("b"))
    assert shown == {
        "teacher": f"a (folder sha256:{'1' * 12})",
        "base": f"b (folder {now[:19]})",
        "hub": "c" * 40,
        "none": "org/other (unpinned)",
    }
