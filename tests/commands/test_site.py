"""`teachergrid site` on a machine without SLURM."""

from teachergrid.commands import site
from teachergrid.slurm import site as cluster
from teachergrid.tasks import sandbox


def test_without_slurm_it_says_where_to_run_it(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert site.main() == 2
    assert "login node" in capsys.readouterr().err


def test_it_says_what_guards_programs_of_models(monkeypatch, capsys):
    for name, found in (("nodes", []), ("read_partitions", []), ("read_associations", []), ("read_qos", {})):
        monkeypatch.setattr(cluster, name, lambda found=found: found)
    monkeypatch.setattr(sandbox, "levels", lambda: "sandbox for programs of models: landlock holds")
    assert site.main() == 0
    printed = capsys.readouterr()
    assert printed.out.endswith("partitions:\n"), "lines of files only"
    assert printed.err == "sandbox for programs of models: landlock holds\n"
