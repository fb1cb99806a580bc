"""Gains by task."""

from teachergrid.report import tasks


def test_short_names_of_measures():
    measures = ["suite/verify", "suite/verify/problems", "suite/verify/problems/add", "suite/verify/problems/sub"]
    finest = tasks.finest(measures)
    assert finest == measures[2:] and [tasks.short(name, finest) for name in finest] == ["add", "sub"]
