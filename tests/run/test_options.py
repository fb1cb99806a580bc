"""The options of a run: our own, and those that it hands on to Snakemake."""

from pathlib import Path

import pytest
from teachergrid.commands import parser
from teachergrid.planning import options as plan_options
from teachergrid.run import options


@pytest.mark.parametrize(
    ("argv", "stated"),
    [
        ("-n", []),
        ("--config a=2 b=3 -n", ["a=2", "b=3"]),
        ("-C a=2 b=3 -n", ["a=2", "b=3"]),
        ("--config=a=2 -n", ["a=2"]),
        ("-Ca=2 -n", ["a=2"]),
        # the last one counts, as in the run itself
        ("--config a=2 -C b=3 -n", ["b=3"]),
        ("--config=a=2 --config=b=3 -n", ["b=3"]),
        ("-n --workflow-profile {folder}", ["p=4"]),
        ("-n --workflow-profile {folder} --config a=2", ["a=2"]),
        ("--configfile one.yaml two.yaml --config a=2 -n", ["a=2"]),
        ("-n --config a=2 -- all", ["a=2"]),
    ],
)
def test_a_setting_is_added_to_those_given(tmp_path, argv, stated):
    (tmp_path / "profile.yaml").write_text("config: [p=4]")
    words = argv.format(folder=tmp_path).split()
    before, now = (plan_options.parse_quietly(one) for one in (words, options.with_config(words, "x=1")))
    assert (before.config or [], now.config) == (stated, [*stated, "x=1"])
    assert (now.configfile, now.targets, now.dryrun) == (before.configfile, before.targets, True)


@pytest.mark.parametrize(
    ("argv", "whole", "forces"),
    [
        ("", True, False),
        ("all -R generate", True, True),
        ("-F", True, True),
        ("--force results/x", False, True),
        ("results/x", False, False),
        ("--until generate", False, False),
        ("-O generate", False, False),
        ("--batch report=1/2", False, False),
    ],
)
def test_what_leaves_out_a_part_of_the_grid_and_what_forces(small, argv, whole, forces):
    Path("Snakefile").touch()
    found = options.read(*parser.parse(["run", "--cores", "1", *argv.split()]))
    assert (found.whole, found.forces) == (whole, forces)


def test_a_run_takes_the_limits_of_a_plan(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("Snakefile").touch()
    own, rest = parser.parse(["run", "--max-usd", "5", "--lint", "--cores", "3", "x"])
    found = options.read(own, rest)
    assert found.pass_on and found.live == "refuse" and found.at_once == 3 and found.targets == ["x"]
    assert found.argv == ["--lint", "--cores", "3", "x"] and found.plan == plan_options.PlanOptions(rest, max_usd=5)
