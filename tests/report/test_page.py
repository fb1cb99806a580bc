"""The report: one page that stands alone, says the answer first, and shows what failed."""

import copy
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import pytest
import report_data
from teachergrid.analysis.correlations import circular
from teachergrid.pages import estimates, text
from teachergrid.report import answer, page, ranks, tasks
from teachergrid.report import values as report_values
from teachergrid.store import artifacts

EMPTY = {"title": None, "settings": None, "performance": None, "recommendation": None, "samples": None}


@pytest.fixture(scope="module")
def data():
    made = report_data.grid()
    report_data.assert_schemas(made)
    return made


@pytest.fixture(scope="module")
def html(data):
    return page.build(data)


class Words(HTMLParser):
    """Text as a reader gets it, and every tag with its attributes."""

    VOID = frozenset(("meta", "link", "br", "wbr", "hr", "img", "input"))

    def __init__(self, html):
        super().__init__()
        self.words, self.tags, self.open, self.crossed = [], [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.crossed.append(tag)

    def handle_data(self, words):
        if not {"style", "script"} & set(self.open):
            self.words.append(words)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))


# --- the page


def test_the_answer_stands_before_all_tables(data, html):
    read = Words(html).text
    first = read[: read.index("All cells", read.index("The answer", 400))]
    for base, told in data["recommendation"]["bases"].items():
        assert f"For {base} , students of {told['best']} score highest" in first or f"To teach {base} , use" in first
        assert text.within(told["value"], told["low"], told["high"]) in first
        assert (
            f"{text.within(told['gain'], told['gain_low'], told['gain_high'])} points above the untuned base" in first
        )
        assert text.percent(told["p_best"]) in first.replace(" ", text.SPACE)
        assert all(sentence in first for sentence in data["recommendation"]["cannot_say"][:3])
    assert "concise-m descends from bm itself" in first and "steps-l descends" not in first


def test_siblings_kinship_and_how_firm_a_correlation_is(data, html):
    read = Words(html).text
    assert "bm: the bigger sibling is the better teacher in 0 of 1 step (exact p 1.000)." in read
    assert "Teachers that descend from a base: " in read and "Steps within families, students of bs" in html
    row = next(r for r in data["correlations"] if r["role"] == "primary" and r["base"] == "bs")
    for low, high in (("low_nested", "high_nested"), ("low", "high")):
        assert text.within(row["rho"], row[low], row[high], 2) in read
    assert text.within(row["regret_1"], row["low_regret_1"], row["high_regret_1"]) in read
    assert f"(most without {row['family']})" in read
    assert "differences below" in read


def test_enough_teachers_for_a_claim_are_told_what_they_can_show():
    assert ranks.power(9) is None
    assert ranks.power(19).startswith(
        "With 19 no rho between \u22120.46 and 0.46 is significant, and a true one of 0.62"
    )


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


def test_it_says_first_that_no_student_beats_the_untuned_base(data):
    made = copy.deepcopy(data)
    for told in made["recommendation"]["bases"].values():
        told |= {"gain": -3.21, "gain_low": -5.0, "gain_high": -1.0}
    read = Words(page.build(made)).text
    start = read.index("The answer", 400)
    assert read[start:].startswith("The answer No student beats its untuned base")
    assert "3.2 [1.0, 5.0] points below the untuned base" in read
    made["recommendation"]["bases"]["bs"]["gain"] = 2.0
    read = Words(page.build(made)).text
    assert "No student of bm beats its untuned base" in read
    assert "The interval of this gain includes 0, so there may be no gain" in read


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


def test_hostile_text_stays_text_wherever_it_stands(data):
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


def without_words(html):
    return re.sub(r"<(script|style)>.*?</\1>", "", html, flags=re.S)


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


def test_sentences_of_estimates(data):
    """One for the totals, one for other devices, one for what is not compared: those that have nothing to report are left out."""
    comparison = data["estimates"]
    totals, devices, left_out = estimates.table(comparison)["sentences"]
    assert totals.startswith(f"2.6{text.SPACE}GPU-h instead of the expected 2{text.SPACE}GPU-h (1.3 times) and 3.0")
    assert totals.endswith(f"81{text.SPACE}% of 16 jobs within their range.")
    assert devices.startswith("2 of them ran on another type of device")
    assert left_out == "Not compared: 3 that began without an estimate, 1 that continued a job that had been killed."
    assert estimates.table({**comparison, "elsewhere": 0, "unplanned": 0, "resumed": 0})["sentences"] == [totals]
    assert len(estimates.table({**comparison, "elsewhere": 0})["sentences"]) == 2


