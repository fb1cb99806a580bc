"""Rows of every kind of file: read, counted alike, or refused with file, place and remedy."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from teachergrid.errors import BadInput
from teachergrid.hub import row_files

DATA = Path(__file__).parents[3] / "shared/data"
ROWS = [{"instruction": "one\u2028line", "output": "a"}, {"instruction": "two", "output": None}]
COLUMNS = {"instruction": ["one\u2028line", "two"], "output": ["a", None]}


def lines(rows: list[dict], end: str = "\n") -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + end for row in rows).encode()


def parquet(path: Path, rows: list[dict], **options) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path, **options)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", lines(ROWS)),
        ("a.ndjson", lines(ROWS)[:-1]),
        ("a.jsonl", b"\xef\xbb\xbf" + lines(ROWS, "\r\n\r\n")),
        ("a.jsonl", b"\n  " + lines(ROWS, "\n \n")),
        ("a.jsonl", json.dumps(ROWS).encode()),
        ("a.jsonl", b"\xef\xbb\xbf\n" + json.dumps(ROWS, indent=1).encode()),
        ("a.json", json.dumps(ROWS, indent=2).replace("\n", "\r\n").encode()),
        ("a.json", lines(ROWS)),
        ("a.json", b"\xef\xbb\xbf" + json.dumps(COLUMNS).encode()),
        ("a.json", json.dumps(COLUMNS, indent=2).encode()),
        ("a.json.gz", gzip.compress(lines(ROWS), mtime=0)),
        ("a.jsonl.gz", gzip.compress(json.dumps(ROWS).encode(), mtime=0)),
        ("a.jsonl.gz", lines(ROWS)),  # unpacked by a download, the name kept
        ("a.jsonl", gzip.compress(lines(ROWS), mtime=0)),
    ],
)
def test_json_of_every_form(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert list(row_files.read(tmp_path / name)) == ROWS
    assert row_files.count(tmp_path / name) == 2


def test_parquet(tmp_path):
    parquet(tmp_path / "a.parquet", ROWS * 5, row_group_size=3)
    assert list(row_files.read(tmp_path / "a.parquet")) == ROWS * 5
    assert row_files.count(tmp_path / "a.parquet") == 10


def test_rows_may_have_different_keys(tmp_path):
    rows = [{"prompt": "a"}, {"instruction": "b", "n": 1}, {"prompt": ["c"], "n": "2"}]
    (tmp_path / "a.jsonl").write_bytes(lines(rows))
    assert list(row_files.read(tmp_path / "a.jsonl")) == rows


def test_one_object_is_a_row_of_a_jsonl(tmp_path):
    row = {"messages": [{"role": "user", "content": "a"}], "tags": ["x"]}
    (tmp_path / "a.jsonl").write_bytes(lines([row]))
    assert list(row_files.read(tmp_path / "a.jsonl")) == [row]
    assert row_files.count(tmp_path / "a.jsonl") == 1


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.jsonl", b'{"a": 1}\n\n{"a": \n', "a.jsonl, line 3: broken JSON"),
        ("a.jsonl", b'{"a": \n{"a": 1}\n', "a.jsonl, line 1: broken JSON"),
        ("a.jsonl", b'{"a": 1} {"a": 2}\n{"a": 3}\n', "line 1: broken JSON .Extra data.*one row per line"),
        ("a.jsonl", b'{\n"a": 1\n}\n{\n"a": 2\n}\n', "line 4: broken JSON .Extra data.*one row per line"),
        ("a.jsonl", b'{"a": 1}\n[2]\n', "row 2.*not an object"),
        ("a.jsonl", b"[1]\n[2]\n", "line 2: broken JSON"),
        ("a.json", b"[[1], [2]]", "row 1: '.1.' is not an object"),
        ("a.jsonl", b"\n", "no rows"),
        ("a.json", b"[]", "no rows"),
        ("a.jsonl.gz", gzip.compress(b"", mtime=0), "no rows"),
        ("a.jsonl", b'{"a": "x"}\n{"a": "\xff"}', "a.jsonl, line 2: not UTF-8"),
        ("a.json", b'[{"a": "x"},\n\n{"a": "\xe9t\xe9"}]', "a.json, line 3: not UTF-8"),
        ("a.jsonl", '{"a": 1}\n'.encode("utf-16"), "UTF-16; convert it to UTF-8"),
        ("a.json", b'[{"a": 1},\n {"a" 1}]', "a.json, line 2: broken JSON"),
        ("a.json", b"[" * 100_000, "line 1: broken JSON"),
        ("a.json", b'{"a": 1}', "not a list"),
        ("a.json", b'{"messages": [{"role": "user", "content": "a"}]}', "not a list"),
        ("a.json", b'{"version": 1, "data": [{"a": 1}]}', "not a list of objects; write a list of rows"),
        ("a.json", b'{"0": {"a": 1}, "1": {"a": 2}}', "orient='records'"),
        ("a.json", b'{"a": [1, 2], "b": [1]}', "different lengths {'a': 2, 'b': 1}"),
        ("a.json", b"7", "not a list"),
        ("a.parquet", b"PAR1", "not a complete parquet"),
        ("a.jsonl", b"PAR1....", "parquet file under another name; rename it to a.parquet"),
        ("a.jsonl.gz", gzip.compress(b'{"a": 1}\n' * 99, mtime=0)[:-12], "not a complete gzip file"),
        ("a.parquet", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n", "git lfs pull"),
        ("a.csv", b"a\n1\n", "unknown kind of file '.csv'; use .jsonl"),
        ("a.jsonl", None, "no such file"),
    ],
)
def test_bad_files_are_refused(tmp_path, name, content, says):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=says):
        list(row_files.read(tmp_path / name))
    # the counter sees less of a file, and never raises anything else
    try:
        row_files.count(tmp_path / name)
    except BadInput as error:
        assert name in str(error)


def test_a_folder_of_part_files_is_refused(tmp_path):
    (tmp_path / "spark.parquet").mkdir()
    for use in (row_files.count, lambda path: list(row_files.read(path))):
        with pytest.raises(BadInput, match=r"spark\.parquet: is a folder; name one file in it, or join its part files"):
            use(tmp_path / "spark.parquet")


def test_a_text_of_parquet_that_is_no_utf_8_is_named(tmp_path):
    texts = pa.array(["a", "b", b"caf\xe9"], pa.binary()).cast(pa.string(), safe=False)
    pq.write_table(pa.table({"n": [1, 2, 3], "prompt": texts}), tmp_path / "a.parquet")
    with pytest.raises(BadInput, match=r"a\.parquet, row 3, column 'prompt': not UTF-8"):
        list(row_files.read(tmp_path / "a.parquet"))


def test_columns_of_one_name_are_refused(tmp_path):
    columns = [pa.array(["a"]), pa.array(["b"])]
    pq.write_table(pa.Table.from_arrays(columns, names=["prompt", "prompt"]), tmp_path / "a.parquet")
    with pytest.raises(BadInput, match="several columns have the name 'prompt'; rename them"):
        row_files.count(tmp_path / "a.parquet")


def test_parquet_is_read_in_pieces_that_arrow_can_hold(tmp_path, monkeypatch):
    """Arrow refuses nested columns of 2 GiB; here it refuses more than 5 rows, and more than 0 in the second file."""
    whole, limit = pq.ParquetFile.iter_batches, 5

    def iter_batches(file, size, **options):
        for batch in whole(file, size, **options):
            if len(batch) > limit:
                raise pa.ArrowNotImplementedError("Nested data conversions not implemented for chunked array outputs")
            yield batch

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", iter_batches)
    rows = [{"messages": [{"role": "user", "content": str(i)}]} for i in range(1000)]
    parquet(tmp_path / "a.parquet", rows, row_group_size=600)
    assert list(row_files.read(tmp_path / "a.parquet")) == rows
    limit = 0
    with pytest.raises(BadInput, match=r"a\.parquet, row group 1: Nested .*smaller row groups: .*row_group_size=1000"):
        list(row_files.read(tmp_path / "a.parquet"))


@pytest.mark.skipif(not DATA.exists(), reason=f"the real data sets are not at {DATA}")
@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("alpaca_eval/instructions_805.json", 805),
        ("alpaca_eval/reference_gpt4_1106_preview.parquet", 805),
        ("alpaca52k/alpaca_500_from_cherry5pct.json", 500),
        ("ifeval/input_data.jsonl", 541),
        ("gsm8k/test_1319.jsonl", 1319),
        ("math/math500.jsonl", 500),
        ("code/humaneval-python_164.jsonl", 164),
        ("code/mbpp_test_500.jsonl", 500),
    ],
)
def test_real_sets(name, rows):
    read = list(row_files.read(DATA / name))
    assert len(read) == row_files.count(DATA / name) == rows
    if not name.endswith("parquet"):
        text = (DATA / name).read_text(encoding="utf-8")
        plain = json.loads(text) if name.endswith(".json") else [json.loads(x) for x in text.split("\n") if x]
        assert read == plain
