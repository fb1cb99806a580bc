"""Plans as files."""

import json

import pytest
from plan_documents import job
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
