"""The report: one page that needs nothing else, shows what failed, and survives what is missing."""

import copy
import re
import xml.etree.ElementTree as ElementTree

import pytest
import report_data
from page_words import Words, ids, without_words
from teachergrid.analysis.scores import UNIT_WORDS
from teachergrid.pages import text
from teachergrid.report import page
from teachergrid.report.data import gather

EMPTY = {"title": None, "settings": None, "performance": None, "recommendation": None, "samples": None}


def test_every_teacher_cell_and_failure_is_there(data, html):
    read = Words(html).text
    assert all(teacher in read for teacher in report_data.TEACHERS)
    for row in data["performance"]:
        if row["measure"] == "AP" and row.get("value") is not None:
            assert text.number(row["value"]) in read
    for failure in data["failures"]:
        assert failure["cell"] in read and failure["reason"] in read and failure["log"] in read
    assert "gated: truncated" in read and "2 of 16 cells have no number" in read and read.count("1 of 2 seeds") == 1
    assert all(note in read for note in data["notes"])


def test_derived_corpora_are_counted_apart_from_teachers(data):
    made = copy.deepcopy(data)
    teacher = next(row for row in made["performance"] if row["kind"] == "student")
    made["performance"] += [{**teacher, "unit": name, "corpus": name} for name in ("some-30", "some-120")]
    made["settings"]["corpora"] = {"some-30": {}, "some-120": {}}
    assert page.counted(gather(made)) == f"{len(report_data.TEACHERS)} teachers and 2 derived corpora"
    assert f"{len(report_data.TEACHERS)} teachers, 2 base models" in Words(page.build(data)).text


def test_the_page_needs_nothing_from_outside(data, html):
    for tag, attributes in Words(html).tags:
        assert tag not in ("iframe", "img", "object", "embed")
        assert not re.search(r"//", " ".join(attributes.get(key) or "" for key in ("src", "href", "style", "action")))
    assert "@import" not in html and "url(" not in html
    shown = " ".join(a["text"] for item in data["samples"]["responses"] for a in item["answers"])
    assert html.count("http") == shown.count("http")
    assert len(html.encode()) < 1_500_000


def test_markup_in_responses_is_inert(html):
    read = Words(html)
    assert [tag for tag, _ in read.tags].count("script") == 1
    assert "<script>alert(1)</script>" in " ".join(read.words)
    assert not read.crossed and not read.open


def test_hostile_text_stays_text_wherever_it_is(data):
    bad = '"><img src=x onerror=alert(1)></title></svg>'
    made = copy.deepcopy(data)
    made |= {"title": bad, "notes": [bad], "provenance": {bad: [bad]}, "failures": [{"cell": bad, "reason": bad}]}
    made["performance"] = [{**row, "unit": row.get("unit") and row["unit"] + bad} for row in made["performance"]]
    made["recommendation"]["cannot_say"] = [bad]
    made["metrics"] = [{**row, "metric": bad} for row in made["metrics"]]
    read = Words(page.build(made))
    assert "img" not in [tag for tag, _ in read.tags] and not any("onerror" in a for _, a in read.tags)
    assert not read.crossed


def test_plots_are_well_formed_and_say_what_they_show(html):
    drawn = re.findall(r"<svg.*?</svg>", html, re.S)
    assert len(drawn) > 20
    for plot in map(ElementTree.fromstring, drawn):
        if plot.get("aria-hidden") is None:
            assert plot.get("role") == "img" and plot.find("title").text and plot.find("desc").text
        assert not any(
            "nan" in value.lower() for node in plot.iter() for value in (node.get("d") or "", node.get("x") or "")
        )


def test_tables_have_scopes_and_equal_rows(html):
    tables = [
        ElementTree.fromstring(t.replace("<wbr>", "").replace("<br>", ""))
        for t in re.findall(r"<table.*?</table>", html, re.S)
    ]
    assert len(tables) > 8
    for table in tables:
        assert all(cell.get("scope") for cell in table.iter("th"))
        widths = {sum(int(cell.get("colspan", 1)) for cell in row) for row in table.iter("tr")}
        assert len(widths) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "given",
    [
        {"bases": ("bs",)},
        {"teachers": ("steps-l",)},
        {"bases": ("bm",), "teachers": ("concise-m",), "seeds": (1,)},
        {"metrics": False},
        {"teachers": ("steps-l", "steps-m"), "metrics": False, "seeds": (1,)},
    ],
    ids=lambda given: " ".join(given),
)
def test_small_grids(given):
    html = page.build(report_data.grid(**given))
    read = Words(html)
    assert not read.crossed and "The answer" in read.text
    assert given.get("teachers", ("steps-l",))[0] in read.text
    assert not re.search(r"\b(nan|NaN|None|inf)\b", without_words(html))


