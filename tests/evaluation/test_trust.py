"""What stored verdicts say about judges, from files of results."""

import json
from argparse import Namespace

import pytest
from judged_rows import answers, replies
from teachergrid.commands import calibrate
from teachergrid.evaluation.trust import as_json, calibrated, lines
from teachergrid.store import artifacts


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Two models that two judges have judged: `a` likes what is shown first, `b` has no such taste and does not answer to q3."""
    monkeypatch.chdir(tmp_path)
    texts = {
        "m1": answers(q1="long answer", q2="x", q3="zz"),
        "m2": answers(q1="y", q2="x", q3="zz"),
        "base": answers(q1="o", q2="x", q3="z"),
    }
    for model, table in texts.items():
        artifacts.write(f"results/answers/{model}/s.parquet", table, artifacts.ANSWERS, None)
    both = {"m1": [(1, 1, 1), (0.5, None, None), (0.5, 1, 0)], "m2": [(0, 0, 0), (0.5, None, None), (0.5, 1, 0)]}
    other = {"m1": [(1, 1, 1), (0.5, None, None), (None, None, None)], "m2": [(0, 0, 0), (0.5, None, None), (0, 0, 0)]}
    for judge, of_model in (("a", both), ("b", other)):
        for model, scores in of_model.items():
            rows = [
                {
                    "task": "open", "id": f"q{n}", "sample": 0, "score": score, "first": first, "second": second,
                    "verdict": "identical" if n == 2 else "decided", "cost": 0.5 if n != 2 and judge == "a" else None,
                    "reason": "the judge refused: no verdict" if score is None else None,
                }
                for n, (score, first, second) in enumerate(scores, 1)
            ]  # fmt: skip
            inputs = {f"results/answers/{name}/s.parquet": "x" for name in (model, "base")}
            made_from = {"rule": "score", "spec": "{}", "inputs": inputs}
            artifacts.write(f"results/scores/{model}/s/{judge}.parquet", rows_of(rows), artifacts.SCORES, made_from)
            artifacts.write(f"results/verdicts/{model}/s/{judge}.parquet", replies(), artifacts.VERDICTS, None)
    return tmp_path / "results"


def rows_of(rows):
    return artifacts.table(rows, artifacts.SCORES)


def test_judges_alone_and_together(results):
    found = calibrated(results)
    a, b = found.judges
    assert (a.suite, a.judge, a.models, a.verdicts, a.missing) == ("s", "a", 2, 6, 0)
    # the identical pairs needed no judge: of four others two change with the order, each to the first
    assert (a.position.n, a.position.flips, a.position.to_first) == (4, 0.5, 1)
    assert (b.position.n, b.position.flips, b.missing, b.reasons) == (3, 0, 1, {"the judge refused": 1})
    assert (a.length.n, a.length.longer) == (1, 1), "m1's longer answer to q1 wins; other lengths are equal, or a tie"
    assert (a.cost.usd, a.cost.usd_each, b.cost.usd) == (2, 0.5, None)
    [pair] = found.pairs
    assert pair.judges == ("a", "b") and pair.agreement.n == 5 and pair.agreement.agreement == pytest.approx(4 / 5)
    assert (pair.models, pair.rho) == (2, None)


def test_the_command(results, capsys):
    assert calibrate.main(Namespace(json=False)) == 0
    text = capsys.readouterr().out
    assert text.splitlines() == lines(calibrated(results))
    assert "s/b: 6 verdicts on 2 models, 1 missing (1 the judge refused)" in text
    assert "50.0 % of 4 pairs in both orders change the winner, 100.0 % of these to the answer shown first" in text
    assert "unknown: no price is stated" in text and "s: a and b agree on 80.0 % of 5 items" in text
    assert calibrate.main(Namespace(json=True)) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(as_json(calibrated(results))))


def test_a_checker_tells_whether_the_right_answer_wins(results, capsys):
    """m1 is right in q1 and q3, the opponent in none: `a` lets q1 win and calls q3 a tie; of m2 nothing is known."""
    for model, right in (("m1", (1.0, 0.0, 1.0)), ("base", (0.0, 0.0, 0.0))):
        rows = [{"task": "open", "id": f"q{n}", "sample": 0, "score": score} for n, score in enumerate(right, 1)]
        artifacts.write(results / f"scores/{model}/s/verify.parquet", rows_of(rows), artifacts.SCORES, None)
    a, b = calibrated(results).judges
    assert a.correct == (2, 0.75) and b.correct == (1, 1)
    assert calibrate.main(Namespace(json=False)) == 0
    assert "  checker: the right answer wins 75.0 % of 2 over a wrong one" in capsys.readouterr().out


def test_a_reward_judges_too_and_a_checker_or_a_derived_judge_does_not(results):
    """A reward reads one answer at a time: its equal scores in both orders are no finding."""
    path = results / "scores/m1/s/a.parquet"
    table = artifacts.read(path, artifacts.SCORES)
    inputs = {f"results/answers/{name}/s.parquet": "x" for name in ("m1", "base")}
    for judge, rule in (("rm", "judge"), ("verify", "verify"), ("styled", "score")):
        made_from = {"rule": rule, "spec": "{}", "inputs": inputs}
        artifacts.write(path.with_name(f"{judge}.parquet"), table, artifacts.SCORES, made_from)
    found = calibrated(results)
    assert [one.judge for one in found.judges] == ["a", "b", "rm"]
    reward = found.judges[-1]
    assert reward.by_reward and reward.position.n == 0 and reward.length == (1, 1)
    assert {pair.judges for pair in found.pairs} == {("a", "b"), ("a", "rm"), ("b", "rm")}
    assert "  order: a reward reads one answer at a time, so no order can matter" in lines(found)


def test_nothing_was_judged(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert calibrate.main(Namespace(json=False)) == 2
    assert "no judge has judged yet" in capsys.readouterr().out
