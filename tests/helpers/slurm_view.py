"""A view of the machine of its own (a mount namespace): with another /etc/slurm, and users that the machine does not have.

SLURM's commands look into /etc/slurm, and inside jobs nowhere else; so two clusters at once need two of them. Nothing here
changes what other processes of the machine see, and all of it ends with the processes in the view.
"""

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from slurm_sites import User


class View:
    """folder: of the cluster, with `etc`; the number of the holding process lies in pid/view."""

    def __init__(self, folder: Path, users: tuple[User, ...], group: User):
        self.folder, self.users, self.group = folder, users, group

    def open(self) -> None:
        """Start the process that holds the view open. Raises CalledProcessError where mounts are not allowed."""
        for user in self.users:
            (self.folder / "home" / user.name).mkdir(parents=True)
            os.chown(self.folder / "home" / user.name, user.uid, self.group.uid)
        people = "".join(
            f"{name}:x:{uid}:{self.group.uid}::{self.folder}/home/{name}:/bin/bash\n" for name, uid in self.users
        )
        self.add("passwd", people)
        self.add("group", f"{self.group.name}:x:{self.group.uid}:\n")
        lines = [
            f"mount --bind {self.folder}/etc /etc/slurm",
            f"mount --bind {self.folder}/passwd /etc/passwd",
            f"mount --bind {self.folder}/group /etc/group",
            *self.uncover({sys.base_prefix, sys.prefix, os.path.realpath(sys.prefix)}),
            f"echo $$ > {self.folder}/pid/view",
            "exec sleep infinity",
        ]
        Path("/etc/slurm").mkdir(exist_ok=True)
        with (self.folder / "log/view").open("w") as log:
            argv = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", "\n".join(lines)]
            subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def add(self, name: str, lines: str) -> None:
        """Write a copy of /etc/NAME with more lines."""
        (self.folder / name).write_text(f"{Path('/etc', name).read_text().rstrip()}\n{lines}")

    def uncover(self, needed: Iterable[str]) -> list[str]:
        """Return the mounts with which all users reach folders that lie in closed ones: a Python in /root.

        In the view a closed folder is empty and open, but for what is needed of it.
        """
        inside: dict[Path, list[str]] = {}
        for path in sorted(needed):
            closed = [parent for parent in Path(path).parents if not parent.stat().st_mode & 0o001]
            if closed:
                inside.setdefault(closed[-1], []).append(path)
        keep, show = [], []
        for number, path in enumerate(path for paths in inside.values() for path in paths):
            kept = self.folder / "kept" / str(number)
            keep += [f"mkdir -p {kept}", f"mount --bind {path} {kept}"]
            show += [f"mkdir -p {path}", f"mount --bind {kept} {path}"]
        return [*keep, *(f"mount -t tmpfs -o mode=755 tmpfs {closed}" for closed in inside), *show]

    def inside(self, pid: int, user: User | None = None, folder: str | Path = "/") -> list[str]:
        """Return the words before a command that let it run in the view, in a folder; user: as whom, None: root."""
        enter = ["nsenter", "--mount", f"--target={pid}", "env", f"--chdir={folder}"]
        if user is None:
            return enter
        who = [f"HOME={self.folder}/home/{user.name}", f"USER={user.name}", f"LOGNAME={user.name}"]
        become = ["setpriv", f"--reuid={user.uid}", f"--regid={self.group.uid}", "--init-groups"]
        return [*enter, *who, *become]
