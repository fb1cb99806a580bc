"""Win rates on the page."""

import copy
import re

from page_words import Words
from teachergrid.analysis.evidence import circular
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


TRUST = {
    "judges": [
        {
            "suite": "miniworld",
            "judge": "lm",
            "verdicts": 400,
            "missing": 3,
            "by_reward": False,
            "position": {"n": 200, "flips": 0.12, "to_first": 0.75},
            "length": {"n": 180, "longer": 0.61},
            "correct": {"n": 0, "right": None},
        },
        {
            "suite": "miniworld",
            "judge": "rm-wins",
            "verdicts": 400,
            "missing": 0,
            "by_reward": True,
            "position": {"n": 0, "flips": None, "to_first": None},
            "length": {"n": 0, "longer": None},
            "correct": {"n": 90, "right": 0.81},
        },
    ],
    "pairs": [
        {
            "suite": "miniworld",
            "judges": ["lm", "rm-wins"],
            "agreement": {"n": 397, "agreement": 0.78, "kappa": 0.523},
            "models": 8,
            "rho": 0.9,
        }
    ],
}
BAD = "<script>alert(2)</script>"


def with_judges(data, **more):
    """The grid with win rates by a language model, one derived from it, and a reward; AP is partly the first."""
    whole = [r for r in data["performance"] if r["measure"] == "miniworld/verify"]
    judged = [{**r, "measure": f"miniworld/{judge}"} for judge in ("lm", "lm-style", "rm-wins", "new") for r in whole]
    settings = copy.deepcopy(data["settings"])
    settings["grid"]["performance"] = ["miniworld/verify", "miniworld/lm"]
    settings["kin"] = {"lm": {"family": "llama", "names": ["steps-l"]}}
    recommendation = {**data["recommendation"], "performance": settings["grid"]["performance"], **more}
    made = {"settings": settings, "trust": TRUST, "derived": {"lm-style": "lm"}, "recommendation": recommendation}
    return {**data, **made, "performance": data["performance"] + judged}


def test_how_far_a_judge_can_be_trusted_stands_beside_every_number_of_it(data):
    html = page.build(copy.deepcopy(with_judges(data)))
    lm = (
        "How far to trust it: the order changes the winner in 12\u00a0% of 200 pairs, 75\u00a0% of these to the first; the longer answer "
        "wins 61\u00a0% of 180; agrees with rm-wins on 78\u00a0% of 397 answers (kappa 0.52), and ranks 8 models with rho 0.90; "
        "3 of 400 verdicts are missing."
    ).replace("\u00a0", " ")
    read = Words(html).text.replace("\u00a0", " ")
    grid, gains = (read_of(html, name) for name in ("grid", "tasks"))
    # below the table of AP, of which it is a part, with its own score, below the benchmarks, and below the gains
    assert grid.count(lm) == 3 and gains.count(lm) == 1 and read.count(lm) == 4
    assert grid.count("as lm, whose verdicts it takes: the order changes") == 2
    assert (
        "it reads one answer at a time, so the order of two cannot matter; the right answer wins 81 % of 90 over a wrong one, by the checker; agrees with lm"
        in grid
    )
    assert "no verdict of it is at hand; teachergrid calibrate-judge tells" in grid
    assert (
        html.count('<span class="badge bad">kin</span> This judge is of the family llama, as steps-l: it may favour')
        == 4
    )


def read_of(html, section):
    words = Words(html.partition(f'<section id="{section}"')[2].partition("</section>")[0]).text
    return words.replace("\u00a0", " ")


def test_a_judge_that_nothing_checks_says_so(data):
    made = with_judges(data)
    alone = {**TRUST["judges"][0], "position": {"n": 0, "flips": None, "to_first": None}, "missing": 0}
    made["trust"] = {"judges": [alone], "pairs": []}
    read = read_of(page.build(copy.deepcopy(made)), "grid")
    assert "nothing shows how far it can be trusted: it saw each pair in one order, and no second judge decided" in read


def test_the_first_line_says_what_performance_rests_on_and_the_head_what_it_leaves_out(data):
    html = page.build(
        copy.deepcopy(
            with_judges(
                data,
                performance=["miniworld/lm"],
                evidence=["Performance rests on lm."],
                left_out={"miniworld/rm-wins": "is of the family llama"},
            )
        )
    )
    answer = html.partition('<section id="answer"')[2]
    assert re.match(r'[^§]*?<h2>The answer</h2>\s*<p class="warn first">Performance rests on lm\.</p>', answer)
    read = Words(html).text
    assert "is the mean of miniworld/lm on a scale" in read
    assert "Shown beside it, since their judges are not independent: miniworld/rm-wins." in read


def test_verdicts_are_shown_side_by_side_and_their_words_stay_text(data):
    made = with_judges(data)
    verdict = {
        "suite": "miniworld", "judge": "lm", "model": "bs__pool__steps-l__sft__s1", "task": "problems", "id": "t001",
        "why": "the order decides", "score": 0.5, "verdict": "orders disagree", "answer": f"mine {BAD}", "opponent": "bs-untuned",
        "opponent_answer": "theirs", "others": {"rm-wins": 1.0}, "question": f"ask {BAD}",
        "orders": [{"order": "model first", "score": 1.0, "text": BAD + "x" * 2000}, {"order": "model second", "score": 0.0, "text": None}],
    }  # fmt: skip
    made["verdicts"] = [verdict, {**verdict, "judge": "rm-wins", "orders": []}]
    html = page.build(copy.deepcopy(made))
    section = html.partition("What judges said")[2].partition("</section>")[0]
    words = Words(section).text
    assert [tag for tag, _ in Words(html).tags].count("script") == 1 and not Words(html).crossed
    for part in (
        f"mine {BAD}",
        "theirs",
        f"ask {BAD}",
        "lm, model first won",
        "lm, model second lost",
        "more characters",
    ):
        assert part in words
    assert "Of the same answer rm-wins: won." in words and "A reward decides by a number" in words
    assert '<span class="badge bad">kin</span>' in section
    assert "What judges said" not in page.build(copy.deepcopy(data))


def test_a_held_out_loss_is_shown_in_nats_and_needs_no_trust(data):
    whole = [row for row in data["performance"] if row["measure"] == "miniworld/verify"]
    points = {"value": -143.2, "low": -150.0, "high": -140.0}
    more = [{**row, **points, "measure": "held/fit/texts:log_probability"} for row in whole]
    more += [{**row, "measure": "held/fit"} for row in whole]
    html = page.build(copy.deepcopy({**data, "performance": data["performance"] + more, "losses": ["fit"]}))
    assert "Also scored: held/fit/texts: loss, nats a token." in html and "1.432 [1.400, 1.500]" in html
    assert "no verdict of it is at hand" not in html and "lower is better, with 95 % interval" in html
    assert html.count("their geometric mean, 0 to 100") == 1 and "The share of items won or right" not in html
    # beside the benchmarks stands a note on each judge, which a loss is not
    assert "<b>held/fit.</b>" not in html
