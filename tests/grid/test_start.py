"""What the jobs of a run start from: the config and the choices of pilots as they were planned."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from pilot_grid import ONE_EACH, chose, with_pilot
from teachergrid.errors import BadInput
from teachergrid.grid import start
from teachergrid.grid.cells import Cells
from teachergrid.grid.config import checked
from teachergrid.grid.start import Start
from teachergrid.spec import config_files
from teachergrid.store import history, origin


@pytest.fixture
def entries(small) -> dict:
    """The small grid's config with a pilot."""
    with_pilot(small)
    return small


@pytest.fixture(autouse=True)
def own_environment(monkeypatch):
    monkeypatch.setenv(start.VARIABLE, "")  # so that what a test sets is gone after it
    monkeypatch.delenv(start.VARIABLE)


def temperature(begun: Start) -> float:
    return begun.config["teachers"]["large"]["sampling"]["temperature"]


def edit(entries: dict, value: float) -> None:
    entries["teachers"]["large"]["sampling"] = {"temperature": value}


def test_a_job_reads_the_config_that_it_was_planned_with(entries):
    edit(entries, 0.2)
    start.freeze(checked(entries))
    edit(entries, 0.9)
    assert temperature(Start(entries, [], is_main_process=False)) == 0.2
    # the second start of a run, and its partial report
    again = Start(entries | {"partial": True}, [], is_main_process=True)
    assert (temperature(again), again.config["partial"]) == (0.2, True)


def test_a_new_run_reads_the_config_as_it_is(entries):
    edit(entries, 0.2)
    start.freeze(checked(entries))
    start.forget()
    edit(entries, 0.9)
    assert temperature(Start(entries, [], is_main_process=True)) == 0.9
    with history.looking():
        assert temperature(Start(entries, [], is_main_process=False)) == 0.9, "status"


def test_who_only_looks_sees_the_config_as_it_is(entries):
    edit(entries, 0.2)
    start.freeze(checked(entries))
    edit(entries, 0.9)
    with history.looking():
        assert temperature(Start(entries, [], is_main_process=True)) == 0.9


@pytest.mark.parametrize("variable", [None, "0123456789abcdef"])
def test_a_job_without_its_frozen_config_fails(entries, variable):
    if variable:
        os.environ[start.VARIABLE] = variable
    with pytest.raises(BadInput, match=r"the config that this job was planned with is gone.*run again"):
        Start(entries, [], is_main_process=False)


def test_a_job_expands_what_the_pilots_had_chosen(entries):
    run = Cells(checked(entries))
    start.freeze(run.config, run.chosen)
    chose(run, ONE_EACH)
    job = Start(entries, [], is_main_process=False)
    assert {rule: [*rows] for rule, rows in job.cells.rows.items()} == {
        rule: [*rows] for rule, rows in run.rows.items()
    }


def test_the_lock_is_taken_and_released(entries, monkeypatch):
    monkeypatch.delenv(config_files.IN_USE, raising=False)
    begun = Start(entries, [], is_main_process=True)
    begun.files = [Path("my.yaml").resolve(), Path("/elsewhere/b.yaml")]
    begun.begin(SimpleNamespace(needrun_jobs=lambda: []))
    assert config_files.in_use() == ["my.yaml", "/elsewhere/b.yaml"]
    assert Path("results/.lock").exists() and start.frozen() == {"config": begun.config, "chosen": begun.cells.chosen}
    begun.end()
    assert not Path("results/.lock").exists()


def test_what_a_run_does_not_make_again_is_as_before(entries, capsys):
    """Of what cost a model. Snakemake removes all outputs of a job before it starts."""
    outputs = [Path(f"results/{name}.json") for name in ("responses/a__b", "responses/c__d", "metrics/q/x")]
    rules, old = ["generate", "generate", "measure"], json.dumps({"origin": origin.of("generate", "{}", [])})
    jobs = [
        SimpleNamespace(rule=SimpleNamespace(name=rule), output=[output])
        for rule, output in zip(rules, outputs, strict=True)
    ]
    for output in outputs:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(old)
    begun = Start(entries, [], is_main_process=True)
    begun.begin(SimpleNamespace(needrun_jobs=lambda: jobs))
    for output in outputs:
        output.unlink()
    outputs[0].write_text("new")
    begun.end()
    assert [output.read_text() if output.exists() else None for output in outputs] == ["new", old, None]
    assert [path.read_text() for path in Path("results/.replaced").rglob("*.json")] == [old]
    assert "not made again, so as before: results/responses/c__d.json\n" in capsys.readouterr().err


def test_who_only_looks_writes_nothing(entries, tmp_path):
    Path("results/responses").mkdir(parents=True)
    Path("results/responses/x__y.parquet").write_text("no table")
    before = sorted(map(str, tmp_path.rglob("*")))
    with history.looking():
        begun = Start(entries, [], is_main_process=True)
    assert list(begun.corrected) == ["results/responses/x__y.parquet"]
    written = set(map(str, tmp_path.rglob("*"))) - set(before)
    assert {Path(path).name for path in written} <= {".history", ".snakemake", "incomplete", "metadata"}
