"""Digests of files: remembered while inode, size and both times are the same."""

import hashlib
import os
import time

import pytest
from teachergrid.store import contents
from teachergrid.store.contents import MISSING, Contents


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("TEACHERGRID_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(contents, "YOUNG_NS", -1)
    monkeypatch.chdir(tmp_path)


def sha(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def digest(path: str) -> str:
    """As the next command sees it."""
    known = Contents()
    found = known.of(path)
    known.save()
    return found


def test_an_unchanged_file_is_read_once(tmp_path, monkeypatch):
    (tmp_path / "x").write_text("one")
    assert digest("x") == sha("one")
    monkeypatch.setattr(hashlib, "file_digest", None)  # reading again would fail
    assert digest("x") == sha("one")


def test_same_size_and_time_but_other_content(tmp_path):
    (tmp_path / "x").write_text("one")
    before = os.stat("x")
    assert digest("x") == sha("one")
    (tmp_path / "x").write_text("two")
    os.utime("x", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert digest("x") == sha("two")


def test_replaced_by_an_older_file(tmp_path):
    (tmp_path / "x").write_text("one")
    assert digest("x") == sha("one")
    (tmp_path / "new").write_text("two")
    os.utime("new", (1000, 1000))
    os.replace("new", "x")
    assert digest("x") == sha("two")


def test_a_file_that_was_just_changed_is_not_remembered(tmp_path, monkeypatch):
    monkeypatch.setattr(contents, "YOUNG_NS", 3_600_000_000_000)
    (tmp_path / "x").write_text("one")
    known = Contents()
    assert known.of("x") == sha("one") and known.known == {}
    os.utime("x", (time.time() - 7200,) * 2)
    assert Contents().of("x") == sha("one") and known.known == {}, "its time of change is still young"


def test_what_is_no_regular_file_is_missing(tmp_path):
    os.mkfifo("fifo")
    os.mkdir("folder")
    os.symlink("nowhere", "link")
    assert [digest(path) for path in ("fifo", "folder", "link", "none", "/dev/zero")] == [MISSING] * 5


@pytest.mark.parametrize("damaged", ["[", "[]", '{"x": 1}', "[" * 100_000, ""])
def test_a_damaged_cache_costs_only_time(tmp_path, damaged):
    (tmp_path / "x").write_text("one")
    file = Contents().file
    file.parent.mkdir(parents=True)
    file.write_text(damaged)
    assert digest("x") == sha("one")


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("a file where a folder should be")
    (tmp_path / "x").write_text("one")
    assert digest("x") == sha("one")
