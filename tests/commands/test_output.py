"""No text of others controls the terminal."""

import io
import json
import shlex
import subprocess
import sys

import pytest
import yaml
from teachergrid.commands import output
from teachergrid.errors import BadInput
from workspace import ENV, ROOT

EVIL = "\x1b]0;PWNED\x07\x1b[2J\x1b[1;1Hall done, 0 failed\u202e\x9b5m"
SAFE = r"\x1b]0;PWNED\x07\x1b[2J\x1b[1;1Hall done, 0 failed\u202e\x9b5m"


@pytest.mark.parametrize(
    ("text", "colour", "expected"),
    [
        (EVIL, True, SAFE),
        (EVIL, False, SAFE),
        ("\x1b[31mred\x1b[0m \x1b[8mhidden \x1b[40m", True, "\x1b[31mred\x1b[0m \\x1b[8mhidden \\x1b[40m"),
        ("\x1b[31mred\x1b[0m", False, r"\x1b[31mred\x1b[0m"),
        ("two\nlines\tand more", True, "two\nlines\tand more"),
    ],
)
def test_control_characters_are_shown_and_colours_stay_on_a_terminal(text, colour, expected):
    assert output.shown(text, colour) == expected


def test_a_guarded_stream_returns_the_length_of_the_text_and_copies_the_encoding():
    raw = io.BytesIO()
    stream = output.Shown(io.TextIOWrapper(raw, "ascii", "backslashreplace"))
    assert stream.write("é\x1b") == 2
    print("", "x", sep="\r", file=stream)
    stream.flush()
    assert raw.getvalue() == rb"\xe9\x1b" + rb"\rx" + b"\n"


def test_what_a_process_prints_is_guarded_and_its_bars_are_not():
    code = (
        "import sys; from teachergrid.commands import output; output.guard();"
        f"print({EVIL!r}); print({EVIL!r}, file=sys.stderr); print('\\rbar', file=sys.__stderr__); sys.exit({EVIL!r})"
    )
    argv = [sys.executable, "-c", code]
    done = subprocess.run(
        argv,
        cwd=ROOT / "workflow/scripts",
        env=ENV,
        capture_output=True,
    )
    assert done.stdout.decode() == f"{SAFE}\n" and done.stderr.decode() == f"{SAFE}\n\rbar\n{SAFE}\n"


@pytest.mark.slow
def test_commands_are_guarded(tmp_path):
    """A name in the config reaches stderr by a message of ours, and by Snakemake's."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.yaml").write_text(yaml.safe_dump({"grids": {}, EVIL: 1}))
    env = {**ENV, "PYTHONPATH": str(ROOT / "workflow/scripts")}
    argv = [sys.executable, "-m", "teachergrid", "run", "--snakefile", str(ROOT / "Snakefile"), "--cores", "1"]
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 2 and f"unknown key '{SAFE}'" in done.stderr and "\x1b" not in done.stderr


def test_json_stays_json():
    value = {"line": EVIL}
    assert json.loads(output.shown(json.dumps(value), False)) == value


def test_a_closed_pipe_does_not_end_what_goes_on():
    """As in `teachergrid run | head -1`: what is printed then goes nowhere, and the process ends as it would have."""
    code = (
        "import sys; from teachergrid.commands import output; output.guard()\n"
        "for i in range(20000): print(i, flush=i % 100 == 0); print(i, file=sys.stderr)\n"
        "sys.exit(7)"
    )
    command = f"{sys.executable} -c {shlex.quote(code)} 2>&1 | head -n 1; echo ${{PIPESTATUS[0]}}"
    env = {**ENV, "PYTHONPATH": str(ROOT / "workflow/scripts")}
    done = subprocess.run(["bash", "-c", command], env=env, capture_output=True, text=True)
    assert done.stdout.split()[1:] == ["7"] and not done.stderr


@pytest.mark.slow
def test_a_closed_pipe_does_not_end_a_run(grid):
    (grid.folder / "results/grids/teachers/report.html").unlink()
    command = f"{sys.executable} -m teachergrid run 2>&1 | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=grid.folder, env=ENV, capture_output=True, text=True)
    assert done.stdout.split()[-1] == "0" and not done.stderr
    assert grid.jobs() == set()


def test_a_page_that_cannot_be_written_is_told(tmp_path):
    output.write_page(tmp_path / "page.html", "<p>")
    assert (tmp_path / "page.html").read_text() == "<p>"
    (tmp_path / "file").touch()
    for path in (tmp_path / "file/page.html", tmp_path):
        with pytest.raises(BadInput, match=f"--html {path}: cannot be written"):
            output.write_page(path, "<p>")
