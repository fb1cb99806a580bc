"""Reasons that jobs inherit in a graph. Snakemake's own graphs are in the tests of `plan` and of reruns."""

import errno
import gc
import os

import pytest
from teachergrid.job.reasons import FOLLOWS
from teachergrid.planning import graph


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


@pytest.mark.parametrize(("number", "skipped"), [(errno.EACCES, True), (errno.EROFS, True), (errno.ENOSPC, False)])
def test_a_look_needs_no_folder_that_may_not_be_made(monkeypatch, number, skipped):
    def refuse(*_):
        raise OSError(number, "no")

    monkeypatch.setattr(os, "makedirs", refuse)
    with graph.unhindered():
        if skipped:
            os.makedirs("x")
        else:
            with pytest.raises(OSError, match="no"):
                os.makedirs("x")
    assert os.makedirs is refuse


def test_a_record_that_may_not_be_read_is_as_if_there_were_none(monkeypatch):
    from snakemake.persistence.file import FilePersistence

    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(FilePersistence, "_io_read", refuse)
    with graph.unhindered():
        assert FilePersistence._io_read(None, "metadata", "x") == {}
    assert FilePersistence._io_read is refuse
