"""Length-controlled win rates against those that are published for six models, and their noise against a jackknife."""

import random

import numpy as np
import pytest
from stored_judgments import MODELS, benchmark, expected, judged, needs_alpaca
from teachergrid.stats.length_control import Anchor, Benchmark, Judged, length_controlled

NO_ANCHOR = Anchor(np.empty(0), np.empty(0), np.empty(0))


def percent(model: str, rows: list[Judged], c: float | None) -> float:
    return 100 * length_controlled(rows, benchmark(), c).rate


@needs_alpaca
@pytest.mark.parametrize("model", MODELS)
def test_published_rate(model):
    published, c = expected()[model]["published_lc_win_rate"], expected()[model]["grid_C_matching_published"]
    assert percent(model, judged(model), c) == pytest.approx(published, abs=1e-6)
    chosen = length_controlled(judged(model), benchmark())
    assert 100 * chosen.rate == pytest.approx(published, abs=0.16)
    # C decides, so it is stored beside the rate, with the weights that it gave
    own = expected()[model]
    if chosen.c == pytest.approx(own["chosen_C"]):
        assert chosen.weights == pytest.approx(own["coef_len_difficulty_model"], abs=1e-3)
    assert percent(model, judged(model), chosen.c) == 100 * chosen.rate


@needs_alpaca
@pytest.mark.parametrize("model", MODELS)
def test_rows_are_joined_by_instruction(model):
    rows, c = judged(model), length_controlled(judged(model), benchmark()).c
    whole = length_controlled(rows, benchmark(), c)
    shuffled = length_controlled(random.Random(0).sample(rows, len(rows)), benchmark())
    assert (shuffled.rate, shuffled.c) == (whole.rate, c)
    assert (shuffled.values == whole.values).all() and shuffled.instructions == whole.instructions
    for place in (5, 400, 800):
        without = length_controlled(rows[:place] + rows[place + 1 :], benchmark(), c)
        assert 100 * abs(without.rate - whole.rate) < 0.3
        assert without.missing == 1 and rows[place].instruction not in without.instructions


@pytest.mark.slow
@needs_alpaca
@pytest.mark.parametrize("model", ["claude-2", "gemma-7b-it"])
def test_values_have_the_rate_as_mean_and_its_noise_as_spread(model):
    rows, c = judged(model), expected()[model]["chosen_C"]
    whole = length_controlled(rows, benchmark(), c)
    n = len(rows)
    assert whole.values.mean() == pytest.approx(whole.rate, abs=1e-12)
    without_one = [length_controlled(rows[:i] + rows[i + 1 :], benchmark(), c).rate for i in range(n)]
    jackknife = n * whole.rate - (n - 1) * np.array(without_one)
    errors = [values.std(ddof=1) / n**0.5 for values in (whole.values, jackknife)]
    assert errors[0] == pytest.approx(errors[1], rel=0.05)
    # the leaderboard's own standard error is half of it
    assert 100 * errors[0] > 1.9 * expected()[model]["independent_reimpl_aligned_lc_se"]
    assert np.corrcoef(whole.values, jackknife)[0, 1] > 0.999


@needs_alpaca
def test_the_opponent_against_itself_is_a_tie():
    rows = [Judged(text, 0.5, length) for text, length in benchmark().length.items()]
    own = length_controlled(rows, benchmark())
    assert own.rate == 0.5 and set(own.values) == {0.5} and own.weights == (0, 0, 0)


def made_benchmark(n: int) -> Benchmark:
    """Return a benchmark of n instructions without an anchor."""
    names = [f"q{i}" for i in range(n)]
    difficulty = np.random.default_rng(0).normal(size=n)
    return Benchmark(dict(zip(names, difficulty.tolist(), strict=True)), dict.fromkeys(names, 100), NO_ANCHOR)


def test_a_win_by_length_alone_counts_little():
    """Answers are better where they are longer, and else equal: with equal length the model would be a tie."""
    chance = np.random.default_rng(1)
    rows = []
    for name in (bench := made_benchmark(4000)).difficulty:
        longer = chance.normal(60, 100)
        won = chance.random() < 1 / (1 + np.exp(-2 * np.tanh(longer / 100)))
        rows.append(Judged(name, float(won), 100 + round(longer)))
    assert np.mean([row.score for row in rows]) > 0.6
    assert length_controlled(rows, bench).rate == pytest.approx(0.5, abs=0.03)


def test_equal_lengths_and_a_strong_penalty():
    rows = [Judged(f"q{i}", i % 4 / 3, 100) for i in range(40)]
    flat = length_controlled(rows, made_benchmark(40), 1.0)
    assert flat.weights[0] == 0 and np.isfinite(flat.values).all()
    # with a penalty that allows no weight the prediction is a half, and no item moves it
    assert set(length_controlled(rows, made_benchmark(40), 1e-6).values) == {0.5}


def test_what_cannot_be_joined():
    bench, rows = made_benchmark(10), [Judged(f"q{i}", 0.5, 9) for i in range(10)]
    with pytest.raises(ValueError, match="no instruction 'other'"):
        length_controlled([*rows, Judged("other", 1, 9)], bench)
    with pytest.raises(ValueError, match="two judgments of the instruction 'q3'"):
        length_controlled([*rows, rows[3]], bench)
    with pytest.raises(ValueError, match="4 judgments"):
        length_controlled(rows[:4], bench)
