"""The origin of an artifact: inside a table or student.json, else in a file of its own."""

import json

import pyarrow as pa
from teachergrid.store import artifacts, origin


def made(tmp_path) -> dict:
    (tmp_path / "in.txt").write_text("input")
    return origin.of("metric", '{"a": 1}', [str(tmp_path / "in.txt")])


def test_it_names_the_work_and_changes_with_its_inputs(tmp_path):
    first = made(tmp_path)
    assert first == made(tmp_path) and origin.key(first) == origin.key(made(tmp_path))
    (tmp_path / "in.txt").write_text("other")
    other = origin.of("metric", '{"a": 1}', [str(tmp_path / "in.txt")])
    assert len({origin.key(one) for one in (first, other, {**first, "spec": "{}"})}) == 3


def test_it_is_read_wherever_it_lies(tmp_path):
    made_from, schema = made(tmp_path), pa.schema([("x", pa.int64())])
    within, beside, student, page = (tmp_path / name for name in ("a.parquet", "b.parquet", "s.json", "r.html"))
    artifacts.write(within, [{"x": 1}], schema, made_from)
    artifacts.write(beside, [{"x": 1}], schema, made_from, beside=True)
    student.write_text(json.dumps({"origin": made_from}))
    page.write_text("<html>")
    assert origin.read(page) is None
    origin.write_beside(page, made_from)
    assert [origin.read(path) for path in (within, beside, student, page)] == [made_from] * 4
    # what chose the rows is not in the bytes
    artifacts.write(tmp_path / "c.parquet", [{"x": 1}], schema, {**made_from, "spec": "{}"}, beside=True)
    assert beside.read_bytes() == (tmp_path / "c.parquet").read_bytes() != within.read_bytes()


def test_a_text_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "new/a.txt"
    for text in ("one", "two"):
        origin.replace_text(path, text)
        assert path.read_text() == text and [*path.parent.iterdir()] == [path]
