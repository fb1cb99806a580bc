"""How long a run waits, and how a site changes it."""

from teachergrid.slurm.patience import Patience


def test_an_environment_variable_sets_each_time(monkeypatch):
    for name in Patience._fields:
        monkeypatch.delenv(f"TEACHERGRID_{name.upper()}", raising=False)
    assert Patience.of_environment() == Patience() and Patience().lost == 120 and Patience().away == 10
    monkeypatch.setenv("TEACHERGRID_LOST", "15")
    monkeypatch.setenv("TEACHERGRID_HANG", "")
    assert Patience.of_environment() == Patience(lost=15)
