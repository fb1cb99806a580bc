"""The command line: help of each option, our options among Snakemake's, and what a mistyped option is answered."""

import re
import subprocess
import sys

import pytest
from teachergrid.__main__ import call
from teachergrid.commands import parser
from teachergrid.errors import BadInput

OWN = {
    "run": "live plan cluster gpu machines start-delay max-gpu-hours max-usd deadline",
    "plan": "cluster gpu machines start-delay max-gpu-hours max-usd deadline details why json jsonl html diff what-if "
    "fit-budget probe probe-seconds older",
    "why": "",
    "status": "json html",
    "prefetch": "pin dry-run check",
    "replicate": "html",
    "site": "",
    "calibrate-judge": "json",
    "next": "most json",
    "publish": "to push public token dry-run",
}


@pytest.mark.parametrize("command", OWN)
def test_help_tells_each_option_of_ours(command, capsys):
    with pytest.raises(SystemExit) as ended:
        call([command, "--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0
    lines = text.split("\n\n", 1)[1].splitlines()
    for name in OWN[command].split():
        [at] = [n for n, line in enumerate(lines) if f"{line} ".startswith(f"  --{name} ")]
        about = lines[at].strip().partition("  ")[2] or lines[at + 1].strip()
        assert about, f"--{name} without a word on what it does"
    assert ("Snakemake's own options" in text) is (command not in parser.WITHOUT_SNAKEMAKE)


def test_all_commands_are_listed(capsys):
    for argv in ([], ["--help"], ["help"]):
        with pytest.raises(SystemExit) as ended:
            call(argv)
        text = capsys.readouterr().out
        assert ended.value.code == 0 and all(f"\n    {command}" in text for command in OWN)
    assert call(["plans"]) == 2
    assert "'plans' (choose from 'run', 'plan'" in capsys.readouterr().err


def test_help_is_there_at_once():
    program = (
        "import sys\nfrom teachergrid.__main__ import call\n"
        "try:\n    call([sys.argv[1], '--help'])\nfinally:\n"
        "    heavy = {'torch', 'snakemake', 'numpy', 'pyarrow', 'yaml'} & sys.modules.keys()\n    assert not heavy, heavy\n"
    )
    for command in OWN:
        done = subprocess.run([sys.executable, "-c", program, command], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("argv", "rest"),
    [
        (["run", "--live=wait", "-n"], ["-n"]),
        (["run", "--config", "a=1", "b=2", "--live", "wait", "-j4"], ["--config", "a=1", "b=2", "-j4"]),
        (["run", "a", "--live=wait", "--cores", "2"], ["a", "--cores", "2"]),
        (["run", "--live=wait", "--keep-going", "--", "a", "--json"], ["--keep-going", "--", "a", "--json"]),
    ],
)
def test_our_options_among_those_of_snakemake(argv, rest):
    own, left = parser.parse(argv)
    assert own.live == "wait" and left == rest


def test_each_command_has_its_own_options():
    assert parser.parse(["run", "--dry-run"])[1] == ["--dry-run"], "Snakemake's"
    own, rest = parser.parse(["prefetch", "--dry-run", "--cores", "1"])
    assert own.dry_run and not own.pin and rest == ["--cores", "1"]
    own, rest = parser.parse(["plan", "--what-if", "gpu=a", "--what-if=lora", "-c1"])
    assert own.what_if == ["gpu=a", "lora"] and rest == ["-c1"]
    own, rest = parser.parse(["why", "generate seed__large", "--cores", "1"])
    assert own.file == "generate seed__large" and rest == ["--cores", "1"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["prefetch", "--pn"], "--pn: .* did you mean '--pin'"),
        (["prefetch", "--dry"], "did you mean '--dry-run'"),  # which Snakemake would take, and prefetch would fetch
        (["plan", "--max-gpu-hour", "3"], "did you mean '--max-gpu-hours'"),
        (["plan", "--max-gpu-hour=3"], "did you mean '--max-gpu-hours'"),
        (["status", "--cores", "1", "--jsno"], "did you mean '--json'"),
        (["run", "--lives", "wait"], "did you mean '--live'"),
        (["status", "--htmx"], "--htmx: .* did you mean '--html'"),
        (
            ["run", "--dry-rnu"],
            "--dry-rnu: neither teachergrid run nor Snakemake has such an option, did you mean '--dry-run'",
        ),
        (
            ["run", "--xyzzy"],
            "--xyzzy: neither teachergrid run nor Snakemake has such an option; teachergrid run --help",
        ),
        (["plann"], "there is no command 'plann' .choose from 'run', .*did you mean 'plan'"),
        (["replicate", "--htm", "x"], "unrecognized arguments: --htm x, did you mean '--html'"),
        (["site", "now"], "unrecognized arguments: now"),
        (["run", "--live", "now"], "'now' .choose from 'refuse', 'wait', 'cancel'"),
        (["run", "--live"], "--live: expected one argument; teachergrid run --help"),
        (["why"], "FILE"),
        (["why", "--cores", "1", "results/x"], "the file or cell must come first"),
    ],
)
def test_mistakes(argv, message, capsys):
    with pytest.raises(BadInput, match=message):
        parser.parse(argv)
    assert call(argv) == 2 and capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["--executor", "slurm"], ["--core", "1"], ["--config", "a=1"], ["--jobs=1"], ["-n"], ["--", "--htmx"]]
)
def test_the_rest_is_for_snakemake_to_judge(words):
    assert parser.parse(["plan", *words])[1] == words
    assert parser.parse(["run", *words])[1] == words


def test_a_closed_pipe_ends_it_quietly():
    command = f"{sys.executable} -m teachergrid replicate | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.stdout.startswith("Which teacher?") and not done.stderr


@pytest.mark.parametrize("argv", [["--version"], *([command, "--version"] for command in OWN)])
def test_the_version_is_one_line(argv, capsys):
    with pytest.raises(SystemExit) as ended:
        call(argv)
    assert ended.value.code == 0
    assert re.fullmatch(r"teachergrid \S+, Snakemake 9\.\d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize("command", [["plan"], ["run"], ["status"], ["why", "x"], ["prefetch"]])
def test_another_folder_is_told_in_one_line(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert call(command) == 2
    told = capsys.readouterr().err
    assert f"{tmp_path}: there is no Snakefile here; cd into the project's folder" in told and told.count("\n") == 1


@pytest.mark.parametrize("command", ["plan", "status", "replicate"])
def test_a_page_has_the_same_option_everywhere(command):
    assert parser.parse([command, "--html", "page.html"])[0].html == "page.html"


def test_help_without_a_command(grid):
    done = grid.call("teachergrid", "--help")
    assert done.returncode == 0 and "  plan " in done.stdout
    assert grid.call("teachergrid", "plans").returncode == 2
