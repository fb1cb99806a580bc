"""A JSON list is read element by element: the same values as json.loads gives, and the same files are refused."""

import io
import json
import random
import tracemalloc

import pytest
from teachergrid.errors import BadInput
from teachergrid.hub import json_lists, row_files

VALUES = [
    [],
    [1],
    [12345, -1.5e10, True, None, "a", [], {}],
    [{"a": 'ü\u2028\n\\" ] , [', "b": [[1], {"c": None}]}] * 5,
    [{"messages": [{"role": "user", "content": "x" * 300}]}, {"n": float("inf")}],
]


@pytest.mark.parametrize("chunk", [1, 2, 7, 64, 1 << 22])
@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_values_are_those_of_json(monkeypatch, chunk, indent, ascii_only):
    """Wherever a piece of the file ends: inside of a number, an escape, a character of several bytes."""
    monkeypatch.setattr(json_lists, "CHUNK", chunk)
    for value in VALUES:
        text = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode()
        for file in (text, b"\xef\xbb\xbf" + text, b" \n " + text + b"\n\n"):
            assert json_lists.begins(io.BytesIO(file))
            assert list(json_lists.elements(io.BytesIO(file))) == value


BROKEN = [
    "[",
    "[1",
    "[1,",
    "[1,]",
    "[,1]",
    "[1 2]",
    "[1] 2",
    "[1][2]",
    '[{"a": }]',
    '["a',
    "[nul]",
    "[1}",
    "[[1]",
    '[{"a": 1]',
    "[" * 9000,
]


@pytest.mark.parametrize("text", BROKEN)
@pytest.mark.parametrize("chunk", [1, 1 << 22])
def test_what_json_refuses_is_refused_in_its_words(tmp_path, monkeypatch, text, chunk):
    monkeypatch.setattr(json_lists, "CHUNK", chunk)
    with pytest.raises((ValueError, RecursionError)):
        json.loads(text)
    with pytest.raises(json_lists.Irregular):
        list(json_lists.elements(io.BytesIO(text.encode())))
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(BadInput, match=r"a\.json, (line 1: broken JSON|row 1: )"):
        list(row_files.read(tmp_path / "a.json"))


def test_cut_files_and_bytes_that_are_no_text(tmp_path):
    whole = json.dumps([{"a": "ü" * 20}, {"b": [1, 2]}], ensure_ascii=False).encode()
    rng = random.Random(0)
    for end in rng.sample(range(1, len(whole)), 20):
        with pytest.raises(json_lists.Irregular):
            list(json_lists.elements(io.BytesIO(whole[:end])))
    (tmp_path / "a.json").write_bytes(b'[\n{"a": "b"},\n{"a": "\xff"}]')
    with pytest.raises(BadInput, match=r"a\.json, line 3: not UTF-8"):
        list(row_files.read(tmp_path / "a.json"))


@pytest.mark.parametrize("indent", [None, 1])
def test_a_large_list_is_never_in_memory(tmp_path, monkeypatch, indent):
    """30 MB, in one line or in many: less than 4 MB with pieces of 512 KiB."""
    monkeypatch.setattr(json_lists, "CHUNK", 1 << 19)
    rows = [{"messages": [{"role": "user", "content": f"{i} " + "abc de " * 400}]} for i in range(10_000)]
    (tmp_path / "a.json").write_text(json.dumps(rows, indent=indent))
    first, last = rows[0], rows[-1]
    del rows
    tracemalloc.start()
    try:
        number = 0
        for number, row in enumerate(row_files.read(tmp_path / "a.json"), 1):
            if number == 1:
                assert row == first
        assert (number, row) == (10_000, last) and row_files.count(tmp_path / "a.json") == 10_000
        assert tracemalloc.get_traced_memory()[1] < 4e6
    finally:
        tracemalloc.stop()
