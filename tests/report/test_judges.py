"""Win rates on the page."""

import copy

from teachergrid.analysis.correlations import circular
from teachergrid.report import page


def test_a_judge_stands_beside_ap_and_is_marked_circular(data):
    """The win rate of a reward that also stands in a metric proves nothing by agreeing with it."""
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
