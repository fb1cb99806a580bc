"""The status of a grid in a terminal and as a page."""

import re
from pathlib import Path

import pytest
from teachergrid.commands import parser
from teachergrid.commands import status as commands_status
from teachergrid.pages import estimates
from teachergrid.run import status_page

FOUND = {
    "run": "run of process 7 on login1",
    "reports": [
        {
            "grid": "teachers",
            "report": "results/grids/teachers/report.html",
            "answers": ["for q take a: 4.0 [3.0, 5.0]"],
        }
    ],
    "stages": {
        "finetune": {"done": 900, "running": 30, "waiting": 5, "failed": 9, "blocked": 0, "to do": 4},
        "load_instructions": {"done": 2, "running": 0, "waiting": 0, "failed": 0, "blocked": 0, "to do": 0},
    },
    "running": [
        {
            "job": f"finetune qwen2.5-7b__magpie__gemma-2-9b-it__sft__s{i}",
            "node": "gpu-node-017",
            "elapsed_s": 4000,
            "limit_s": 86400,
            "slurm": "4711" if i else None,
            "partition": "gpu" if i else None,
        }
        for i in range(30)
    ],
    "waiting": [
        {"job": f"generate g{i}", "slurm": f"5{i}", "partition": "batch", "reason": reason}
        for i, reason in enumerate(["Priority"] * 5 + ["PartitionTimeLimit", "QOSMaxJobsPerUserLimit"])
    ],
    "failures": [
        {
            "kind": "time-out",
            "remedy": "Run again. " * 20,
            "cells": [{"job": f"finetune q{i}", "line": "<b>" + "word " * 40, "log": f"q{i}.log"} for i in range(9)],
        }
    ],
    "retried": [
        {
            "job": "answer q/math",
            "state": "done",
            "tries": [
                {
                    "kind": "time-out",
                    "line": "DUE TO TIME LIMIT",
                    "node": "gh1",
                    "slurm": "41",
                    "resources": {"runtime": 60},
                    "log": "results/logs/answer/q/math~1.log",
                    "time": 1.0,
                }
            ],
        }
    ],
    "time_left": {"job_s": 90000, "at_a_time": 30, "seconds": 3000.0, "unknown": {"report": 1}},
    "gpu_hours": {"hours": 12.25, "of": "finished cells"},
    "endpoints": {},
    "phase_two": None,
    "estimates": {
        "stages": [
            {"rule": "finetune", "on_gpus": True, "jobs": 900, "estimated_s": 36e5, "actual_s": 54e5, "inside": 810}
        ],
        "unplanned": 0,
        "resumed": 7,
        "elsewhere": 0,
    },
    "disk": {"students": 8 * 10**11, "answers": 10**10},
    "unread": "",
    "disk_free": 5 * 10**11,
}


@pytest.mark.parametrize("width", [80, 160])
def test_the_view_fits_its_terminal(width):
    text = status_page.terminal_view(FOUND, width)
    assert max(map(len, text.splitlines())) <= width and "\033" not in text
    assert "finetune q2" in text and "finetune q3" not in text and "and 6 more" in text and "and 10 more" in text
    assert "900" in text and "students 800.0 GB" in text
    totals, left_out = estimates.table(FOUND["estimates"])["sentences"]
    # lines are wrapped
    flat = " ".join(text.split())
    assert " ".join(f"estimated: {totals}".split()) in flat and " ".join(left_out.split()) in flat
    assert "estimated" not in status_page.terminal_view(FOUND | {"estimates": {"stages": []}}, width)
    coloured = status_page.terminal_view(FOUND, width, colour=True)
    assert coloured != text and re.sub(r"\033\[\d+m", "", coloured) == text


