"""What a run expects its jobs to take, noted before they begin."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from teachergrid.cost import actuals, machines, saved_estimates
from teachergrid.errors import BadInput
from teachergrid.grid.cells import Cells
from teachergrid.grid.config import checked
from teachergrid.planning import options, pools
from teachergrid.run import hindsight

NOTHING = actuals.Actuals({}, {})


@pytest.fixture
def cells(small) -> Cells:
    return Cells(checked(small))


def setting(clustered: str = "h100=8,a100=16,cpu=32", gpu: str | None = None, **resources):
    args = SimpleNamespace(set_resources=resources or None)
    return SimpleNamespace(
        args=args, cluster=pools.parse(clustered), gpu=gpu, actuals=NOTHING, machines=machines.read()
    )


def test_every_cell_has_an_estimate_for_each_device_that_it_may_get(cells):
    cells.rows["generate"]["seed__large"]["parameters"] = 70.0  # a small model takes as long on both
    found = hindsight.expected(cells, setting())
    assert {rule: set(each) for rule, each in found.items()} == {rule: set(each) for rule, each in cells.rows.items()}
    [first, second] = found["generate"]["seed__large"]
    # of the type that there are more of first
    assert (first.device, second.device, first.gpus) == ("a100", "h100", 2) and first.expected > second.expected
    assert [one.device for one in found["correlate"]["teachers"]] == ["cpu"]
    [only] = hindsight.expected(cells, setting(gpu="h100"))["generate"]["seed__large"]
    assert only == second


def test_without_a_scheduler_a_job_gets_what_this_machine_has(cells):
    def here(gpus: dict):
        args = SimpleNamespace(executor="local", cores=4, jobs=None, resources={})
        alone = setting()
        alone.cluster = pools.of_profile(args, None, gpus)
        return hindsight.expected(cells, alone)

    cells.rows["generate"]["seed__large"]["gpu_model"] = "h100"
    found = here({"l40s": 2})
    assert [one.device for one in found["generate"]["seed__large"]] == ["l40s"]
    assert [one.device for one in found["check"]["seed__large"]] == ["cpu"]
    [only] = here({})["generate"]["seed__large"]
    assert (only.device, only.gpus) == ("cpu", 0)
    with pytest.raises(BadInput, match=r"no GPU type 'rtx_3090'.*--machines"):
        here({"rtx_3090": 1})


def test_a_profile_that_gives_a_rule_other_gpus_counts(cells):
    from snakemake.resources import Resources

    asked = {"generate": ["gpu=4"], "reward": ["gpu=2 * attempt", "runtime=600"]}
    given = {rule: Resources.parse(said, allow_expressions=True) for rule, said in asked.items()}
    found = hindsight.expected(cells, setting(**given))
    assert {one.gpus for each in found["generate"].values() for one in each} == {4}
    assert {one.gpus for each in found["reward"].values() for one in each} == {1}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"gpu": "h1000"}, "no GPU type 'h1000'"), ({"cluster": "h100"}, "--cluster"), ({"machines": "no"}, "--machines")],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_cannot_be_estimated_is_said_in_a_line_and_stops_nothing(cells, wrong, said):
    Path("Snakefile").touch()
    lines = []
    asked = SimpleNamespace(plan=options.PlanOptions([], **{"cluster": "h1000=1", **wrong}))
    hindsight.note(cells, asked, "results", lines.append)
    [line] = lines
    assert line.startswith("no estimates are saved: ") and said in line and saved_estimates.saved("results") == []


def test_what_a_job_of_each_rule_takes_on_average_is_told_to_the_run(cells):
    Path("Snakefile").touch()
    asked = SimpleNamespace(plan=options.PlanOptions([], cluster="h100=8,cpu=32"))
    told = hindsight.note(cells, asked, "results", pytest.fail)
    found = hindsight.expected(cells, setting("h100=8,cpu=32"))["generate"]
    assert told["generate"] == pytest.approx(sum(first.expected for first, *_ in found.values()) / len(found))
    assert told.keys() == {rule for rule, rows in cells.rows.items() if rows}
