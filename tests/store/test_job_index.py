"""The index of finished jobs: a line a job, which no cleaning removes."""

import subprocess
from pathlib import Path

from job_lines import job_line
from teachergrid.store import job_index
from teachergrid.store.job_index import INDEX
from workspace import ROOT


def test_make_clean_keeps_the_lines(tmp_path):
    results = tmp_path / "results"
    job_line(results, "generate", "i__t", 1.0)
    for name in ("README.md", "responses/a.parquet", ".history/a"):
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).touch()
    recipe = next(line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith("\tfind results"))
    subprocess.run(recipe.strip(), shell=True, cwd=tmp_path, check=True)
    left = {str(path.relative_to(results)) for path in results.rglob("*") if path.is_file()}
    assert left == {"README.md", f"{INDEX}/host"}


def test_lines_are_read_back_and_one_that_was_cut_off_is_left_out(tmp_path):
    results = str(tmp_path)
    job_index.remember(results, "metric", "a", "f")
    job_index.remember(results, "answer", "b/math", "g", {"seconds": 1.5, "device": "cpu"})
    job_index.remember(results, "answer", "b/math", "g", index=job_index.PROBES)
    [file] = (tmp_path / INDEX).iterdir()
    with file.open("a") as lines:
        lines.write('9 answer c g {"seconds": 1')
    found = list(job_index.index_lines(results))
    assert [words[1:] for words in found] == [
        ["metric", "a", "f"],
        ["answer", "b/math", "g", '{"seconds":1.5,"device":"cpu"}'],
    ]
    assert len(list(job_index.index_lines(results, job_index.PROBES))) == 1


def test_lines_that_may_not_be_read_are_left_out(tmp_path, monkeypatch):
    """Another user's, whose file is closed."""
    job_line(tmp_path, "generate", "i__t", 1.0)
    (tmp_path / INDEX / "closed").touch()
    read = Path.read_text

    def ask(path: Path) -> str:
        if path.name == "closed":
            raise PermissionError
        return read(path)

    monkeypatch.setattr(Path, "read_text", ask)
    assert [words[1] for words in job_index.index_lines(str(tmp_path))] == ["generate"]