def test_two_recipes_are_two_panels(data):
    made = copy.deepcopy(data)
    for key in ("performance", "metrics", "correlations"):
        twice = [{**row, "panel": f"{row['panel']}-long"} for row in made[key] if row.get("panel")]
        made[key] = [*made[key], *twice]
    panel = next(row["panel"] for row in data["performance"] if row.get("panel"))
    told = made["recommendation"]["bases"]["bs"]
    told["panels"] = {panel: dict(told), f"{panel}-long": {**told, "best": "steps-m"}}
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
    assert "All cells Performance (AP)" in read and f"{compare.capitalize()} bs bm {unit}" in read
    assert "and holds the teacher fixed" in read


# --- nothing trained


@pytest.fixture(scope="module")
def measured():
    made = report_data.grid(seeds=())
    report_data.assert_schemas(made)
    return made


ABOUT_STUDENTS = ("answer", "grid", "strength", "metrics", "correlation", "tasks")


def ids(html, tag="section"):
    return [attributes["id"] for name, attributes in Words(html).tags if name == tag]


def body_of(html, label):
    """The rows of the table whose box has this label, as texts: the first cell is the row's head."""
    box = html[html.index(f'aria-label="{label}"') :]
    table = ElementTree.fromstring(re.search(r"<table.*?</table>", box, re.S)[0].replace("<br>", " "))
    return [[" ".join("".join(cell.itertext()).split()) for cell in row] for row in table.iter("tr")]


def test_a_grid_that_only_measures_shows_every_value_first(measured):
    html = page.build(measured)
    read = Words(html)
    assert "8 teachers, measured for 2 base models; nothing was trained." in read.text
    assert ids(html)[0] == "values" and not set(ids(html)) & set(ABOUT_STUDENTS)
    head, *rows = body_of(html, "Values, bm")
    assert head[:3] == ["Teacher", "car primary promise: high", "car-rm promise: high"]
    assert "nll promise: low" in head and not any("borrowed" in name for name in head)
    by_unit = {row[0]: row[1:] for row in rows}
    assert list(by_unit) == list(report_data.TEACHERS)
    for row in measured["metrics"]:
        if row["base"] == "bm" and row["metric"] in ("nll_mean/chat", "car_mean/verifier/chat/beta=1"):
            shown = by_unit[row["unit"]][0 if row["entry"] == "car" else head.index("nll promise: low") - 1]
            assert shown == text.within(row["value"], row["low"], row["high"], 3)
    assert html.count("<title>car of the responses of every teacher") == 2
    assert "No student was trained" in read.text and "borrowed" not in read.text
    assert not read.crossed and not re.search(r"\b(nan|NaN|None|inf)\b", without_words(html))


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


def test_left_out_responses_and_failures_of_a_grid_that_only_measures(measured):
    made = copy.deepcopy(measured)
    made["metrics"] = [row for row in made["metrics"] if (row["base"], row["unit"]) != ("bs", "steps-s")]
    found = next(row for row in made["metrics"] if row["metric"] == "nll_mean/chat")
    found |= {"n": 583, "missing": 17, "reason": "17 of 600 responses left out: too long"}
    lost = next(row for row in made["metrics"] if row["metric"] == "ifd_loss/chat")
    lost |= {"value": None, "low": None, "high": None, "reason": "no response is left"}
    for row in made["metrics"]:
        row |= {"value": None, "low": None, "high": None, "reason": "no text"} if row["metric"] == "length" else {}
    failure = {"cell": "bs/pool__steps-s", "rule": "metric", "reason": "out of memory", "log": "x.log"}
    html = page.build({**made, "failures": [failure]})
    assert "Not measured: steps-s (metric: out of memory)" in Words(html).text
    assert "Without any value: length (no text)" in Words(html).text
    first, second = body_of(html, "Values, bs")[:2]
    at = {name.split()[0]: i for i, name in enumerate(first)}
    assert second[at["nll"]].endswith("583 of 600") and second[at["ifd"]] == "—"
    assert 'title="17 of 600 responses left out: too long"' in html and 'title="no response is left"' in html


