"""What a plan knows of instructions before they are loaded: the rows and the length of the prompts of files and hub data sets."""

import json
import os
import time
from pathlib import Path

import pytest
from hub_grid import planned as jobs_of
from teachergrid.commands import prefetch
from teachergrid.data import sizes
from teachergrid.hub import row_files
from workspace import setting

COMMIT = "a" * 40
FIELDS = {"fields": {}}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Return the folder of a data set's snapshot in an empty cache of the hub's library."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    folder = tmp_path / f"hub/datasets--org--name/snapshots/{COMMIT}"
    folder.mkdir(parents=True)
    return folder


def entry(source: str = "hub:org/name", **stated) -> dict:
    return {"source": source, "revision": COMMIT, "split": "train", "fields": {}, "sample": None} | stated


def test_rows_of_files(tmp_path):
    lines = tmp_path / "a.jsonl"
    lines.write_text("{}\n" * 7)
    listed = tmp_path / "a.json"
    listed.write_text("[{}, {}]")
    assert [sizes.count(str(lines)), sizes.rows(entry(str(listed))), sizes.drawn(entry(str(lines), sample=5))] == [
        7,
        sizes.Rows(2),
        5,
    ]
    lines.write_text("{}\n" * 8)
    assert sizes.count(str(lines)) == 8, "counted again where the file changed"


@pytest.mark.slow
def test_a_file_is_read_once(tmp_path, monkeypatch):
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt": "12345678"}\n' * 3)
    reads: list = []
    for name in ("count", "read"):
        read = getattr(row_files, name)
        monkeypatch.setattr(
            row_files, name, lambda path, *columns, read=read: reads.append(path) or read(path, *columns)
        )
    found = [(sizes.count(str(path)), sizes.prompt_tokens(str(path), FIELDS))]
    time.sleep(2.1)  # a file that just changed is not remembered
    found += [(sizes.count(str(path)), sizes.prompt_tokens(str(path), FIELDS)) for _ in range(3)]
    assert found == [(3, 22.0)] * 4 and len(reads) == 4, "two of the young file, two of the old one"


def test_prompts_are_as_long_as_those_of_the_file(tmp_path):
    long, short = tmp_path / "long.jsonl", tmp_path / "short.jsonl"
    long.write_text(json.dumps({"prompt": "word " * 1600, "answer": "x" * 9999}) + "\n")
    chat = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "\u8bf4\u660e"}]
    broken = {"prompt": None}
    short.write_text("".join(json.dumps(row) + "\n" for row in ({"messages": chat}, broken)))
    # 7,999 letters without the last blank; 8 letters and two characters of three bytes
    assert sizes.prompt_tokens(str(long), FIELDS) == pytest.approx(7999 / 4 + 20, abs=0.1)
    assert sizes.prompt_tokens(str(short), FIELDS) == 14 / 4 + 20
    assert sizes.prompt_tokens(str(long), {"fields": {"instruction": "answer"}}) == pytest.approx(
        9999 / 4 + 20, abs=0.1
    )
    short.write_text(json.dumps(broken))
    assert sizes.prompt_tokens(str(short), FIELDS) is None, "the job that loads it says what is wrong"
    assert sizes.prompt_tokens(str(tmp_path / "later.parquet"), FIELDS) is None
    assert sizes.prompt_tokens("hub:org/absent", entry()) is None


def test_rows_of_a_hub_data_set_that_was_fetched_are_counted(hub):
    guess, [text] = sizes.rows(entry("hub:org/set", revision=None)), sizes.guessed({"set": entry("hub:org/set")})
    assert guess == sizes.Rows(100_000, False, True)
    assert text.startswith("how many rows set has is a guess (100,000)") and "`teachergrid prefetch`" in text
    assert sizes.guessed({"set": entry("hub:org/set", sample=3)}) == []
    pinned = jobs_of(setting("instructions", "set", "sample", to=None))
    prefetch.fetch(pinned, pin=True, dry=False)
    commit = hub.repos["dataset", "org/set"].commit
    there = entry("hub:org/set", revision=commit)
    assert (sizes.rows(there), sizes.guessed({"set": there})) == (sizes.Rows(2), [])
    assert sizes.prompt_tokens("hub:org/set", there) == pytest.approx((5 + 6) / 2 / 4 + 20, abs=0.1)
    one = entry("hub:org/many/some/asked.jsonl", revision=hub.repos["dataset", "org/many"].commit)
    assert sizes.rows(one) == sizes.Rows(1)
    [path] = Path(".cache/hub/datasets--org--set").glob("snapshots/*/data/train.jsonl")
    os.unlink(path)
    assert sizes.rows(there).is_guess, "a part of the files is not counted as all of them"


@pytest.mark.parametrize(
    "card, rows",
    [
        ("dataset_info:\n  splits:\n  - {name: test, num_examples: 5}\n  - {name: train, num_examples: 1234}\n", 1234),
        ("dataset_info:\n- {config_name: a, splits: [{name: train, num_examples: 7}]}\n", 7),
        (
            "dataset_info:\n- {config_name: a, splits: [{name: train, num_examples: 7}]}\n"
            "- {config_name: default, splits: [{name: train, num_examples: 8}]}\n",
            8,
        ),
        ("dataset_info: {splits: [{name: test, num_examples: 5}]}\n", None),
        ("license: mit\n", None),
        ("dataset_info: [1, 2\n", None),
    ],
)
def test_rows_that_a_data_sets_card_states(cache, card, rows):
    (cache / "README.md").write_text(f"---\n{card}---\n# A set\n")
    assert sizes.rows(entry()) == (sizes.Rows(100_000, False, True) if rows is None else sizes.Rows(rows, False))
    # the card counts a split, not one file of it
    assert sizes.rows(entry("hub:org/name/a.jsonl")).is_guess


def test_rows_that_the_older_kind_of_card_states(cache):
    (cache / "dataset_infos.json").write_text(
        json.dumps({"x": {"splits": {"train": {"name": "train", "num_examples": 9}}}})
    )
    (cache.parents[1] / "refs").mkdir()
    (cache.parents[1] / "refs/main").write_text(COMMIT)
    assert sizes.rows(entry()) == sizes.rows(entry(revision=None)) == sizes.Rows(9, False)


def test_a_config_may_say_how_many_rows_a_set_has_that_is_not_here(cache):
    elsewhere = entry("hub:org/other", rows=541)
    assert sizes.rows(elsewhere) == sizes.Rows(541, False) and sizes.guessed({"other": elsewhere}) == []
    assert sizes.guessed({"other": entry("hub:org/other")})
    # what the data set itself says goes before
    assert sizes.rows(entry(rows=541)) == sizes.Rows(541, False)
    splits = {"train": {"name": "train", "num_examples": 9}}
    (cache / "dataset_infos.json").write_text(json.dumps({"x": {"splits": splits}}))
    assert sizes.rows(entry(rows=541)) == sizes.Rows(9, False)
