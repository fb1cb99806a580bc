"""Model files: a revision names exactly one set of them."""

import pytest
from teachergrid.errors import BadInput
from teachergrid.hub import model_files


@pytest.mark.parametrize("revision", [None, "main", "sha256-00", "A" * 40, "a" * 39])
def test_no_job_loads_a_model_without_a_commit(tmp_path, monkeypatch, revision):
    monkeypatch.chdir(tmp_path)
    model = {"repo": "org/free", "revision": revision}
    with pytest.raises(BadInput, match=r"org/free: no (commit is stated.*prefetch --pin|such folder)"):
        model_files.check_revision(model)
    model_files.check_revision(model | {"revision": "a" * 40})