@pytest.mark.parametrize(
    "values, half_widths, wanted",
    [
        ([1.0128, 1.0195], [0.0016, 0.0034], 4),  # widths .0032 and .0068: 2 digits of .0050
        ([207.3, 359.1], [9, 9], 0),
        ([0.44, 0.40], None, 4),  # 3 digits of .0400
        ([5.0, 5.0], None, 2),
        ([0.0, None], None, 0),
        ([131380.8], [5000], 0),
    ],
)
def test_decimals_follow_the_intervals(values, half_widths, wanted):
    half = half_widths or [None] * len(values)
    column = [
        {"value": v, "low": None if h is None else v - h, "high": None if h is None else v + h}
        for v, h in zip(values, half, strict=True)
    ]
    assert report_values.decimals(column) == wanted


def test_a_page_about_students_has_all_values_too(html):
    head, *rows = body_of(html, "Values, bs")
    assert head[0] == "Teacher" and head[1].startswith("car primary") and len(rows) == len(report_data.TEACHERS)
    assert ids(html)[:6] == list(ABOUT_STUDENTS)


# --- what stands beside AP


def test_a_judge_stands_beside_ap_and_is_marked_circular(data):
    """The win rate of a reward that also stands in a metric proves nothing by agreeing with it."""
    judged = [{**r, "measure": "miniworld/rm-wins"} for r in data["performance"] if r["measure"] == "miniworld/verify"]
    entries = data["settings"]["metrics"]
    reward = next(entry["reward"] for entry in entries.values() if entry.get("reward"))
    shared = circular({"rm-wins": {"reward": reward}}, entries)
    shown = {**data, "performance": data["performance"] + judged, "circular": shared}
    html = page.build(copy.deepcopy(shown))
    assert "Also scored: miniworld/rm-wins." in html and '<span class="badge">circular</span>' in html
    # another reward is no circle, and what alone is AP is not shown twice
    html = page.build(copy.deepcopy({**shown, "circular": circular({"rm-wins": {"reward": "another"}}, entries)}))
    assert "Also scored: miniworld/rm-wins." in html and '<span class="badge">circular</span>' not in html
    assert "Also scored" not in page.build(copy.deepcopy(data))


def test_training_stands_beside_what_it_reached(data):
    changed = copy.deepcopy(data)
    rows = [row for row in changed["lineage"] if row["base"] == "bs" and row["teacher"] == "steps-l"]
    for row in rows:
        row |= {"trained_tokens": 1200, "steps": 7}
    read = Words(page.build(changed)).text
    assert "1 200 in 7 steps" in read and "What the students were trained on." in read
    for row in changed["lineage"]:
        row |= {"trained_tokens": 1200}
    assert "times the smallest" in read and "times the smallest" not in Words(page.build(changed)).text


def test_contamination(data):
    row = {"instructions": "pool", "task": "gsm", "item": "x", "prompt": "a prompt <b>", "instruction": "mine"}
    found = [
        {**row, "id": "1", "how": "equal", "similarity": None, "removed": True},
        {**row, "id": "2", "how": "near", "similarity": 0.875, "removed": False},
        {**row, "id": "3", "how": "near", "similarity": 0.9, "removed": False},
    ]
    artifacts.table(found, artifacts.CONTAMINATION)
    read = Words(page.build(copy.deepcopy({**data, "contamination": found, "sizes": {"pool": 50}}))).text
    assert "pool gsm 0 0 2 4.0 % 1" in read.replace("\u202f", " ")
    assert "near 0.88" in read and "equal , removed" in read.replace("equal, removed", "equal , removed")
    assert "a prompt <b>" in read
    assert "No such instruction was found" in Words(page.build(copy.deepcopy(data))).text


@pytest.mark.parametrize(
    "gain, low, beats",
    [(None, None, None), (0.0, -1.0, "no"), (1.0, None, "unsure"), (1.0, 0.0, "unsure"), (1.0, 0.5, "yes")],
)
def test_a_gain_is_sure_only_where_its_interval_is_above_0(gain, low, beats):
    assert answer.beats_untuned(gain, low) == beats


def test_short_names_of_measures():
    measures = ["suite/verify", "suite/verify/problems", "suite/verify/problems/add", "suite/verify/problems/sub"]
    finest = tasks.finest(measures)
    assert finest == measures[2:] and [tasks.short(name, finest) for name in finest] == ["add", "sub"]
