"""Numbers, plots and tables of files that a report is made of."""

import json
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from teachergrid.pages import plots, svg, text
from teachergrid.report import samples
from teachergrid.store import artifacts


@pytest.mark.parametrize(
    "shown, wanted",
    [
        (text.within(45.24, 43.06, 47.44), "45.2 [43.1, 47.4]"),
        (text.within(-0.04, None, 1), "0.0"),
        (text.within(-3.25, -5, 1, 1, True), "\u22123.2 [\u22125.0, +1.0]"),
        (text.number(None), "—"),
        (text.probability(0.00004), "<\u00a00.001"),
        (text.probability(0.0471), "0.047"),
        (text.percent(0.731), "73\u00a0%"),
        (text.percent(0.004), "0.4\u00a0%"),
        (text.percent(0.00001), "<\u00a00.1\u00a0%"),
        (text.percent(0), "0\u00a0%"),
        (text.significant(0.0005, 2), "0.0005"),
        (text.significant(0), "0"),
        (text.significant(1234.5), "1234"),
        (text.parameters(0.00027), "0.27\u00a0M"),
        (text.parameters(7.62), "7.62\u00a0B"),
        (text.parameters(405), "405\u00a0B"),
        (text.count(12800), "12\u202f800"),
        (text.duration(59.97), "1\u00a0min 0\u00a0s"),
        (text.duration(4.12), "4.1\u00a0s"),
        (text.duration(7500), "2\u00a0h 5\u00a0min"),
        (text.listing(["a", "b", "c"]), "a, b and c"),
        (text.listing([]), ""),
        (text.together(["<b>"]), '<span class="name">&lt;b&gt;</span>'),
        (text.breakable("a/<b"), "a/<wbr>&lt;b"),
        (text.clipped("x" * 12, 10), "xxxxxxxxxx … (2 more characters)"),
    ],
)
def test_numbers_as_text(shown, wanted):
    assert shown == wanted


def test_scales_put_values_where_they_belong():
    even = svg.Scale([], 100, 200, domain=(0, 10))
    assert [even(v) for v in (0, 5, 10, 99)] == [100, 150, 200, 200]
    assert [label for _, label in even.ticks(5)] == ["0", "2", "4", "6", "8", "10"]
    log = svg.Scale([], 0, 100, log=True, domain=(1, 100))
    assert log(10) == pytest.approx(50)
    constant = svg.Scale([3.0, 3.0], 0, 100)
    assert constant(3) == pytest.approx(50)


def test_dots_draws_a_whisker_from_low_to_high():
    row = plots.Dot(label="a", value=5.0, low=2.0, high=8.0, text="5.0")
    drawn = ElementTree.fromstring(
        plots.dots([row, row._replace(value=None, label="b")], "t", "d", "x", domain=(0.0, 10.0))
    )
    whiskers = [node for node in drawn.iter("path") if "whisker" in node.get("class")]
    marks = [node for node in drawn.iter("path") if "dot" in node.get("class")]
    assert len(whiskers) == len(marks) == 1
    start, end = re.findall(r"[ML]([\d.]+)", whiskers[0].get("d"))
    middle = re.search(r"\(([\d.]+)", marks[0].get("transform"))[1]
    assert float(middle) == pytest.approx((float(start) + float(end)) / 2, abs=0.2)
    assert [node.text for node in drawn.iter("text")][-2] == "b"


def test_points_at_the_same_x_stand_side_by_side():
    point = plots.Point(x=1.0, y=1.0, label="a")
    drawn = plots.scatter(
        [point, point._replace(y=2.0), point._replace(x=2.0)], "t", "d", "x", "y", log=text.parameters
    )
    places = [float(x) for x in re.findall(r"translate\(([\d.]+)", drawn)]
    assert places[1] - places[0] == pytest.approx(9, abs=0.2)


def test_linked_points_are_joined_by_their_mean_and_a_crowd_loses_labels():
    points = [plots.Point(x=x, y=y, label="a", linked=True) for x, y in ((1.0, 0.0), (1.0, 2.0), (2.0, 3.0))]
    (link,) = re.findall(r'class="link[^"]*" d="M([^"]+)"', plots.scatter(points, "t", "d", "x", "y"))
    assert link.count("L") == 1
    assert "link" not in plots.scatter([point._replace(linked=False) for point in points], "t", "d", "x", "y")
    same = [plots.Point(x=1.0, y=1.0, label="a long label")] * (plots.CROWD + 1)
    assert 0 < plots.scatter(same, "t", "d", "x", "y").count(">a long label<") < len(same)


# --- reading files


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


def instructions(*ids):
    message = [{"role": "user", "content": "ask"}]
    rows = [{"id": id, "messages": message, "answer": f"answer {id}", "source": "x", "round": 0} for id in ids]
    return artifacts.table(rows, artifacts.INSTRUCTIONS)


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
