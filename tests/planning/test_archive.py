"""Plans as files."""

import json

import pytest
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
