"""Judges that are derived from others: at equal length and at equal style."""

import numpy as np
import pytest
from judged_rows import answers, prompts, replies
from stored_judgments import ALPACA, annotations, benchmark, expected, needs_alpaca
from teachergrid.errors import BadInput
from teachergrid.evaluation.controls import by_length, by_style, length_benchmark
from teachergrid.evaluation.protocols import Case, Verdict
from teachergrid.evaluation.verdicts import scores
from teachergrid.store import artifacts

GAMED = "model,preference,index,std_delta_len,instruction_difficulty,not_gamed_baseline\n"


@needs_alpaca
def test_length_control_of_stored_judgments():
    model = "claude-2"
    rows = annotations(model)
    judged = [Case("alpaca", str(i), 0, "oasst", row["instruction"], row["output"], "") for i, row in enumerate(rows)]
    verdicts = [Verdict((row["preference"] or 1.5) - 1, "stored") for row in rows]
    verdicts[10] = Verdict(None, None, "no verdict")
    table = scores(judged, verdicts, replies(), "alpaca_eval2")
    controlled, fitted = by_length(judged, table, benchmark())
    assert controlled.schema.equals(artifacts.SCORES)
    values = controlled["score"].to_pylist()
    assert values[10] is None and controlled["reason"].to_pylist()[10] == "no verdict"
    known = np.array([value for value in values if value is not None])
    published = expected()[model]["published_lc_win_rate"]
    assert 100 * known.mean() == pytest.approx(published, abs=0.3)
    assert known.mean() == pytest.approx(fitted["alpaca"].rate) and fitted["alpaca"].missing == 1
    assert set(controlled["category"].to_pylist()) == {None}


@needs_alpaca
def test_the_benchmarks_file():
    """AlpacaEval's file knows instructions by their number only; prompts and the opponent's answers say which those are."""
    order = {f"q{i}": text for i, text in enumerate(benchmark().difficulty)}
    items = prompts(**order)
    opponent = answers(**{id: "x" * benchmark().length[text] for id, text in [*order.items()][::-1]})
    made = length_benchmark(items, opponent, ALPACA / "df_gamed_reconstructed.csv")
    assert made.length == benchmark().length
    assert [*made.difficulty] == [*benchmark().difficulty]
    difference = np.array([*made.difficulty.values()]) - np.array([*benchmark().difficulty.values()])
    assert np.abs(difference).max() < 1e-9
    assert all((a == b).all() for a, b in zip(made.anchor[:3], benchmark().anchor[:3], strict=True))
    with pytest.raises(BadInput, match="difficulties of 805 instructions, and the task has 804"):
        length_benchmark(items.slice(1), opponent, ALPACA / "df_gamed_reconstructed.csv")


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", GAMED + "x,much,0,1,1,False\n", GAMED + "x,0.5,,1,1,False\n"])
def test_a_file_that_is_no_benchmark(text, tmp_path):
    (tmp_path / "gamed.csv").write_text(text)
    with pytest.raises(BadInput, match=r"gamed\.csv: not AlpacaEval's df_gamed\.csv"):
        length_benchmark(prompts(q="Why?"), answers(q="x"), tmp_path / "gamed.csv")


def test_length_control_of_other_items(tmp_path):
    (tmp_path / "gamed.csv").write_text(GAMED + "".join(f"x,0.5,{i},1,{i - 4},False\n" for i in range(8)))
    texts = {f"q{i}": f"{i}?" for i in range(8)}
    bench = length_benchmark(prompts(**texts), answers(**dict.fromkeys(texts, "xx")), tmp_path / "gamed.csv")
    judged = [Case("open", id, 0, None, text, "x" * i, "xx") for i, (id, text) in enumerate(texts.items())]
    table = scores(judged, [Verdict(i % 2) for i in range(8)], replies(), "pairwise")
    controlled, fitted = by_length(judged, table, bench, c=1.0)
    assert np.mean(controlled["score"].to_pylist()) == pytest.approx(fitted["open"].rate)
    with pytest.raises(BadInput, match="task open, control of length: the benchmark has no instruction 'other'"):
        by_length([judged[0]._replace(instruction="other"), *judged[1:]], table, bench)
    with pytest.raises(BadInput, match="task open, control of length: two judgments of the instruction '1"):
        by_length([judged[1], *judged[1:]], table, bench)


def test_style_control():
    """The model wins where it has headers, and else it is a tie; at the opponent's style it is a tie."""
    rng = np.random.default_rng(0)
    judged, verdicts = [], []
    for i in range(600):
        headers = int(rng.integers(0, 4))
        others = int(rng.integers(0, 2))
        won = float(rng.random() < 1 / (1 + np.exp(-1.2 * (headers - others))))
        texts = ["# h\n" * n + "word " * 20 for n in (headers, others)]
        judged.append(Case("open", str(i), 0, "hard_prompt" if i % 2 else None, "Why?", *texts))
        verdicts.append(Verdict(won, gains=(won, won)))
    verdicts[5] = Verdict(None, None, "no verdict")
    table = scores(judged, verdicts, replies(), "arena_hard_v2")
    plain = np.nanmean(np.array(table["score"].to_pylist(), float))
    controlled, rates = by_style(judged, verdicts, table)
    values = controlled["score"].to_pylist()
    assert plain > 0.65 and np.mean([value for value in values if value is not None]) == pytest.approx(0.5, abs=0.08)
    assert {*rates} == {"open", "open/hard_prompt"}
    assert values[5] is None and controlled["reason"].to_pylist()[5] == "no verdict"
    # each category is a fit of its own, so its values keep its name
    part = [value for value, case in zip(values, judged, strict=True) if case.category and value is not None]
    assert np.mean(part) == pytest.approx(rates["open/hard_prompt"].rate)
    assert {*controlled["category"].to_pylist()} == {None, "hard_prompt"}


def test_style_control_without_a_fit():
    judged = [Case("open", str(i), 0, None, "Why?", "a", "b") for i in range(3)]
    verdicts = [Verdict(1.0)] * 3
    controlled, _ = by_style(judged, verdicts, scores(judged, verdicts, replies(), "pairwise"))
    assert controlled["score"].to_pylist() == [None] * 3
    assert set(controlled["reason"].to_pylist()) == {
        "no finite fit: all battles end alike, or style tells how they end"
    }
