"""The options of a run: our own, and those that it hands on to Snakemake."""

import pytest
from teachergrid.commands import parser
from teachergrid.planning import options as plan_options
from teachergrid.run import options


@pytest.mark.parametrize(
    "argv",
    [
        ["-n"],
        ["--config", "a=2", "-n"],
        ["--config=a=2"],
        ["-Ca=2", "--configfile", "c.yaml"],
        ["-C", "b=3", "--config", "a=2", "--", "target"],
    ],
)
def test_a_setting_is_added_to_those_given(argv):
    """Whatever the spelling: of two --config Snakemake takes the last."""
    stated = plan_options.parse_quietly(argv).config or []
    found = plan_options.parse_quietly(options.with_config(argv, "x=1"))
    assert found.config == [*stated, "x=1"] and stated == ["a=2"] * ("a=2" in " ".join(argv))
    assert found.targets == plan_options.parse_quietly(argv).targets


def test_a_setting_is_added_to_those_of_the_profile(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Snakefile").touch()
    (tmp_path / "profiles/default").mkdir(parents=True)
    (tmp_path / "profiles/default/profile.yaml").write_text("config: {a: 2}\n")
    assert plan_options.parse_quietly(options.with_config(["-n"], "x=1")).config == ["a=2", "x=1"]


def test_a_run_takes_the_limits_of_a_plan(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own, rest = parser.parse(["run", "--max-usd", "5", "--lint", "--cores", "3", "x"])
    found = options.read(own, rest)
    assert found.pass_on and found.live == "refuse" and found.at_once == 3 and found.targets == ["x"]
    assert found.argv == ["--lint", "--cores", "3", "x"] and found.plan == plan_options.PlanOptions(rest, max_usd=5)
