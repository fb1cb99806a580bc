"""The effects of a grid on its page: siblings and kinship, what decides, and what more would buy."""

import copy

from page_words import Words
from teachergrid.pages import text
from teachergrid.report import page


def test_siblings_and_kinship(html):
    read = Words(html).text
    assert "bm: the bigger sibling is the better teacher in 0 of 1 step (exact p 1.000)." in read
    assert "Teachers that descend from a base: " in read and "Steps within families, students of bs" in html


def test_the_first_screen_says_what_is_shown_and_what_to_run_next(data, html):
    read = Words(html).text
    answer = read[: read.index("What decides, and what more would buy", 600)]
    for sentence in data["recommendation"]["known"][:6]:
        assert " ".join(sentence.split()) in " ".join(answer.split())
    assert "What this shows" in answer and "What this does not show" in answer and "What to run next" in answer


def test_what_decides(html):
    read = Words(html).text
    for words in ("What each way to choose is expected to lose", "Does it matter which base you have?", "Where differences in AP come from",
                  "What more would buy", "Which are as good as the best?", "Every pair of metrics", "At equal length", "Primary minus this"):  # fmt: skip
        assert words in read


def test_a_whole_corpus_is_paired_with_its_part_of_equal_tokens(data):
    made = copy.deepcopy(data)
    made["settings"]["corpora"] = {
        "l-8k": {"instructions": "pool", "teachers": ["steps-l"], "tokens": 8000},
        "mix": {"instructions": "pool", "teachers": ["steps-l", "steps-s"], "tokens": 8000},
    }
    row = next(r for r in made["performance"] if (r["unit"], r["base"], r["measure"]) == ("steps-l", "bs", "AP"))
    made["performance"].append({**row, "unit": "l-8k", "teacher": None, "corpus": "l-8k", "value": 12.3, "gain": -4.5})
    table = Words(page.build(made)).text
    table = " ".join(table[table.index("At equal training tokens.") :][:500].split())
    assert f"steps-l 8 000 {text.number(row['value'])} → 12.3" in table and "gain \u22124.5" in table
    assert "mix" not in table
    assert "At equal training tokens" not in Words(page.build(data)).text


def test_what_quality_costs(data, html):
    read = " ".join(Words(html).text.split())
    rows = {(r["base"], r["effect"], r["subject"]): r for r in data["effects"] if r["effect"] in ("cost", "front")}
    cheapest = next(name for (base, effect, name), r in rows.items() if (base, effect, r["value"]) == ("bs", "cost", 1))
    assert "Cost and quality, students of bs" in html and f"bs {cheapest} 1 " in read
    dominated = next((r for r in rows.values() if r["base"] == "bs" and r["effect"] == "front" and r["other"]), None)
    assert dominated and f"no: {dominated['other']} is better for no more" in read
    # without costs there is no such section
    made = copy.deepcopy(data)
    made["effects"] = [row for row in made["effects"] if row["effect"] not in ("cost", "front")]
    assert "What quality costs" not in Words(page.build(made)).text
