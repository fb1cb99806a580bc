"""`teachergrid site` on a machine without SLURM."""

from teachergrid.commands import site


def test_without_slurm_it_says_where_to_run_it(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert site.main() == 2
    assert "login node" in capsys.readouterr().err
