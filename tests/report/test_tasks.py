"""Gains by task."""

from page_words import Words
from teachergrid.report import page, tasks


def test_short_names_of_measures():
    measures = ["suite/verify", "suite/verify/problems", "suite/verify/problems/add", "suite/verify/problems/sub"]
    finest = tasks.finest(measures)
    assert finest == measures[2:] and [tasks.short(name, finest) for name in finest] == ["add", "sub"]


def test_gains_by_task_are_not_adjusted_for_their_number_and_the_page_says_so(data):
    read = Words(page.build(data)).text
    assert "of 84 gains," in read and "If none were real, about 2.1 would be on each side" in read
    assert "95 % interval, not adjusted for the number of tasks" in read
