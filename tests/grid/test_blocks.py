"""What one block of the config names, and the row of its summary."""

import json

import pytest
from teachergrid.grid.blocks import Block, Comparison, correlate_row, kin, labels, models_of, report_row
from teachergrid.grid.cells import Cells
from teachergrid.grid.config import checked
from teachergrid.spec.combinations import combinations


@pytest.fixture
def config(small) -> dict:
    return checked(small)


def test_a_block_knows_what_it_names(config):
    cells = combinations("teachers", config["grids"]["teachers"])
    block = Block(config, "teachers", cells, cells)
    assert block.pairs[0] == ("q", "seed__large") and len(block.pairs) == 6
    assert block.models == [*block.students, "q-raw", "w-raw"] and block.verified == ["math", "chat"]
    assert block.comparisons[0] == Comparison("q__seed__large__sft__s1", "chat", "wins")
    row = correlate_row(Cells(config).build, block)
    assert len(row["judges"]) == len(row["judged_models"]) == len(row["judged_suites"]) == len(block.models)


def test_a_report_shows_one_seed_and_every_reference(small):
    small["grids"]["teachers"]["seeds"] = [2, 1]
    config = checked(small)
    cells = combinations("teachers", config["grids"]["teachers"])
    block = Block(config, "teachers", cells, cells)
    row = report_row(Cells(config).build, block)
    assert [name for name in row["models"] if not name.endswith("__s2")] == ["q-raw", "w-raw"]
    assert len(block.models) == 2 * len(block.shown_students) + 2
    assert row["instructions"] == ["seed"] and sorted(row["responses"]) == ["seed__large", "seed__small"]
    assert row["prompts"] == ["config/gsm.jsonl", "config/ifeval.jsonl"] and row["rewards"] == ["rm"]
    assert row["pilots"] == row["complete"] == []
    # how far a judge can be trusted is told from all that it has judged
    assert len(row["judges"]) == len(block.models) == len(row["judged_models"])


def test_a_report_reads_the_grades_of_its_sets_and_knows_what_they_were_joined_from(small):
    small["evolutions"] = {
        "hard": {"of": "few", "by": "large", "method": "grade"},
        "other": {"of": "evolved", "by": "large", "method": "grade"},
        "wiz": {"of": "seed", "by": "large"},
    }
    small["instructions"]["few"] = {"join": ["wiz.r1", "seed"], "paired_with": ["wiz.r1"]}
    small["grids"]["teachers"]["instructions"] = ["few"]
    config = checked(small)
    found = Cells(config)
    row = found.rows["report"]["teachers"]
    assert row["graded"] == ["hard.r1"]
    about = json.loads(row["spec"])
    assert about["graded"] == {"hard.r1": {"of": "few", "by": "large"}} and about["joined"] == {
        "few": ["wiz.r1", "seed"]
    }
    made = {"few", "wiz.r1", "wiz.r1.asked", "hard.r1", "hard.r1.asked", "seed"}
    assert made <= {*found.rows["load_instructions"]}
    assert "hard.r1.asked__large" in found.rows["generate"]


def test_a_plan_tells_of_judges_that_may_favour_a_teacher(small):
    """Before anything is paid: which scores performance leaves out, or that nothing else is left."""

    def told(*performance: str, **grid) -> list[str]:
        small["grids"]["teachers"] |= {"performance": list(performance), "corpora": [], **grid}
        return [line for line in Cells(checked(small)).warnings() if line.startswith("grid teachers: ")]

    why = "decides by the reward rm, which the primary metric car uses"
    assert told("math/verify") == []
    assert told("math/verify", "chat/wins") == [
        f"grid teachers: Performance leaves out chat/wins, whose judge {why}. `primary_judges` counts a judge nevertheless."
    ]
    assert told("chat/wins") == [
        f"grid teachers: Performance rests on a judge that is not independent: wins, which {why}. "
        "No independent score confirms it."
    ]
    assert told("math/verify", "chat/wins", primary="length") == []
    small["metrics"]["by-rm"] = {"formula": "reward_mean", "reward": "rm"}
    small["corpora"] |= {
        "picked": {"instructions": "seed", "teachers": ["large"], "by": "by-rm"},
        "lot": {"instructions": "seed", "teachers": ["large"], "choose": "random", "pairs": {"by": "by-rm"}},
    }
    assert told("math/verify", "chat/wins", primary="length", corpora=["picked", "lot"]) == [
        "grid teachers: Performance leaves out chat/wins, whose judge decides by the reward rm, by which the rows of picked were chosen. "
        "`primary_judges` counts a judge nevertheless."
    ]


def test_pairs_change_what_is_concluded_and_nothing_else(small):
    before = Cells(checked(small)).rows
    small["grids"]["teachers"]["pairs"] = [["small", "large"]]
    after = Cells(checked(small)).rows
    changed = {rule for rule, rows in after.items() if rows != before[rule]}
    assert changed == {"correlate"} and before.keys() == after.keys()


def test_judges_are_kin_of_teachers_and_bases_of_their_family(small):
    """By a reward, by a language model, and by one that derives from it; the very model of a teacher is kin without a family."""
    small["models"]["far"] = {"api": "gpt", "endpoint": "there"}
    small["endpoints"] = {"there": {"base_url": "http://there/v1"}}
    small["judges"] |= {
        "lm": {"model": "far", "protocol": "pairwise", "baseline": "q-raw"},
        "styled": {"of": "lm", "control": "style"},
    }
    small["suites"]["chat"]["judges"] = ["wins", "lm", "styled"]

    def found() -> dict:
        config = checked(small)
        cells = combinations("teachers", config["grids"]["teachers"])
        block = Block(config, "teachers", cells, cells)
        related = kin(config, block, block.responses(Cells(config).build))
        text = correlate_row(Cells(config).build, block)["spec"]
        assert json.loads(text).get("kin", {}) == related
        return related

    assert found() == {}
    small["models"]["large"]["family"] = small["models"]["far"]["family"] = "F"
    assert found() == {judge: {"family": "F", "names": ["large"]} for judge in ("lm", "styled")}
    small["rewards"]["rm"]["model"] = "large"
    assert found()["wins"] == {"family": "F", "names": ["large"]}
    del small["models"]["large"]["family"]
    assert found() == {"wins": {"family": None, "names": ["large"]}}


def test_labels_say_what_a_model_is(small):
    small["models"]["large"] |= {"family": "F", "parameters": 7}
    small["teachers"]["large"]["score"] = 61.5
    small["teachers"]["imported"] = {"engine": "existing", "source": "config/seed.jsonl"}
    config = checked(small)
    found = labels(config, "teachers", {"large", "imported"})
    assert list(found) == ["imported", "large"]
    assert (found["large"]["model"], found["large"]["family"], found["large"]["score"]) == ("large", "F", 61.5)
    assert found["imported"]["model"] is None and found["imported"]["family"] is None
    assert "score" not in labels(config, "bases", {"q"})["q"]
    models = models_of(config, [("q", "seed__large")], ["seed__large", "seed__imported"])
    assert list(models) == ["large", "q"]
