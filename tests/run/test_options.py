"""The options of a run: our own, and those that it hands on to Snakemake."""

import pytest
from teachergrid.commands import parser
from teachergrid.planning import options as plan_options
from teachergrid.run import options


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["-n"], ["-n", "--config", "x=1"]),
        (["--config", "a=2", "-n"], ["--config", "x=1", "a=2", "-n"]),
    ],
)
def test_a_setting_is_added_to_those_given(argv, expected):
    assert options.with_config(argv, "x=1") == expected


def test_a_run_takes_the_limits_of_a_plan(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own, rest = parser.parse(["run", "--max-usd", "5", "--lint", "--cores", "3", "x"])
    found = options.read(own, rest)
    assert found.pass_on and found.live == "refuse" and found.at_once == 3 and found.targets == ["x"]
    assert found.argv == ["--lint", "--cores", "3", "x"] and found.plan == plan_options.PlanOptions(rest, max_usd=5)
