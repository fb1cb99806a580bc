"""Reasons that jobs inherit in a graph. Snakemake's own graphs are in the tests of `plan` and of reruns."""

import gc

import pytest
from teachergrid.planning import graph
from teachergrid.planning.reasons import FOLLOWS


def test_a_job_that_follows_has_the_reason_of_what_it_follows():
    # the second follows the third, which comes later in the list; the last one follows what is up to date
    reasons = [("new teacher", ["a"]), (FOLLOWS, ["x"]), (FOLLOWS, ["y"]), ("forced", []), (FOLLOWS, ["z"])]
    needs = [[], [2, 3], [0], [], []]
    assert graph.roots(reasons, needs) == [
        ("new teacher", "a"),
        ("new teacher", "a"),
        ("new teacher", "a"),
        ("forced", ""),
        (FOLLOWS, "z"),
    ]


def test_without_jobs_there_is_nothing_to_describe():
    assert graph.described([]) == [] and graph.roots([], []) == []


@pytest.mark.parametrize("collecting", [True, False])
def test_garbage_collection_is_as_before_even_after_an_error(collecting):
    (gc.enable if collecting else gc.disable)()
    try:
        with pytest.raises(KeyError), graph.uncollected():
            assert not gc.isenabled()
            raise KeyError
        assert gc.isenabled() is collecting
    finally:
        gc.enable()
