"""Diversity of texts as a whole."""

import math
import random

import pyarrow as pa
import pytest
from four_rows import TEXT, four, measured, value
from tables import entry
from teachergrid.metrics import diversity


def test_texts_without_words():
    rows = measured({"d": entry("distinct_2"), "c": entry("compression")}, four(text=dict.fromkeys(TEXT, "")))
    assert {(row["n"], row["missing"], row["reason"]) for row in rows.values()} == {(0, 4, "too little text")}
    rows = measured({"d": entry("distinct_2")}, four(text={**TEXT, ("i4", 0): " \n"}))
    assert rows["distinct_2"]["value"] == 3 / 5 and rows["distinct_2"]["missing"] == 1


def test_compression_knows_repetition():
    repeated = four(text=dict.fromkeys(TEXT, "to be or not to be " * 20))
    rng = random.Random(0)
    varied = four(text={key: "".join(rng.choices("abcdefghij ", k=380)) for key in TEXT})
    assert value("compression", repeated) < 0.1 < value("compression", varied)


def texts(*rows: str) -> diversity.Texts:
    return diversity.Texts(pa.chunked_array([rows]))


def test_diversity_by_hand():
    # the runs ab, ba, ab and xy: no run crosses from one response to the next
    assert diversity.distinct(texts("a b a", "a b", "x y"), 2) == pytest.approx(3 / 4)
    # word pairs (ab, ba), (ab), (xy): cosines 1 / sqrt 2, 0, 0
    assert diversity.self_similarity(texts("a b a", "a b", "x y")) == pytest.approx(2**-0.5 / 3)
    assert math.isnan(diversity.distinct(texts("a", "b"), 2)) and math.isnan(diversity.compression(texts("", "")))


def test_blocks_of_rows_change_nothing(monkeypatch):
    rng = random.Random(1)
    rows = texts(*(" ".join(rng.choices("abcdef", k=rng.randrange(9))) for _ in range(50)))
    whole = [diversity.distinct(rows, 2), diversity.self_similarity(rows), diversity.compression(rows)]
    monkeypatch.setattr(diversity, "BLOCK", 7)
    again = texts(*rows.rows.to_pylist())
    assert [diversity.distinct(again, 2), diversity.self_similarity(again)] == pytest.approx(whole[:2])
    assert diversity.compression(again) == whole[2]
