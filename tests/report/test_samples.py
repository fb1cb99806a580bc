"""What jobs took, how good a reward is, and which responses the page shows."""

import json

import numpy as np
import pytest
from tables import instructions
from teachergrid.report import samples
from teachergrid.store import artifacts


def test_stages_are_summed_over_jobs_and_what_was_not_sampled_is_null(tmp_path):
    line = {"s": 2.5, "h:m:s": "0:00:02", "max_rss": 100.5, "cpu_time": 2.0, "mean_load": 80.0, "io_in": 0.0}
    for path, rows in {
        "finetune/a.jsonl": [line],
        "finetune/deep/b.jsonl": [{**line, "max_rss": 300, "s": 1}],
        "check/c.jsonl": [{**line, "s": 0.25, "max_rss": "NA", "cpu_time": "NA"}],
        "generate/d.jsonl": [line, {**line, "max_rss": "NA", "cpu_time": "NA"}],
        "unheard-of/e.jsonl": [line],
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = samples.stages(tmp_path)
    assert [row["rule"] for row in found] == ["generate", "check", "finetune", "unheard-of"]
    assert found[2] == {"rule": "finetune", "jobs": 2, "wall_s": 3.5, "cpu_s": 4.0, "max_rss_mb": 300}
    assert found[1] == {"rule": "check", "jobs": 1, "wall_s": 0.25, "cpu_s": None, "max_rss_mb": None}
    assert found[0]["wall_s"] == 5.0 and found[0]["cpu_s"] == 2.0
    assert samples.stages(tmp_path / "nothing") == []
    assert samples.timed(tmp_path)[:3] == [("generate", "d"), ("check", "c"), ("finetune", "a")]
    assert samples.timed(tmp_path)[3] == ("finetune", "deep/b")


def test_quality_of_a_reward_by_hand():
    # instruction 1: teachers a, b right (.9, .5), c wrong (.5): pairs won 1 + tie 1/2 = 1.5 of 2
    # instruction 2: a right (.1), b and c wrong (.8, .0): 0 + 1 = 1 of 2; instruction 3: all wrong, no pair
    right = np.array([1, 1, 0, 1, 0, 0, 0, 0, 0], bool)
    reward = np.array([0.9, 0.5, 0.5, 0.1, 0.8, 0.0, 0.2, 0.2, 0.2])
    instruction, teacher = np.repeat([1, 2, 3], 3), np.tile(["a", "b", "c"], 3)
    found = samples.quality(right, reward, instruction, teacher)
    assert found["n_pairs"] == 4 and found["same_prompt_accuracy"] == pytest.approx(2.5 / 4)
    # right .9, .5, .1 against wrong .5, .8, 0, .2, .2, .2: 6 + (3 of .0 .2s + 1, and half for .5) 4.5 + 1 of 18
    assert found["auc"] == pytest.approx((6 + 4.5 + 1) / 18)
    # success of the others: 1: 1/2, 1/2, 1; 2: 0, 1/2, 1/2; 3: 0. Right .5, .5, 0; wrong 1, .5, .5, 0, 0, 0
    assert found["auc_difficulty_only"] == pytest.approx((4 + 4 + 1.5) / 18)


def test_quality_is_null_where_nothing_can_be_told_apart():
    found = samples.quality(np.array([True, True]), np.array([0.1, 0.2]), np.array(["i", "j"]), np.array(["a", "a"]))
    assert found == {"same_prompt_accuracy": None, "auc": None, "auc_difficulty_only": None, "n_pairs": 0}


def rewards(**values):
    return artifacts.table(
        [{"id": id, "sample": 0, "reward": value} for id, value in values.items()], artifacts.REWARDS
    )


def test_rewards_are_joined_by_response_and_nulls_left_out():
    verdicts = {"pool__a": rewards(i=1.0, j=0.0), "pool__b": rewards(i=0.0, j=1.0)}
    scored = {"rm": {"pool__a": rewards(i=0.9, j=None), "pool__b": rewards(i=0.1, j=0.4)}, "other": {}}
    (row,) = samples.reward_quality(verdicts, scored)
    assert (row["reward"], row["n_pairs"], row["same_prompt_accuracy"]) == ("rm", 1, 1.0)
    assert samples.reward_means({("rm", name): source for name, source in scored["rm"].items()}) == {
        "pool__a": {"rm": 0.9},
        "pool__b": {"rm": 0.25},
    }


def test_samples_are_chosen_by_hash_and_hold_all_who_answered():
    ids = [f"i{n}" for n in range(20)]
    given = [{"id": i, "sample": s, "response": f"{i} {s}", "finish_reason": "stop"} for i in ids for s in (1, 0)]
    answered = [{"task": "t", "id": i, "sample": 0, "answer": i, "finish_reason": "stop"} for i in ids]
    scored = [{"task": "t", "id": i, "sample": 0, "score": 1.0} for i in ids]
    found = samples.samples(
        instructions=[instructions(*ids)],
        responses={("pool", t): artifacts.table(given, artifacts.RESPONSES) for t in ("a", "b")},
        rewards={("pool", "a"): rewards(**dict.fromkeys(ids, 0.5))},
        prompts={"t": instructions(*ids)},
        answers={(m, "s"): artifacts.table(answered, artifacts.ANSWERS) for m in ("x", "y")},
        scores={("x", "s"): artifacts.table(scored, artifacts.SCORES)},
    )
    chosen = [item["id"] for item in found["responses"]]
    assert chosen == sorted(ids, key=samples.digest)[:4]
    assert found["responses"][0]["answers"] == [
        {"teacher": "a", "reward": 0.5, "text": f"{chosen[0]} 0", "finish_reason": "stop"},
        {"teacher": "b", "reward": None, "text": f"{chosen[0]} 0", "finish_reason": "stop"},
    ]
    item = found["answers"][0]
    assert len(found["answers"]) == 6 and item["reference_answer"] == f"answer {item['id']}"
    assert [(a["model"], a["score"]) for a in item["answers"]] == [("x", 1.0), ("y", None)]
