"""A table of many runs by its path: its layout, what it answers, and the published figures where the file is there."""

import csv
import os
from argparse import Namespace
from pathlib import Path

import pytest
from teachergrid.commands import replicate
from teachergrid.errors import BadInput
from teachergrid.replication import sweep

DATA = list("abcdefg")
SCORES = {"x": (1, 2, 3, 4, 5, 6, 7), "y": (2, 1, 3, 4, 5, 6, 7)}
PUBLISHED = Path(os.environ.get("MASSIVE_SFT", "evaluation_result.csv"))


def rows(base, scores, data=DATA, benchmark="gsm8k-4shot", **settings):
    settings = {"data_size": "20000.0", "lora": "false", "epoch": "3", "lr_strategy": "constant", **settings}
    return [
        {"model_name": base, "data_name": name, benchmark: str(score), **settings}
        for name, score in zip(data, scores, strict=True)
    ]


def write(path, made):
    with open(path, "w", newline="") as file:
        out = csv.DictWriter(file, list(dict.fromkeys(name for row in made for name in row)))
        out.writeheader()
        out.writerows(made)
    return path


@pytest.fixture
def file(tmp_path):
    """Two bases. The pilot of x puts the best last but two, that of y ranks as its large runs; full tuning as in SCORES."""
    pilots = {"x": (1, 2, 3, 4, 7, 6, 5), "y": (2, 1, 3, 4, 5, 6, 7)}
    made = [row for base, own in pilots.items() for row in rows(base, own, data_size="1000.0")]
    made += [row for base, own in SCORES.items() for row in rows(base, own)]
    made += [
        row
        for base, own in SCORES.items()
        for row in rows(base, own, data_size="1000.0", epoch="10", lr_strategy="cosine")
    ]
    made += rows("x", (99, 99, ""), ("all", "w/o-a", "a"), data_size="1000.0")  # mixed ones, and one without a score
    return write(tmp_path / "table.csv", made)


def test_what_it_answers_by_hand(file):
    runs = sweep.read(file)
    assert len(runs) == 6 * 7 and {run.data for run in runs} == {*DATA}
    (one,) = sweep.study(runs)
    assert (one.name, one.data_sets, one.lora, one.epochs) == ("gsm8k-4shot", 7, None, None)
    # one pair of neighbours has changed places: 1 - 6 (1 + 1) / (7 (49 - 1))
    assert one.borrowed == pytest.approx(1 - 12 / 336)
    # of x: 7 and 5 have changed places; its first is 2 points behind, and the best is among the first three
    assert one.rows.rho == pytest.approx((1 - 6 * 8 / 336 + 1) / 2)
    assert (one.rows.bases, one.rows.found, one.rows.lost_first, one.rows.lost_kept) == (2, 1, 1, 0)


def test_a_row_that_ends_early_is_left_out_and_true_may_be_written_large(tmp_path):
    path = write(tmp_path / "table.csv", rows("x", SCORES["x"], lora="True"))
    path.write_text(path.read_text() + "x\n")
    assert len(sweep.read(path)) == 7 and all(run.lora for run in sweep.read(path))


def test_the_command_prints_it(file, capsys):
    assert replicate.main(Namespace(html=None, results_table=str(file))) == 0
    said = capsys.readouterr().out
    assert "42 runs of 2 bases on 7 data sets" in said and "1 of 2" in said and "Which teacher?" not in said


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ([{"model_name": "x", "data_name": "a"}], "lacks the columns data_size, lora, epoch, lr_strategy"),
        (rows("x", (1, 2), ("all", "pretrain")), "no row has a base, a data set and a score"),
        (rows("x", ("", "nan"), ("a", "b")), "no row has a base"),
        (rows("x", (1, 2), ("a", "b"), epoch="last"), "no row has a base"),
    ],
)
def test_a_table_of_another_layout_is_refused(tmp_path, made, words):
    with pytest.raises(BadInput, match=words):
        sweep.read(write(tmp_path / "other.csv", made))


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"--results-table .*none\.csv: cannot be read"):
        sweep.read(tmp_path / "none.csv")
    (tmp_path / "other.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="cannot be read"):
        sweep.read(tmp_path / "other.csv")


@pytest.mark.skipif(
    not PUBLISHED.is_file(),
    reason="MASSIVE_SFT names no evaluation_result.csv of llm-jp/massive-sft; it may not be shipped",
)
def test_the_published_table():
    """Figures worked out once without this package."""
    found = {one.name: one for one in sweep.study(sweep.read(PUBLISHED))}
    borrowed = {name: round(one.borrowed, 2) for name, one in found.items()}
    assert borrowed == {
        **{"alpaca_eval_v2-total": 0.88, "mtbench-total": 0.91, "gsm8k-4shot": 0.70, "gsm8k-0shot": 0.86},
        **{"mbpp-0shot": 0.77, "humaneval-0shot": 0.74, "mmlu-5shot": 0.80, "math-0shot": 0.64},
    }
    assert (
        round(found["alpaca_eval_v2-total"].main_effect, 2) == 0.86
        and round(found["humaneval-0shot"].main_effect, 2) == 0.49
    )
    assert all(one.rows.bases == 3 and 0.62 < one.rows.rho < 0.94 for one in found.values())
    lora = {name: round(one.lora.rho, 2) for name, one in found.items()}
    assert (min(lora.values()), max(lora.values())) == (lora["gsm8k-4shot"], lora["mtbench-total"]) == (0.50, 0.93)
    assert round(found["gsm8k-4shot"].lora.worst, 2) == -0.27
