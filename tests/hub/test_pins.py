"""Commits of hub models and data sets: what the config leaves out comes from the lock file."""

import pytest
from teachergrid.errors import BadInput
from teachergrid.grid.cells import Cells
from teachergrid.grid.config import checked
from teachergrid.hub import pins

A, B, C, D = ("0123456789abcdef" * 3)[:40], "b" * 40, "c" * 40, "d" * 40


@pytest.fixture
def config(tmp_path, monkeypatch) -> dict:
    """A grid that only measures: a model without revision, one at a branch, one pinned, one in a folder, two data sets."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / "models/own").mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "chat_template.jinja"):
        (tmp_path / "models/own" / name).write_text("{}")
    return {
        "models": {
            "free": {"repo": "org/free"},
            "branch": {"repo": "org/branch", "revision": "v1.1"},
            "pinned": {"repo": "org/pinned", "revision": A},
            "own": {"repo": "models/own"},
            "digest": {"repo": "models/digest", "revision": "sha256-00"},
        },
        "instructions": {
            "set": {"source": "hub:org/set", "sample": 5},
            "file": {"source": "hub:org/files/some/path.jsonl", "revision": "main", "sample": 5},
        },
        "teachers": {name: {"model": name} for name in ("free", "branch", "pinned", "own", "digest")},
        "bases": {"free": {"model": "free", "template": "own"}},
        "metrics": {"length": {"formula": "length"}},
        "grids": {
            "all": {"compare": "teacher", "instructions": ["set", "file"], "teachers": "all", "bases": ["free"]},
        },
    }


def test_what_is_unpinned(config):
    assert pins.unpinned(checked(config)) == ["org/branch@v1.1", "org/files@main", "org/free", "org/set"]
    pins.add({"model": {"org/free": B, "org/branch": D}, "dataset": {"org/files@main": C}})
    # a branch has an entry of its own: another one's commit is not its
    assert pins.unpinned(checked(config)) == ["org/branch@v1.1", "org/set"]
    pins.add({"model": {"org/branch@v1.1": A}, "dataset": {"org/set": A}})
    assert pins.unpinned(checked(config)) == []


def test_the_spec_holds_the_commit(config):
    pins.add({"model": {"org/free": B, "org/pinned": B}, "dataset": {"org/files@main": C}})
    rows = Cells(checked(config)).rows
    assert B in rows["generate"]["set__free"]["spec"]
    assert A in rows["generate"]["set__pinned"]["spec"], "what the config states wins"
    assert f'"revision": "{C}"' in rows["load_instructions"]["file"]["spec"]
    assert "revision" not in rows["load_instructions"]["set"]["spec"]


def test_the_file_is_sorted_and_keeps_what_it_had(config):
    pins.add({"model": {"org/b": B, "org/a": A}})
    first = pins.LOCK.read_text()
    assert first.startswith("# Written by") and first.index("org/a") < first.index("org/b")
    pins.add({"dataset": {"org/set": C}})
    pins.add({"model": {"org/b": D}})
    assert pins.read() == {"model": {"org/a": A, "org/b": D}, "dataset": {"org/set": C}}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("model: {org/a: main}", "'main' is not a commit of 40 hex digits"),
        ("model: {org/a: 12345}", "'12345' is not a commit"),
        ("model: [org/a]", "broken"),
        ("model: {org/a: <<<<", "broken"),
    ],
)
def test_a_broken_file_is_named(config, text, says):
    pins.LOCK.write_text(text)
    with pytest.raises(BadInput, match=f"config/revisions.lock: .*{says}"):
        checked(config)


def test_digits_alone_stay_text(config):
    """A commit of decimal digits, or such as 1e38, must not come back as a number."""
    odd = {"org/a": "1" * 40, "org/b": "1" * 37 + "e38"}
    pins.add({"model": odd})
    assert pins.read() == {"model": odd}


@pytest.mark.parametrize("source", ["hub:org", "hub:org/", "hub:", "hub:org//x"])
def test_sources_of_another_shape(source):
    with pytest.raises(BadInput, match="hub:org/name"):
        pins.data_set(source)
