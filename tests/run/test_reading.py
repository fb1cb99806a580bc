"""What of others' results may not be read is said: a look must not show it as not made without a word."""

import os
from pathlib import Path

import pytest
from teachergrid.run import reading


@pytest.fixture
def hidden(tmp_path, monkeypatch):
    """Results of which the system says that these paths may not be read; it would let root."""
    monkeypatch.chdir(tmp_path)
    for name in ("results/.history/a", "results/answers/m/q.parquet"):
        Path(name).parent.mkdir(parents=True)
        Path(name).touch()
    Path("results/answers/gone").symlink_to("nowhere")

    def hide(*paths: str) -> None:
        ask = os.access
        monkeypatch.setattr(os, "access", lambda path, mode: str(path) not in paths and ask(path, mode))

    return hide


def test_without_such_files_nothing_is_said(hidden):
    assert reading.unread("results") == reading.unread("none") == ""


@pytest.mark.parametrize("path", ["results/.history", "results/.history/a", "results/answers/m/q.parquet"])
def test_what_may_not_be_read_is_named_with_its_owner_and_the_remedy(hidden, path):
    hidden(path)
    owner = reading.user_name(os.getuid())
    said = reading.unread("results")
    assert said.startswith(f"1 files or folders may not be read, such as {path}; ")
    assert said.endswith(f"Ask {owner}, who owns it, for `chmod -R g+rX results`")
