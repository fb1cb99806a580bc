"""The papers' numbers as the command prints them, its exit code, and what it imports."""

import subprocess
import sys
from argparse import Namespace

from teachergrid.commands import replicate
from teachergrid.replication import published
from workspace import ENV, ROOT


def test_the_command_says_so_and_ends_well(tmp_path, capsys):
    assert replicate.main(Namespace(html=str(tmp_path / "page.html"), results_table=None)) == 0
    said = capsys.readouterr().out
    assert (
        said.startswith("Which teacher? (Xu et al. 2025)\nOurs (the paper's): 24 of 24 printed numbers agree")
        and "108 of 108 that follow" in said
        and "0.9246 (0.925)" in said
    )
    assert "Which evolver? (Hui et al. 2024)\nOurs (the paper's): 14 of 14" in said and "70 of 70 that follow" in said
    assert "8 of 13 steps (exact p 0.481)" in said and "+1.34 sd" in said
    assert "<strong>24 of 24</strong>" in (tmp_path / "page.html").read_text()


def test_a_number_that_does_not_come_out_is_marked_and_fails(monkeypatch, capsys):
    def tampered(name="tables"):
        rows = shipped(name)
        if name == "derived":
            next(row for row in rows if row["what"] == "regret")["printed"] = "0.53"
        return rows

    shipped = published.rows
    monkeypatch.setattr(published, "rows", tampered)
    assert replicate.main(Namespace(html=None, results_table=None)) == 1
    said = capsys.readouterr().out
    assert "107 of 108" in said and "0.524 (0.53) !" in said


def test_it_needs_no_heavy_library():
    code = "import sys; from teachergrid.__main__ import call; call(['replicate']); print(sorted({'torch', 'pandas', 'snakemake', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=ENV, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "[]", done.stderr