def nulled(value):
    if isinstance(value, dict):
        return {key: nulled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [nulled(item) for item in value]
    return float("nan") if isinstance(value, float) else value


def stripped(data):
    """The same tables with names alone: every optional column is missing."""
    names = {"kind", "model", "base", "unit", "measure", "metric", "check"}
    tables = ("performance", "metrics", "correlations", "lineage", "stages", "failures")
    made = {key: [{k: v for k, v in row.items() if k in names} for row in data[key]] for key in tables}
    made["stages"], made["lineage"] = [{"rule": "generate"}], [{}]
    made["health"] = {key: [{"check": row["check"]} for row in rows] for key, rows in data["health"].items()}
    made["recommendation"] = {"bases": {"bs": {"best": "steps-l"}, "bm": None}}
    made["samples"] = {
        "responses": [{"answers": [{"teacher": "steps-l"}]}],
        "answers": [{"answers": [{"model": "bs"}]}],
    }
    return {**data, **made, "rewards": {"pool__steps-l": None}, "reward_quality": [{"reward": "rm"}]}


@pytest.mark.parametrize(
    "change", [nulled, stripped, lambda data: {}, lambda data: EMPTY], ids=["nan", "names", "none", "null"]
)
def test_what_is_missing_is_a_dash_and_never_a_crash(data, change):
    html = page.build(change(copy.deepcopy(data)))
    read = Words(html)
    assert not read.crossed and "What cannot be concluded" in read.text
    assert not re.search(r"\b(nan|NaN|None|inf)\b", without_words(html))


def test_same_data_same_page(data, html):
    assert page.build(data) == html


def test_estimated_against_actual(data, html):
    read = Words(html).text
    assert "Actual / estimated Within range generate 8 2 GPU-h 2.6 GPU-h 1.3 88 % check 8 4.0 s 3.0 s 0.75 75 %" in read
    assert "All on GPUs 8 2 GPU-h" in read and "All on CPUs 8 4.0 s" in read
    nothing = {"stages": [], "unplanned": 3, "resumed": 0, "elsewhere": 0}
    assert "Actual / estimated" not in page.build({**data, "estimates": nothing})


def test_two_recipes_are_two_panels(data):
    made = copy.deepcopy(data)
    for key in ("performance", "metrics", "correlations"):
        twice = [{**row, "panel": f"{row['panel']}-long"} for row in made[key] if row.get("panel")]
        made[key] = [*made[key], *twice]
    panel = next(row["panel"] for row in data["performance"] if row.get("panel"))
    found = made["recommendation"]["bases"]["bs"]
    found["panels"] = {panel: dict(found), f"{panel}-long": {**found, "best": "steps-m"}}
    html = page.build(made)
    read = Words(html)
    assert not read.crossed and f"{panel}-long" in read.text
    assert f"With {panel}-long steps-m, " in read.text
    assert "4 of 32 cells have no number" in read.text
    assert html.count("Performance of the students of bs,") == 4  # label and title of a plot for each panel


@pytest.mark.parametrize("compare, unit", [("recipe", "sft"), ("instructions", "pool")])
def test_other_words_can_be_compared(data, compare, unit):
    made = copy.deepcopy(data)
    made["settings"]["grid"] |= {"compare": compare}
    made["performance"] = [{**row, "unit": unit if row.get("unit") else None} for row in made["performance"]]
    read = Words(page.build(made)).text
    assert "All cells Performance (AP)" in read and f"{UNIT_WORDS[compare][0].capitalize()} bs bm {unit}" in read
    assert "and holds the teacher fixed" in read


def test_a_page_without_students_says_nothing_of_them_and_has_no_empty_section(measured):
    html = page.build(measured)
    read = Words(html).text
    for word in (
        "fine-tuned",
        "untuned base, prompted",
        "ranking",
        "no result",
        "(AP)",
        "SFT seed",
        "has been computed",
        "No samples",
    ):
        assert word not in read
    for section in re.findall(r"<section.*?</section>", html, re.S):
        assert re.search(r"<(table|p|li)\b", section)
    linked = [attributes["href"][1:] for name, attributes in Words(html).tags if name == "a"]
    assert linked == ids(html)
    assert "Above a health gate, so no student would be trained: pool__concise-m-t2" in read


@pytest.mark.parametrize(
    ("files", "command"),
    [
        ([], "teachergrid run"),
        (["config/config.yaml"], "teachergrid run"),
        (["my grid.yaml", "b.yaml"], "teachergrid run --configfile 'my grid.yaml' b.yaml"),
    ],
)
def test_the_command_that_makes_the_page_again_names_the_config(data, files, command):
    read = Words(page.build({**data, "config_files": files})).text
    assert f"from the same checkout: {command} Only" in read
