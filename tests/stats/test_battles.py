"""Arena-Hard's scores: labels, the closed form of Bradley-Terry, noise by question, and the control of style."""

import json

import numpy as np
import pytest
from stored_judgments import ARENA, lines, needs_arena
from teachergrid.stats.battles import (
    LABELS,
    Style,
    battles,
    difference,
    elo,
    joint_style,
    style_controlled,
    win_rate,
)

BASELINE = "claude-3-haiku-20240307"
LIMITS = ("claude-3-5-sonnet-20240620", "claude-3-opus-20240229", "gpt-4o")


def stored(model: str) -> list[list[float]]:
    """Return the gains of a model in its battles with the baseline, by question."""
    questions: dict[int, list[float]] = {}
    for row in lines(ARENA / "battles_dev_100q.jsonl"):
        if model in (row["model_a"], row["model_b"]):
            gains = {"model_a": row["model_a"] == model, "model_b": row["model_b"] == model}
            questions.setdefault(row["question_id"], []).append(float(gains.get(row["winner"], 0.5)))
    return list(questions.values())


@needs_arena
@pytest.mark.parametrize("model", LIMITS)
def test_published_battles(model):
    wanted = json.loads((ARENA / "battles_expected_bt.json").read_text())["expected"]["100q"][model]
    questions = stored(model)
    assert sum(map(len, questions)) == wanted["n_battles"]
    rate = win_rate(questions)
    assert 100 * rate.rate == pytest.approx(wanted["win_rate_vs_claude_3_haiku"], abs=1e-4)
    assert rate.values.mean() == pytest.approx(rate.rate, abs=1e-12)


@needs_arena
@pytest.mark.parametrize("model", LIMITS)
def test_the_noise_is_that_of_a_bootstrap_over_questions(model):
    questions = stored(model)
    rng, values = np.random.default_rng(0), win_rate(questions).values
    total, count = np.array([[sum(gains), len(gains)] for gains in questions]).T
    drawn = rng.integers(len(questions), size=(4000, len(questions)))
    bootstrap = (total[drawn].sum(1) / count[drawn].sum(1)).std()
    error = values.std(ddof=1) / len(values) ** 0.5
    assert error == pytest.approx(bootstrap, rel=0.05)
    # battles of a question move together: resampled one by one they look less noisy than they are
    flat = np.concatenate(questions)
    assert error > 1.5 * flat[rng.integers(len(flat), size=(2000, len(flat)))].mean(1).std()


def test_bradley_terry_on_a_star_is_the_share_of_wins():
    """Ratings that maximise the likelihood of all battles of three models with one baseline, found by small steps."""
    rng = np.random.default_rng(3)
    gains = [rng.choice([0, 0.5, 1], 40, p=p) for p in ([0.2, 0.1, 0.7], [0.5, 0.2, 0.3], [0.1, 0, 0.9])]
    ratings = np.zeros(4)  # the last is the baseline's
    for _ in range(20000):
        slope = np.zeros(4)
        for i, won in enumerate(gains):
            part = (won - 1 / (1 + np.exp(ratings[3] - ratings[i]))).sum()
            slope[i], slope[3] = slope[i] + part, slope[3] - part
        ratings += 0.02 * slope
    for i, won in enumerate(gains):
        rate = win_rate([[float(gain)] for gain in won]).rate
        assert rate == pytest.approx(1 / (1 + np.exp(ratings[3] - ratings[i])), abs=1e-6)
        assert elo(rate) == pytest.approx(1000 + 400 / np.log(10) * (ratings[i] - ratings[3]), abs=1e-3)


def test_labels():
    assert LABELS == {
        "A>>B": (1, 1, 1),
        "A>B": (1,),
        "A=B": (0.5,),
        "A<B": (0,),
        "A<<B": (0, 0, 0),
        "B<<A": (1, 1, 1),
        "B<A": (1,),
        "B=A": (0.5,),
        "B>A": (0,),
        "B>>A": (0, 0, 0),
    }


@pytest.mark.parametrize(
    ("first", "second", "gains"),
    [
        # game 1: the baseline is A; game 2: the model is A
        ("A>B", "A>B", [1, 0]),
        ("B>>A", "A>>B", [1, 1, 1, 1, 1, 1]),
        ("A=B", "B>A", [0, 0.5]),
        ("A>>B", "B=A", [0.5, 0, 0, 0]),
        ("A>B", None, [0]),
        (None, "B<<A", [1, 1, 1]),
        (None, None, []),
    ],
)
def test_battles_of_two_games(first, second, gains):
    assert battles(first, second, both=False) == gains
    assert battles(first, second, both=True) == ([] if None in (first, second) else gains)


