"""Win rates on the page."""

import copy
import re

from teachergrid.analysis.correlations import circular
from teachergrid.report import page


def test_a_judge_is_shown_next_to_ap_and_marked_circular(data):
    """Where a metric takes the reward that decides a win rate, it proves nothing that the two agree."""
    judged = [{**r, "measure": "miniworld/rm-wins"} for r in data["performance"] if r["measure"] == "miniworld/verify"]
    entries = data["settings"]["metrics"]
    reward = next(entry["reward"] for entry in entries.values() if entry.get("reward"))
    shared = circular({"rm-wins": {"reward": reward}}, entries)
    shown = {**data, "performance": data["performance"] + judged, "circular": shared}
    html = page.build(copy.deepcopy(shown))
    assert "Also scored: miniworld/rm-wins." in html and '<span class="badge">circular</span>' in html
    # another reward is no circle, and what alone is AP is not shown twice
    html = page.build(copy.deepcopy({**shown, "circular": circular({"rm-wins": {"reward": "another"}}, entries)}))
    assert "Also scored: miniworld/rm-wins." in html and '<span class="badge">circular</span>' not in html
    assert "Also scored" not in page.build(copy.deepcopy(data))


def test_gains_by_a_circular_judge_are_folded(data):
    """They stand apart from those by other judges, which alone decide what the plots above show."""
    judged = [
        {**r, "measure": r["measure"].replace("/verify", "/rm-wins")}
        for r in data["performance"]
        if r["measure"].startswith("miniworld/verify")
    ]
    shown = {**data, "performance": data["performance"] + judged, "circular": {"rm-wins": ["car-rm"]}}
    section = page.build(copy.deepcopy(shown)).partition('id="tasks"')[2].partition("</section>")[0]
    open_part, folded = section.split("Gain by rm-wins")
    assert folded.count("<svg") == open_part.count("<svg") == 2
    assert "rm-wins" not in open_part and section.count("<details>") > 2
    assert re.search(r"<details>\s*<summary>Also scored: miniworld/rm-wins", page.build(copy.deepcopy(shown)))
    assert "Gain by rm-wins" not in page.build(copy.deepcopy({**shown, "circular": {}}))


def test_tasks_and_further_measures_have_tables_of_their_own(data):
    """A suite's only task is the suite; what a checker measures beside the score is another number."""
    whole = [row for row in data["performance"] if row["measure"] == "miniworld/verify"]

    def shown(*measures: str) -> str:
        more = [{**row, "measure": measure} for measure in measures for row in whole]
        return page.build(copy.deepcopy({**data, "performance": data["performance"] + more}))

    assert "Also scored: miniworld/verify/sums:loose." in shown("miniworld/verify/sums:loose")
    html = shown("exams/verify", "exams/verify/a", "exams/verify/b", "exams/verify/a/hard")
    assert all(f"Also scored: exams/verify{part}." in html for part in ("", "/a", "/b"))
    assert "exams/verify/a/hard." not in html


def test_weights_are_stated(data):
    settings = copy.deepcopy(data["settings"])
    settings["grid"] |= {"performance": ["miniworld/verify", "miniworld/rm-wins"], "weights": {"miniworld/verify": 2}}
    html = page.build(copy.deepcopy({**data, "settings": settings}))
    assert "(weights: miniworld/verify 2, others 1) on a scale" in html
