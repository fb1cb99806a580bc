"""The page of a plan: its charts follow from the document's numbers."""

import json
import re

import jsonschema
import pytest
from plan_documents import HOUR, chain, plan
from teachergrid.pages import labels
from teachergrid.planning import page
from workspace import ROOT


def titles(svg: str, css: str) -> list[str]:
    """Return the titles of the rectangles of a class."""
    return re.findall(rf'<rect[^>]*class="{css}"[^>]*>\s*<title>([^<]*)</title>', str(svg))


def test_the_document_of_these_tests_follows_the_schema():
    jsonschema.validate(chain(), json.loads((ROOT / "workflow/schemas/plan.schema.json").read_text()))


def test_all_of_the_plan_is_on_the_page():
    document = chain()
    html = page.build(document, now=0)
    assert html.startswith("<!doctype html>") and "http" not in html.replace("http://www.w3.org", "")
    assert all(job["job"] in html for job in document["jobs"])
    assert "&lt;its first&gt;" in html and "<its first>" not in html
    assert all(f'id="{part}"' in html for part in ("stages", "why", "when", "parts", "graph", "jobs"))
    assert "finetune twice as fast" in html


def test_without_a_schedule_or_jobs_their_charts_are_left_out():
    unknown = page.build(chain() | {"schedule": None, "no_schedule": "no GPUs of any known type"})
    assert 'id="when"' not in unknown and 'id="graph"' in unknown and "no GPUs of any known type" in unknown
    empty = chain() | {"jobs": [], "stages": [], "schedule": None, "no_schedule": "nothing to do"}
    html = page.build(empty)
    assert "3 results" in html and 'id="graph"' not in html


def test_only_the_costliest_jobs_are_listed(monkeypatch):
    monkeypatch.setattr(page, "MOST", 1)
    listed = page.build(chain()).partition('id="jobs"')[2]
    assert "finetune q__small__s1" in listed and "generate large" not in listed and "2 cheaper ones" in listed


def test_the_chart_of_time_has_a_row_per_stage_and_the_chain_that_decides_the_end():
    document = chain()
    svg = page.gantt(document, document["schedule"])
    at_work = titles(svg, "s0")
    # responses are made in the first two of five hours, two jobs at first
    assert sum(title.startswith("generate") for title in at_work) == page.PARTS * 2 // 5
    assert at_work[0] == "generate: about 2.0 jobs at 0 s"
    assert sum(title.startswith("finetune") for title in at_work) == page.PARTS * 4 // 5
    assert titles(svg, "s1") == ["generate small on h100: 60 min", "finetune q__small__s1 on h100: 4.0 h"]


def test_the_use_of_a_pool_is_its_mean():
    document = chain()
    svg = str(page.utilisation(document, document["schedule"]))
    assert "2 h100" in svg and "65 %" in svg


def test_the_graph_has_a_box_per_stage_with_jobs_and_an_arrow_per_dependency():
    svg = str(page.graph(chain()))
    assert svg.count('class="box-of-stage"') == 2 and svg.count("<path") == 1
    assert "load_instructions" not in svg, "all of it is there"
    boxes = [re.findall(">([^<>]+)</text>", part) for part in svg.split("<rect")[1:]]
    assert boxes == [["generate", "2 jobs", "3.0 h of GPUs"], ["finetune", "1 job", "4.0 h of GPUs"]]
    assert len(re.findall("<path", str(page.graph(chain() | {"jobs": plan([])["jobs"]})))) == 0


def test_marks_of_time_run_from_the_start_to_the_end():
    marks = "".join(map(str, page.axis(4 * HOUR, 100)))
    assert re.findall(r">([^<>]+)</text>", marks) == ["start", "60 min", "2.0 h", "3.0 h", "4.0 h"]


def test_text_stays_inside_its_box():
    """A letter is at most as wide as plots reckon; the drawing is never shrunk below the size of its text."""
    document = chain()
    document["stages"][1] |= {"stage": "load_instructions_of_all", "jobs": 123_456}
    document["jobs"][0] |= {"rule": "load_instructions_of_all"}
    svg = str(page.graph(document))
    width = float(re.search(r'class="box-of-stage"[^>]* width="([\d.]+)"|<rect[^>]* width="([\d.]+)"', svg)[2])
    longest = max(map(len, re.findall(">([^<>]+)</text>", svg)))
    assert width >= 16 + labels.LETTER * longest and re.search(r'style="min-width:\d+px"', svg)


@pytest.mark.parametrize(
    ("expected", "words", "between"),
    [
        (0.0001, "0.4 s", "0.2 to 0.7 s"),
        (0.1, "6.0 min", "3.0 to 12.0 min"),
        (1.4, "84.0 min", "42.0 to 168 min"),
        (50.0, "50.0 h", "25.0 to 100 h"),
    ],
)
def test_times_have_a_unit_that_fits(expected, words, between):
    spread = {"low": expected / 2, "expected": expected, "high": expected * 2}
    assert (page.hours(spread), page.bounds(spread)) == (words, between)
    assert page.hours(spread, "CPU").startswith(words.split()[0])


def test_cost_and_end_are_the_headline_and_no_column_is_empty():
    html = page.build(chain(), now=0)
    head = re.search(r"<h1>(.*?)</h1>", html, re.S)[1]
    assert head.startswith("7.0 GPU-hours, about 6.0 USD;") and "after 5.0 h" in head
    assert "7.0 GPU-hours (4.3 to 12.5 h)" in html
    assert "3 jobs to do" in html and "blocked</th>" not in html and "time of CPUs" not in html
    free = chain()
    for row in (free["total"], *free["stages"], *free["reasons"], *free["teachers"], *free["bases"]):
        row["usd"] = None
    html = page.build(free, now=0)
    assert ">USD</th>" not in html and "No price of these machines is known." in html
