"""What a run may write is known before it starts, and what a look may not read is said.

Root may do everything, so the system's answer is replaced in these tests.
"""

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from teachergrid.errors import BadInput
from teachergrid.run import permissions

SOMEBODY = 65533


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Results of this user, in the current folder."""
    for name in (
        "results/.history",
        "results/logs/answer",
        "results/responses",
        "results/students/s/weights",
        ".snakemake/locks",
    ):
        Path(tmp_path, name).mkdir(parents=True)
    for name in ("results/.history/a", "results/logs/run.log", "results/responses/a.parquet"):
        Path(tmp_path, name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def may_not_write(monkeypatch):
    """Let the system answer that these paths may not be written; it would let root."""

    def deny(*paths: str) -> None:
        ask = os.access
        monkeypatch.setattr(os, "access", lambda path, mode: str(path) not in paths and ask(path, mode))

    return deny


def test_own_results_may_be_written(folder):
    permissions.refuse_unwritable("results")
    shutil.rmtree("results")
    permissions.refuse_unwritable("results")


@pytest.mark.parametrize(
    "path",
    [
        "results",
        ".snakemake",
        "results/.history",
        "results/.history/a",
        "results/logs",
        "results/logs/answer",
        "results/logs/run.log",
        "results/responses",
        "results/students/s/weights",
        ".snakemake/locks",
    ],
)
def test_what_may_not_be_written_is_named_with_its_owner_and_the_remedy(folder, may_not_write, path):
    may_not_write(path)
    owner = permissions.user_name(os.getuid())
    words = rf"you may not write {path}: ask {owner}.*`chmod -R g\+rwX results .snakemake`.*umask 002"
    with pytest.raises(BadInput, match=words):
        permissions.refuse_unwritable("results")


def test_what_a_killed_snakemake_of_another_user_has_left_is_not_needed(folder, may_not_write):
    Path(".snakemake/tmp.x1y2").mkdir()
    may_not_write(".snakemake/tmp.x1y2")
    permissions.refuse_unwritable("results")


def test_where_nothing_exists_the_current_folder_counts(folder, may_not_write):
    shutil.rmtree("results")
    may_not_write(".")
    with pytest.raises(BadInput, match=r"you may not write \.: .*g\+rwX .snakemake"):
        permissions.refuse_unwritable("results")


def test_outputs_are_replaced_and_linked_folders_only_read(folder, may_not_write):
    may_not_write("results/responses/a.parquet", "results/likelihood")
    Path("results/likelihood").symlink_to(folder / "colleague")
    (folder / "colleague").mkdir()
    permissions.refuse_unwritable("results")


@pytest.fixture
def read_only(folder) -> Iterator[Path]:
    """The results on a file system that is mounted read-only."""
    mounts = [["mount", "--bind", "results", "results"], ["mount", "-o", "remount,bind,ro", "results"]]
    if os.getuid() or any(subprocess.run(mount, capture_output=True).returncode for mount in mounts):
        pytest.skip("needs root, and a mount")
    yield folder
    subprocess.run(["umount", "results"], check=True, cwd=folder)


def test_a_read_only_file_system_is_named(read_only):
    with pytest.raises(BadInput, match="you may not write results: its file system is read-only"):
        permissions.refuse_unwritable("results")


@pytest.mark.parametrize(("umask", "mode"), [(0o002, 0o664), (0o022, 0o644), (0o077, 0o600)])
def test_records_follow_the_umask(folder, umask, mode):
    """Snakemake writes them 0660 whatever the umask; what lies elsewhere is left alone."""
    for name in ("results/.history/a", "results/responses/a.parquet"):
        os.chmod(name, 0o660)
    before = os.umask(umask)
    try:
        permissions.follow_umask("results")
        assert os.umask(umask) == umask  # as before
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat("results/.history/a").st_mode) == mode
    assert stat.S_IMODE(os.stat("results/responses/a.parquet").st_mode) == 0o660


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to have a file of another user")
def test_records_of_others_are_left_alone(folder):
    os.chmod("results/.history/a", 0o660)
    os.chown("results/.history/a", SOMEBODY, SOMEBODY)
    permissions.follow_umask("results")
    assert stat.S_IMODE(os.stat("results/.history/a").st_mode) == 0o660


# --- reading


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
    assert permissions.unread("results") == permissions.unread("none") == ""


@pytest.mark.parametrize("path", ["results/.history", "results/.history/a", "results/answers/m/q.parquet"])
def test_what_may_not_be_read_is_named_with_its_owner_and_the_remedy(hidden, path):
    hidden(path)
    owner = permissions.user_name(os.getuid())
    said = permissions.unread("results")
    assert said.startswith(f"1 files or folders may not be read, such as {path}; ")
    assert said.endswith(f"Ask {owner}, who owns it, for `chmod -R g+rX results`")
