"""The cells that `teachergrid next` proposes, from the tables of a grid and what jobs took."""

import json

import pytest
from known_grid import SIX, SIX_REWARD, World
from teachergrid.__main__ import call
from teachergrid.store import artifacts


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A grid of one seed, whose students of b2 took ten times as long."""
    monkeypatch.chdir(tmp_path)
    right = {base: {name: seeds[:1] for name, seeds in row.items()} for base, row in SIX.items()}
    found = World(right, reward=SIX_REWARD).summary()
    for number, row in enumerate(row for row in found.effects if row["effect"] == "next"):
        row["value"] = 0.1 * number  # the first is not worth a run
    folder = tmp_path / "results/grids/first"
    folder.mkdir(parents=True)
    artifacts.write(folder / "effects.parquet", found.effects, artifacts.EFFECTS, {})
    artifacts.write(folder / "performance.parquet", found.performance, artifacts.PERFORMANCE, {})
    return found


def test_it_lists_what_gains_most_for_its_hours(results, monkeypatch, capsys):
    from teachergrid.commands import next as next_cells

    hours = {f"{base}__pool__{unit}__sft": 1.0 if base == "b1" else 10.0 for base in SIX for unit in SIX["b1"]}
    monkeypatch.setattr(next_cells, "student_hours", lambda: hours)
    assert call(["next", "--json", "--most", "3"]) == 0
    listed = json.loads(capsys.readouterr().out)
    rates = [one["gain"] / one["hours"] for one in listed]
    assert rates == sorted(rates, reverse=True) and len(listed) == 3
    assert call(["next"]) == 0
    said = capsys.readouterr().out
    first = listed[0]["cell"]
    assert f"- {{base: {first['base']}, corpus: {first['corpus']}, recipe: sft, seed: {first['seed']}}}" in said
    assert "grids.first" in said and "assumes 1 point" in said


def test_without_a_summary_it_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert call(["next"]) == 2
    assert "no grid has a summary" in capsys.readouterr().out
