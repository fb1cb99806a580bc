"""Options of a plan among those of Snakemake."""

import time

import pytest
from plan_documents import HOUR
from teachergrid.commands import parser
from teachergrid.errors import BadInput
from teachergrid.planning import options


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["--max-usd", "-1"], "--max-usd -1: give a number of 0 or more"),
        (["--max-gpu-hours", "many"], "invalid float value: 'many'"),
        (["--deadline", "soon"], "--deadline soon: give hours"),
        *((["--max-gpu-hours", n], f"--max-gpu-hours {n}: give a number of 0 or more") for n in ("nan", "inf", "-1")),
        (["--max-usd", "inf"], "--max-usd inf: give a number"),
        (["--deadline", "2001-01-01"], "--deadline 2001-01-01: is not in the future; give hours"),
        (["--deadline", "2001-01-01T12:00+02:00"], "is not in the future"),
        (["--deadline", "0001-01-01"], "--deadline 0001-01-01: "),
        (["--deadline", "0h"], "--deadline 0h: is not in the future; give hours"),
        (["--deadline", "0"], "--deadline 0: is not in the future"),
        (["--deadline=-3h"], "--deadline -3h: give hours"),
        (["--deadline", "9" * 400], "is not in the future"),
        (["--deadline", "nan"], "--deadline nan: give hours"),
        (["--probe-seconds", "inf"], "--probe-seconds inf: give the longest"),
        (["--start-delay", "-3"], "--start-delay -3"),
    ],
)
def test_mistakes_in_options(argv, told):
    with pytest.raises(BadInput, match=told):
        read("plan", *argv)


def read(*argv: str) -> options.PlanOptions:
    return options.read(*parser.parse(list(argv)))


def test_options_of_ours_and_of_snakemake():
    found = read("plan", "--configfile", "c.yaml", "--max-usd", "5", "--config", "a=1", "-j", "4", "results/x")
    assert found.argv == ["--configfile", "c.yaml", "--config", "a=1", "-j", "4", "results/x"]
    assert found.max_usd == 5 and found.bounded() and not read("plan", "--json").bounded()
    assert read("run", "--plan", "x").plan == "x"
    now = time.mktime((2026, 5, 1, 12, 0, 0, 0, 0, -1))
    assert [options.seconds_until(t, now) for t in ("48", "1.5h", "3d", "2026-05-01T18:00")] == [
        48 * HOUR,
        1.5 * HOUR,
        72 * HOUR,
        6 * HOUR,
    ]


def test_options_of_a_probe():
    assert options.read(*parser.parse(["plan", "--probe"])).probe
    assert options.read(*parser.parse(["plan"])).probe_seconds == 300
    with pytest.raises(BadInput, match="--probe-seconds 0"):
        options.read(*parser.parse(["plan", "--probe-seconds", "0"]))


def test_a_deadline_in_a_time_zone():
    noon = 1777636800.0  # 2026-05-01T12:00 UTC
    texts = ("2026-05-01T12:30Z", "2026-05-01T12:30+00:00", "2026-05-01T14:30+02:00", "2026-05-01T07:30-05:00")
    assert [options.seconds_until(text, noon) for text in texts] == [HOUR / 2] * 4


def test_where_more_options_and_targets_go():
    assert options.inserted(["-n", "--", "x"], "--a", "b") == ["-n", "--a", "b", "--", "x"]
    assert options.inserted(["-n"], "--a") == ["-n", "--a"]
    assert options.targeted(["--configfile", "a"], "x") == ["x", "--configfile", "a"]
    assert options.targeted(["--configfile", "a", "--", "y"], "x") == ["--configfile", "a", "--", "y", "x"]
