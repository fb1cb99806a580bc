"""From stored replies of a judge to scores: what is missing, what it cost, and figures that are no mean."""

import numpy as np
import pyarrow as pa
import pytest
from judged_rows import answers, prompts, replies
from stored_judgments import ALPACA, MODELS, annotations, benchmark, expected, lines, needs_alpaca
from teachergrid.evaluation.cases import cases
from teachergrid.evaluation.protocols import ALONE, MODEL_FIRST, MODEL_SECOND, PROTOCOLS, Case, Verdict, alpaca_order
from teachergrid.evaluation.verdicts import coverage, decided, scores
from teachergrid.store import artifacts

ITEMS = {"open": prompts(q1="1?", q2="2?", q3="3?", q4="4?")}
OURS, THEIRS = answers(q1="a", q2="b", q3="", q4="d"), answers(q1="A", q2="B", q3="C", q4="D")


def scored(protocol: str, said: pa.Table, mine: pa.Table = OURS, theirs: pa.Table | None = THEIRS, items=ITEMS):
    judged = cases(mine, theirs, items, protocol)
    return scores(judged, decided(judged, said, protocol), said, protocol)


def test_scores_with_what_was_said_and_paid():
    said = replies(
        ("q1", MODEL_FIRST, "[[A]]", 0.25),
        ("q1", MODEL_SECOND, "yes [[B]]", 0.5),
        ("q2", MODEL_FIRST, "[[B]]", None),
        ("q2", MODEL_SECOND, "no idea", 0.125),
        ("q4", MODEL_FIRST, "[[A]]"),
        ("q4", MODEL_SECOND, "[[A]]"),
    )
    table = scored("pairwise", said)
    assert table.schema.equals(artifacts.SCORES)
    rows = {row["id"]: row for row in table.to_pylist()}
    assert [rows[id]["score"] for id in ("q1", "q2", "q3", "q4")] == [1, None, 0, 0.5]
    assert [rows[id]["verdict"] for id in ("q1", "q2", "q3", "q4")] == ["won", None, "empty", "orders disagree"]
    assert rows["q2"]["reason"] == "no verdict" and (rows["q2"]["first"], rows["q2"]["second"]) == (0, None)
    assert rows["q1"]["raw"] == ["[[A]]", "yes [[B]]"] and rows["q3"]["raw"] is None
    assert [rows[id]["cost"] for id in ("q1", "q2", "q3", "q4")] == [0.75, 0.125, None, None]
    assert rows["q1"]["measures"] == [{"measure": "discrete", "value": 1}] and rows["q2"]["measures"] is None
    assert coverage(table) == (4, 1, 1.5 / 4, 2.5 / 4, {"no verdict": 1}) and coverage(table).share == 0.75


def test_coverage_counts_classes_of_reasons():
    lost = [
        {"task": "t", "id": str(i), "sample": 0, "reason": reason}
        for i, reason in enumerate(["cut off: a", "cut off: b"])
    ]
    table = artifacts.table(lost, artifacts.SCORES)
    assert coverage(table)[1:] == (2, 0, 1, {"cut off": 2})
    assert coverage(table.slice(0, 0)) == (0, 0, None, None, {}) and coverage(table.slice(0, 0)).share == 1


def test_arena_hard_is_one_value_a_question_of_each_category():
    said = replies(
        ("q1", MODEL_SECOND, "[[B>>A]]"),
        ("q1", MODEL_FIRST, "[[A>B]]"),
        ("q2", MODEL_SECOND, "[[A>B]]"),
        ("q2", MODEL_FIRST, "[[A=B]]"),
        ("q4", MODEL_SECOND, "[[A>B]]"),
        ("q4", MODEL_FIRST, "..."),
    )
    v2 = scored("arena_hard_v2", said)
    known = [row for row in v2["score"].to_pylist() if row is not None]
    # q1 wins 4 of 4 battles, q2 half of 1 in 2, the empty answer none of 2; q4 counts with both games only
    assert np.mean(known) == pytest.approx(4.5 / 8) and v2["score"].null_count == 1
    v01 = scored("arena_hard_v0.1", said)
    assert np.mean(v01["score"].to_pylist()) == pytest.approx(4.5 / 9)
    judged = cases(OURS, THEIRS, ITEMS, "arena_hard_v2")
    verdicts = decided(judged, said, "arena_hard_v2")
    apart = [case._replace(category="creative_writing" if case.id == "q2" else None) for case in judged]
    by_category = dict(
        zip(["q1", "q2", "q3", "q4"], scores(apart, verdicts, said, "arena_hard_v2")["score"].to_pylist(), strict=True)
    )
    assert by_category["q2"] == pytest.approx(0.25)
    assert (by_category["q1"] + by_category["q3"]) / 2 == pytest.approx(4 / 6)