def test_the_page_shows_the_same(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(commands_status, "gather", lambda argv: FOUND if argv == ["--cores", "1"] else None)
    assert commands_status.main(*parser.parse(["status", "--html", "--cores", "1"])) == 0
    html = Path(capsys.readouterr().out.strip()).read_text()
    assert html.startswith("<!doctype html>") and "&lt;b&gt;" in html and "<b>" not in html
    assert all(cell["job"] in html for cell in FOUND["failures"][0]["cells"]) and "gpu-node-017" in html
    assert estimates.table(FOUND["estimates"])["sentences"][1] in html and "<td" in html.split(">All")[1]
    assert "5" in html and html.index("PartitionTimeLimit") and "<td>batch</td>" in html and "<td>4711</td>" in html


def test_what_endpoints_have_cost():
    spent = {
        "api": {"spent": 3.25, "perhaps": 0.5, "promised": 0.0},
        "own": {"spent": 0.0, "perhaps": 0.0, "promised": 2.0},
    }
    words = (
        "api 3.25 USD, up to 0.50 more perhaps, by requests that broke off; own 0.00 USD, up to 2.00 more on the way"
    )
    found = FOUND | {"endpoints": spent}
    assert f"endpoints: {words}" in " ".join(status_page.terminal_view(found).split()) and words in status_page.page(
        found
    )
    assert "ndpoints" not in status_page.terminal_view(FOUND) + status_page.page(FOUND)


def test_what_follows_a_pilot():
    later = FOUND | {"phase_two": {"grids": ["teachers"], "cells": 1234}}
    words = "at most 1,234 more cells, when the pilot of teachers has chosen teachers"
    assert f"phase two: {words}" in " ".join(status_page.terminal_view(later).split()) and words in status_page.page(
        later
    )
    assert "phase two" not in status_page.terminal_view(FOUND) + status_page.page(FOUND)


def test_what_never_starts_is_said_first_and_what_to_do():
    text = status_page.terminal_view(FOUND, 160)
    stuck, others, limit = (
        text.index(line)
        for line in ("does not start by itself: PartitionTimeLimit, 1", "waiting: Priority, 5", "waiting: QOSMaxJobs")
    )
    assert stuck < others < limit
    assert "SLURM job 55, partition batch" in text and "`runtime` under `set-resources`" in text
    assert "SLURM job 52" in text and "SLURM job 53" not in text, "three of a kind"
    assert "gpu-node-017 (SLURM job 4711, gpu)" in text


def test_a_full_disk_is_said_with_what_it_hides():
    assert status_page.disk({"logs": 100}, 10**9) == "100 bytes: logs 100 bytes; 1.0 GB free"
    full = status_page.disk({"logs": 100}, 0)
    assert full.startswith("full (0 bytes free)") and "failures may be missing" in full and "Free space" in full


def test_the_state_unknown_has_a_column_only_where_a_cell_is_in_it():
    stages = {rule: {**counts, "unknown": 0} for rule, counts in FOUND["stages"].items()}
    text = status_page.terminal_view({**FOUND, "stages": stages})
    head = text.splitlines()[2]
    assert head.startswith("stage") and "unknown" not in head and "squeue shows no job" not in text
    stages["finetune"]["unknown"] = 2
    text = status_page.terminal_view({**FOUND, "stages": stages})
    assert "unknown" in text.splitlines()[2] and "unknown: 2" in text and "squeue shows no job" in text
    assert max(map(len, text.splitlines())) <= 80


def test_earlier_tries_say_how_where_and_with_what_they_ended():
    text = status_page.terminal_view(FOUND, 160)
    lines = text[text.index("needed several tries: 1") :].splitlines()[:4]
    assert lines[1:] == [
        "  answer q/math (done)",
        "    time-out (gh1, SLURM job 41, runtime 60): DUE TO TIME LIMIT",
        "      log: results/logs/answer/q/math~1.log",
    ]
    assert "needed several" not in status_page.terminal_view({**FOUND, "retried": []}, 160)
    assert "math~1.log" in status_page.page(FOUND)


def test_the_page_begins_with_what_failed_and_where_the_answer_is(tmp_path):
    html = status_page.page(FOUND, "results/status.html")
    title = "9 failed, 902 of 950 jobs done"
    assert f"<title>{title}: " in html and f"<h1>{title}</h1>" in html
    assert '<a href="grids/teachers/report.html">Report of teachers</a>' in html
    assert "<li>for q take a: 4.0 [3.0, 5.0]</li>" in html
    assert (
        html.index("report.html") < html.index('id="failures"') < html.index('id="stages"') < html.index('id="running"')
    )
    done = {"finetune": {"done": 4, "failed": 0}}
    html = status_page.page(FOUND | {"stages": done, "failures": [], "retried": [], "reports": []}, tmp_path / "s.html")
    assert "<h1>4 of 4 jobs done</h1>" in html and "nothing has failed" in html and "No report yet." in html
    assert 'id="failures"' not in html and ">done</th>" in html and ">failed</th>" not in html, "no empty column"