def test_a_question_without_battles_has_no_value():
    rate = win_rate([[1, 1, 1, 0], [], [0.5, 0.5]])
    assert rate.rate == pytest.approx(4 / 6) and np.isnan(rate.values).tolist() == [False, True, False]
    assert np.nanmean(rate.values) == pytest.approx(4 / 6)
    assert win_rate([[], []])[::2] == (None, "no battles")
    assert win_rate([])[::2] == (None, "no battles")


# --- style


def test_difference_of_style():
    model, baseline = Style(300, 4, 10, 0), Style(100, 0, 5, 2)
    headers, lists, bold = (4 / 301 - 0) / (4 / 301 + 1), 10 / 301 - 5 / 101, 0 - 2 / 101
    wanted = [0.5, headers, lists / (10 / 301 + 5 / 101 + 1), bold / (2 / 101 + 1)]
    assert difference(model, baseline).tolist() == pytest.approx(wanted)
    assert difference(baseline, model).tolist() == pytest.approx([-value for value in wanted])
    assert difference(model, model).tolist() == difference(Style(0, 0, 0, 0), Style(0, 0, 0, 0)).tolist() == [0] * 4


def made(n: int, skill: float, by_length: float, longer: float, seed: int) -> tuple[list[list[float]], np.ndarray]:
    """Return the battles of a model, two a question, that wins by its skill (log-odds) and by how much longer it is."""
    rng = np.random.default_rng(seed)
    style = rng.normal([longer, 0, 0, 0], 0.3, (n, 4)).clip(-1, 1)
    chance = 1 / (1 + np.exp(-(skill + by_length * style[:, 0])))
    return [[float(rng.random() < p), float(rng.random() < p)] for p in chance], style


def test_a_rate_at_equal_style():
    questions, style = made(4000, skill=0.0, by_length=2.0, longer=0.4, seed=0)
    assert win_rate(questions).rate > 0.65
    controlled = style_controlled(questions, style)
    assert controlled.rate == pytest.approx(0.5, abs=0.03)
    assert controlled.values.mean() == pytest.approx(controlled.rate, abs=1e-12)
    # style without effect changes nothing but the noise
    questions, style = made(4000, skill=0.7, by_length=0.0, longer=0.0, seed=1)
    assert style_controlled(questions, style).rate == pytest.approx(win_rate(questions).rate, abs=0.01)
    # answers of one style: the fit is the share of wins
    assert style_controlled(questions, np.zeros((4000, 4))).rate == pytest.approx(win_rate(questions).rate, abs=1e-9)


def test_the_noise_at_equal_style_is_that_of_a_jackknife():
    questions, style = made(150, skill=0.5, by_length=1.0, longer=0.2, seed=2)
    questions[7] = []  # a question without battles takes no part
    whole = style_controlled(questions, style)
    asked = [i for i in range(150) if i != 7]
    assert np.isnan(whole.values).tolist() == [i == 7 for i in range(150)]
    without = np.array(
        [style_controlled([g if j != i else [] for j, g in enumerate(questions)], style).rate for i in asked]
    )
    jackknife = 149 * whole.rate - 148 * without
    assert whole.values[asked].std(ddof=1) == pytest.approx(jackknife.std(ddof=1), rel=0.05)
    assert np.corrcoef(whole.values[asked], jackknife)[0, 1] > 0.999


def test_style_that_cannot_be_controlled():
    assert style_controlled([[1.0], [1.0]], np.ones((2, 4)))[::2] == (
        None,
        "no finite fit: all battles end alike, or style tells how they end",
    )
    told = style_controlled([[1.0], [0.0], [1.0], [0.0]] * 5, np.array([[1, 0, 0, 0], [-1, 0, 0, 0]] * 10, float))
    assert told.rate is None and "no finite fit" in told.reason
    assert style_controlled([[]], np.ones((1, 4))).reason == "no battles"


def test_the_joint_fit_moves_with_its_set_of_models():
    """The leaderboard's table: a new, longer model moves the mean style, and so every other model's rate."""
    plain, long = made(300, 0.2, 1.5, 0.0, seed=4), made(300, 0.2, 1.5, 0.6, seed=5)
    two = joint_style([plain[0], long[0]], [plain[1], long[1]], rounds=20)
    one = joint_style([plain[0]], [plain[1]], rounds=20)
    assert two is not None and one is not None
    assert abs(two.rates[0] - one.rates[0]) > 0.02
    assert abs(two.rates[1] - two.rates[0]) < 0.1 < win_rate(long[0]).rate - win_rate(plain[0]).rate
    assert all(low < rate < high for low, rate, high in zip(two.low, two.rates, two.high, strict=True))
    assert two.weights[0] > 0.2
    assert joint_style([plain[0], long[0]], [plain[1], long[1]], rounds=20) == two