def test_followbench_has_rates_of_groups():
    def row(text: str, group: int, level: int, source: str) -> dict:
        return {"text": text, "category": "style", "example_id": group, "level": level, "source": source, "target": ""}

    levels = range(1, 6)
    items = {
        "open": prompts(
            **{f"j{n}": row(f"Say {n}", 1, n, "quora") for n in (0, *levels)},
            **{f"r{n}": row(f"Sum up {n}", 2, n, "gigaword") for n in (0, *levels)},
        )
    }
    mine = answers(**{f"j{n}": "x" for n in levels}, **{f"r{n}": "seven men on a bus went to sea" for n in levels})
    said = replies(
        *[(f"j{n}", ALONE, str(["YES"] * n)) for n in (1, 2, 4)],
        ("j3", ALONE, "['YES', 'NO', 'YES']"),
        ("j5", ALONE, "cannot say"),
    )
    table = scored("followbench", said, mine, None, items)
    rows = {row["id"]: row for row in table.to_pylist()}
    assert [rows[f"j{n}"]["score"] for n in levels] == [1, 1, 0, 1, None]
    assert [rows[f"r{n}"]["score"] for n in levels] == [1, 1, 1, 0, 0]
    values: dict[str, list[float]] = {}
    for one in rows.values():
        for measure in one["measures"] or []:
            values.setdefault(measure["measure"], []).append(measure["value"])
    means = {name: np.mean(several) for name, several in values.items()}
    assert means["hard"] == pytest.approx((3 / 4 + 3 / 5) / 2)
    assert means["soft"] == pytest.approx(((3 + 2 / 3) / 4 + 3 / 5) / 2)
    assert means["consistent"] == pytest.approx((2 / 5 + 3 / 5) / 2)
    assert [means[f"hard_{n}"] for n in levels] == [1, 1, 0.5, 0.5, 0]
    # each answer has each figure, so that no measure looks as if it lacked items; nothing is known of group j at level 5
    assert [len(values[f"hard_{n}"]) for n in levels] == [10, 10, 10, 10, 5]


# --- six models with published results


def stored(model: str) -> tuple[list[Case], list[Verdict]]:
    judged = [
        Case("alpaca", str(row["index"]), 0, None, row["instruction"], row["output"], "other")
        for row in annotations(model)
    ]
    shares = [(row["preference"] or 1.5) - 1 for row in annotations(model)]
    return judged, [Verdict(share, "stored") for share in shares]


@needs_alpaca
@pytest.mark.parametrize("model", MODELS)
def test_published_win_rates(model):
    judged, verdicts = stored(model)
    table = scores(judged, verdicts, replies(), "alpaca_eval2")
    share, wanted = table["score"].to_numpy(), expected()[model]
    assert 100 * share.mean() == pytest.approx(wanted["published_win_rate"], abs=1e-9)
    error = 100 * share.std(ddof=1) / len(share) ** 0.5
    assert error == pytest.approx(wanted["published_standard_error"], abs=1e-9)
    discrete = [row[0]["value"] for row in table["measures"].to_pylist()]
    assert 100 * np.mean(discrete) == pytest.approx(wanted["published_discrete_win_rate"], abs=1e-9)
    counts = [discrete.count(value) for value in (1, 0, 0.5)]
    assert counts == [wanted[name] for name in ("n_wins", "n_wins_base", "n_draws")]
    assert len(discrete) == wanted["n_total"]


@needs_alpaca
def test_stored_replies_of_a_judge_give_the_published_rate():
    """The whole way, from answers, prompts and 804 stored replies with log-probabilities."""
    rows = {str(row["index"]): row for row in annotations("claude-2")}
    opponents = {text: "x" * length for text, length in benchmark().length.items()}
    texts = {id: row["output"] for id, row in rows.items()}
    identical = {
        str(row["index"]) for row in lines(ALPACA / "raw_judge_completions_claude-2.jsonl") if not row["top_logprobs"]
    }
    theirs = {id: texts[id] if id in identical else opponents[row["instruction"]] for id, row in rows.items()}
    items = {"open": prompts(**{id: row["instruction"] for id, row in rows.items()})}
    said = [
        {
            "task": "open",
            "id": str(row["index"]),
            "sample": 0,
            "order": alpaca_order(rows[str(row["index"])]["instruction"]),
            "text": row["text"],
            "finish_reason": row["finish_reason"],
            "logprobs": [{"token": token, "logprob": value} for token, value in row["top_logprobs"]],
            "cost": row["price_per_example"],
        }
        for row in lines(ALPACA / "raw_judge_completions_claude-2.jsonl")
        if row["top_logprobs"]
    ]
    table = scored(
        "alpaca_eval2", artifacts.table(said, artifacts.VERDICTS), answers(**texts), answers(**theirs), items
    )
    assert 100 * np.mean(table["score"].to_pylist()) == pytest.approx(
        expected()["claude-2"]["published_win_rate"], abs=1e-5
    )
    assert len(said) == 804 and table["verdict"].to_pylist().count("identical") == 1
    assert sum(filter(None, table["cost"].to_pylist())) == pytest.approx(7.79, abs=0.01)


def test_all_protocols_give_scores():
    for name, how in PROTOCOLS.items():
        if name != "followbench":
            table = scored(name, replies(), OURS, None if how.alone else THEIRS)
            assert table["reason"].to_pylist().count("the judge was not asked") == 3
            assert coverage(table).missing == 3
