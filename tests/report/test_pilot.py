"""What the page of a pilot says."""

import report_data
from teachergrid.report import page


def test_report():
    rows = [
        {
            "teacher": "steps-l",
            "rank": 1.0,
            "rank_low": 1.0,
            "rank_high": 2.0,
            "p_best": 0.9,
            "p_kept": 0.97,
            "kept": True,
        },
        {"teacher": "steps-s", **dict.fromkeys(("rank", "rank_low", "rank_high", "p_best", "p_kept")), "kept": False},
    ]
    values = {"car": {"value": 0.5, "low": 0.4, "high": 0.6, "n": 100}}
    rows = [row | {"metrics": values, "reason": None if row["kept"] else "gated: empty"} for row in rows]
    lost = {"base": "bs", "panel": "p", "best": "steps-s", "value": 45, "best_kept": "steps-l", "kept_value": 43.75}
    found = {
        "sample": 300,
        "by": ["car"],
        "keep": 1,
        "bases": {"bs": {"kept": ["steps-l"], "p_best_kept": 0.97, "teachers": rows}},
        "saved": {"students_kept": 2, "students_all": 16, "responses_kept": 1, "responses_all": 8},
        "regret": [lost | {"regret": 1.25}],
    }
    data = report_data.grid(bases=("bs",), teachers=("steps-l", "steps-s"), seeds=(1,))
    text = " ".join(page.build(data | {"pilot": found}).split())
    for words in (
        "14 of 16 students",
        "7 of 8 full sets of responses",
        "1.0 [1.0, 2.0]",
        "0.500 [0.400, 0.600]",
        "gated: empty",
        "<strong>1.25 points</strong>; steps-s (45.0) was left out; the best of those kept is steps-l (43.8)",
    ):
        assert words in text
    assert "no grid of this config trains all" in page.build(data | {"pilot": found | {"regret": None}})
    assert 'id="pilot"' not in page.build(data)
