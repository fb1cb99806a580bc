"""Plans as files."""

import errno
import json

import pytest
from plan_documents import job, plan
from teachergrid.errors import BadInput
from teachergrid.planning import archive


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("no json", "is not a plan"),
        ("{}", "is not a plan"),
        ("[1]", "is not a plan"),
        (json.dumps({"format": 99}), "has format 99"),
    ],
)
def test_files_that_are_no_plan_of_ours(tmp_path, content, told):
    path = tmp_path / "plan.json"
    path.write_text(content)
    with pytest.raises(BadInput, match=told):
        archive.read(path)


@pytest.mark.parametrize(("number", "skipped"), [(errno.EACCES, True), (errno.EROFS, True), (errno.ENOSPC, False)])
def test_a_plan_of_results_that_one_may_only_read_is_not_saved(tmp_path, monkeypatch, number, skipped):
    def refuse(*_, **__):
        raise OSError(number, "no")

    document = plan([])
    monkeypatch.setattr(archive.Path, "mkdir", refuse)
    if skipped:
        assert archive.save(document, str(tmp_path)) is None
    else:
        with pytest.raises(OSError, match="no"):
            archive.save(document, str(tmp_path))


def test_another_users_file_of_the_same_plan_is_replaced(tmp_path):
    """It may not be written over; a rename needs only the folder."""
    document = plan([])
    path = archive.save(document, str(tmp_path))
    number = path.stat().st_ino
    assert archive.save(document, str(tmp_path)) == path and path.stat().st_ino != number


def test_the_hash_is_over_jobs_specs_costs_and_contents():
    one, other = job("generate a", 1), job("load_instructions b", 2) | {"files": ["x"]}
    first = archive.agreed([one, other], {"x": "1"})
    assert len(first) == 16 and first == archive.agreed([other, one], {"x": "1"})
    # neither times nor the names of files
    assert first == archive.agreed([job("generate a", 9), other | {"files": ["y"]}], {"y": "1"})
    for jobs, files in (
        ([one], {"x": "1"}),
        ([one | {"spec": "1" * 16}, other], {"x": "1"}),
        ([one | {"costs": {"gpus": 8, "cpus": 1}}, other], {"x": "1"}),
        ([one, other], {"x": "2"}),
        # the same files, read by other jobs
        ([one | {"files": ["x"]}, other | {"files": []}], {"x": "1"}),
    ):
        assert archive.agreed(jobs, files) != first
    # a model folder whose weights were replaced; one that nobody read says nothing
    jobs, files = [one, other], {"x": "1"}
    read = {archive.agreed(jobs, files, {"models/a": f"folder sha256:{digest}"}) for digest in ("aa", "bb")}
    assert len(read) == 2 and first not in read
    assert archive.agreed(jobs, files, {"models/a": "folder not yet read"}) == first
