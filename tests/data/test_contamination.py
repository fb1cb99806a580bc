"""Which instructions a benchmark also holds, and what is left of a set without them."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from teachergrid.data import contamination, loading
from teachergrid.data.contamination import Text, normal
from teachergrid.spec import schema
from teachergrid.store import artifacts

SHARED = Path(__file__).parents[3] / "shared/data"
LONG = "one two three four five six seven eight nine ten eleven twelve thirteen"  # 13 words


def table(*texts, system: str | None = None):
    rows = [
        {
            "id": f"i{place}",
            "messages": [{"role": "system", "content": system}] * (system is not None)
            + [{"role": "user", "content": text}],
            "source": "test",
            "round": 0,
        }
        for place, text in enumerate(texts)
    ]
    return artifacts.table(rows, artifacts.INSTRUCTIONS)


def found(mine: str, *items: str) -> list[tuple]:
    return [(row["how"], row["item"]) for row in contamination.find(table(mine), {"t": table(*items)})]


@pytest.mark.parametrize(
    ("mine", "item", "how"),
    [
        ("What is 3 + 4?", "what is  3 4", ["equal"]),
        (
            "\N{FULLWIDTH LATIN CAPITAL LETTER W}HAT is \N{SUPERSCRIPT THREE}?",
            "What is 3",
            ["equal"],
        ),  # full-width letters and a superscript
        ("What is 3 + 4?", "What is 3 + 5?", []),  # 9 characters
        ("?!", "...", []),  # no words
        ("", "", []),
        (f"Please: {LONG}, and so on.", f"{LONG}?", ["overlap"]),
        (f"Please: {LONG}", f"{LONG} fourteen"[4:], []),  # 12 words in common
        ("one two three four", "four three two one", []),
        (f"{LONG} {LONG}", LONG, ["overlap"]),
        ("我想知道怎样才能学好数学和物理请告诉我三个方法", "我想知道怎样才能学好数学和物理请告诉我三个办法", ["near"]),
    ],
)
def test_the_ways(mine, item, how):
    assert [way for way, _ in found(mine, item)] == how


def test_near_duplicates_by_hand():
    # 40 different characters have 36 runs of 5; one changed at the end leaves 35 in common, one in the middle 31
    letters = "abcdefghijklmnopqrstuvwxyz0123456789äöüå"
    assert [(row["how"], row["similarity"]) for row in find_one(letters, letters[:-1] + "é")] == [("near", 35 / 37)]
    assert find_one(letters, letters[:20] + "é" + letters[21:]) == []  # 31 / 41
    # 19 characters are too few to be near
    assert find_one(letters[:20], letters[:19] + "é") != [] and find_one(letters[:19], letters[:18] + "é") == []


def find_one(mine: str, item: str) -> list[dict]:
    return contamination.find(table(mine), {"t": table(item)})


def test_the_first_way_and_the_most_similar_item_are_named():
    letters = "abcdefghijklmnopqrstuvwxyz0123456789äöüå"
    assert found(letters, letters[:-2] + "éé", letters[:-1] + "é") == [("near", "i1")]
    assert found(letters, letters[:-1] + "é", letters) == [("equal", "i1")]
    assert found(LONG, f"x {LONG}", f"{LONG}.", LONG) == [("equal", "i1")]


def test_the_boilerplate_of_a_task_does_not_count():
    prompts = [f"{LONG}: {hashlib.sha256(bytes([i])).hexdigest()}" for i in range(11)]
    mine = table(f"{LONG} {hashlib.sha256(b'mine').hexdigest()}")
    assert contamination.find(mine, {"t": table(*prompts)}) == []
    assert len(contamination.find(mine, {"t": table(*prompts[:10])})) == 1
    # of this task and not of another
    assert [row["task"] for row in contamination.find(mine, {"t": table(*prompts), "u": table(prompts[0])})] == ["u"]


def test_each_task_has_rows_of_its_own_and_system_messages_do_not_count():
    rows = contamination.find(table(LONG, "other", system="Be brief."), {"b": table(LONG), "a": table("x", f"{LONG}!")})
    assert [(row["id"], row["task"], row["item"]) for row in rows] == [("i0", "a", "i1"), ("i0", "b", "i0")]
    assert rows[0]["instruction"] == LONG and rows[0]["prompt"] == f"{LONG}!"
    assert contamination.find(table(LONG), {}) == contamination.find(table(LONG), {"a": table()}) == []


def edited(rng, text: str) -> str:
    """A text with some characters changed, so that similarities of all sizes come up."""
    letters = list(text)
    for at in rng.integers(len(letters), size=rng.integers(12)):
        letters[at] = "etaoin shrdlu"[rng.integers(13)]
    return "".join(letters)


def test_the_filter_loses_no_pair():
    rng = np.random.default_rng(0)
    vocabulary = ["".join("aeinorst"[i] for i in rng.integers(8, size=rng.integers(2, 8))) for _ in range(60)]
    items = [" ".join(rng.choice(vocabulary, rng.integers(5, 40))) for _ in range(80)]
    mine = [edited(rng, text) for text in items]
    sides = [[Text(str(i), normal(text), text) for i, text in enumerate(side)] for side in (mine, items)]

    def runs(text: Text) -> set:
        joined = " ".join(text.words)
        return {joined[at : at + 5] for at in range(len(joined) - 4)} if len(joined) >= 20 else set()

    expected = set()
    for i, a in enumerate(map(runs, sides[0])):
        for j, b in enumerate(map(runs, sides[1])):
            if a and b and len(a & b) / len(a | b) >= 0.8:
                expected.add((i, j, len(a & b) / len(a | b)))
    assert 20 < len(expected) < 80 and set(contamination.near(*sides)) == expected


# --- removed from a set


def entry(**options) -> dict:
    return schema.filled({"source": "x", "seed": 0, **options}, schema.definition("instructions"))


def test_removed_before_the_draw(tmp_path, capsys):
    path = tmp_path / "set.jsonl"
    texts = [f"question number {i} about the colour of {'abcdefghij'[i] * 4}" for i in range(10)]
    path.write_text("".join(json.dumps({"instruction": text}) + "\n" for text in texts))
    tasks = {"t": table(texts[3].upper(), "nothing")}
    kept, removed, _ = contamination.clean(tasks, loading.read(str(path), entry(), "set"), entry(), "set")
    assert [row["messages"][0]["content"] for row in kept.to_pylist()] == texts[:3] + texts[4:]
    assert [(row["how"], row["task"], row["item"]) for row in removed] == [("equal", "t", "i0")]
    assert "9 of 9 instructions" in (log := capsys.readouterr().out) and "; 1 removed for t" in log
    whole = loading.load(str(path), entry(sample=9), "set")
    drawn, *_ = contamination.clean(tasks, loading.read(str(path), entry(), "set"), entry(sample=9), "set")
    # a sample is as large as asked for
    assert drawn.num_rows == whole.num_rows == 9 and removed[0]["id"] not in drawn["id"].to_pylist()


@pytest.mark.skipif(not SHARED.exists(), reason="no shared data next to the checkout")
def test_real_benchmarks():
    gsm = loading.load(str(SHARED / "gsm8k/test_1319.jsonl"), entry(), "gsm8k").slice(0, 300)
    alpaca = loading.load(str(SHARED / "alpaca52k/alpaca_500_from_cherry5pct.json"), entry(), "alpaca").slice(0, 200)
    assert contamination.find(alpaca, {"gsm8k": gsm}) == []
    rows = contamination.find(gsm.slice(0, 50), {"gsm8k": gsm})
    assert len(rows) == 50 and all(row["how"] == "equal" and row["id"] == row["item"] for row in rows)
