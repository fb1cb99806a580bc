"""Win rates on the page."""

import copy

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
