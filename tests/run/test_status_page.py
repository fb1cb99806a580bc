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
        }
        for i in range(30)
    ],
    "failures": [
        {
            "kind": "time-out",
            "remedy": "Run again. " * 20,
            "cells": [{"job": f"finetune q{i}", "line": "<b>" + "word " * 40, "log": f"q{i}.log"} for i in range(9)],
        }
    ],
    "time_left": {"job_s": 90000, "at_a_time": 30, "seconds": 3000.0, "unknown": {"report": 1}},
    "gpu_hours": {"hours": 12.25, "of": "finished cells"},
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
    assert estimates.table(FOUND["estimates"])["sentences"][1] in html and "<td" in html.split("All")[1]


def test_what_follows_a_pilot():
    later = FOUND | {"phase_two": {"grids": ["teachers"], "cells": 1234}}
    words = "at most 1,234 more cells, when the pilot of teachers has chosen teachers"
    assert f"phase two: {words}" in " ".join(status_page.terminal_view(later).split()) and words in status_page.page(
        later
    )
    assert "phase two" not in status_page.terminal_view(FOUND) + status_page.page(FOUND)
