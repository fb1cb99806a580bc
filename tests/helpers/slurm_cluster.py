"""A real SLURM on one machine: slurmctld, slurmdbd with a database of its own, and a slurmd per node, most with pretended GPUs.

    python tests/helpers/slurm_cluster.py start | stop | status [pretended | hpc1]

Everything comes from Debian's or Ubuntu's packages, which `ready` installs where it may, and needs root. A GPU is a device
node and nothing more: SLURM counts it, hands it out and sets CUDA_VISIBLE_DEVICES, but nothing computes on it. There are
no cgroups, so that it also runs inside a container: memory limits are enforced by polling, and jobs see all cores.

What a cluster looks like is data (slurm_sites.py). Several can run at once: one has the machine's /etc/slurm, each other one a
view of the machine of its own (slurm_view.py).
"""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from slurm_sites import GPUS, PRETENDED, SITES, Site, User
from slurm_view import View

# the jobstep plugin takes SLURM_CONF out of the environment of a job, so only this place is seen everywhere
ETC = Path("/etc/slurm")
# set when nobody wants to know any more what is waited for
given_up = threading.Event()
# what a task finds in its environment when it starts, for tests to read
NOTE_TASK = """\
#!/bin/sh
env | grep -E '^(SLURM_(JOB_ID|STEP_GPUS)|SLURMD_NODENAME|CUDA_VISIBLE_DEVICES)=' \\
    > {folder}/tasks/$SLURM_JOB_ID.${{SLURM_STEP_ID:-batch}}.${{SLURM_RESTART_COUNT:-0}}.$SLURM_PROCID
"""
PROGRAMS = {
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "squeue": "slurm-client",
    "slurmdbd": "slurmdbd",
    "munged": "munge",
    "mariadbd": "mariadb-server",
}

COMMON = """\
ClusterName={name}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# a job that was requeued waits as long as a credential lives, by default two minutes
AuthInfo=socket={folder}/munge.socket,cred_expire=10
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/pid/slurmctld
SlurmctldLogFile={folder}/log/slurmctld
SlurmdSpoolDir={folder}/spool/%n
SlurmdPidFile={folder}/pid/%n
SlurmdLogFile={folder}/log/%n
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
TaskProlog={folder}/note_task
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
JobAcctGatherParams=OverMemoryKill
# nodes may claim more than this machine has
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
GresTypes=gpu
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=3,bf_interval=3,batch_sched_delay=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=3
# a node that says nothing for so long is down
SlurmdTimeout=15
ReturnToService=2
# ended jobs stay in squeue for so long; a status by squeue wants three times its first interval
MinJobAge=180
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={database_port}
AccountingStoragePass={folder}/munge.socket
AccountingStorageTRES={tres}
{options}
{nodes}
{partitions}
"""
DATABASE = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
# a number is refused here
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={database_port}
SlurmUser=root
PidFile={folder}/pid/slurmdbd
LogFile={folder}/log/slurmdbd
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=accounting
"""


def ready() -> str | None:
    """Return why no cluster can be had here, or None. Installs missing packages."""
    if os.geteuid() != 0:
        return "a SLURM of its own needs root (device nodes, /etc/slurm)"
    missing = sorted({package for program, package in PROGRAMS.items() if not shutil.which(program)})
    if not missing:
        return None
    if not shutil.which("apt-get"):
        return f"{', '.join(missing)} are not installed, and there is no apt-get"
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
    for command in (["apt-get", "update", "-qq"], install):
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            return f"{' '.join(command)} failed: {done.stderr.strip()[-300:]}"
    return None


def wait(what: str, holds: Callable[[], object], seconds: float = 60, every: float = 0.2):
    """Return what `holds` returns as soon as that is true. Raises TimeoutError, also when the tests have `given_up`."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        if time.monotonic() > end or given_up.is_set():
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(every)
    return found


def answers(*command: str) -> bool:
    return subprocess.run(command, capture_output=True).returncode == 0


def output(*command: str) -> str:
    """Return what a command prints. Raises CalledProcessError."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


class Cluster:
    """The daemons by name: munged, mariadbd, slurmdbd, slurmctld and one slurmd per node."""

    def __init__(self, site: Site = PRETENDED):
        self.site = site
        self.folder, self.port = Path(site.folder), site.port
        self.view = View(self.folder, site.users, site.group) if site.group else None

    def start(self) -> None:
        """Start all daemons and wait until all nodes are idle. Raises RuntimeError when another SLURM is set up here."""
        linked = ETC / "slurm.conf"
        own = (self.folder / "etc/slurm.conf").resolve()
        if not self.view and os.path.lexists(linked) and linked.resolve() != own:
            raise RuntimeError(f"{linked} belongs to another SLURM; stop it and move its configuration away")
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        spools = (f"spool/{node}" for node in self.site.nodes)
        for name in ("etc", "pid", "log", "state", "gpu", "database", "tasks", *spools):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "tasks").chmod(0o1777)
        for i in range(GPUS):
            # a null device; with a plain file CUDA_VISIBLE_DEVICES would be empty
            os.mknod(self.folder / f"gpu/nvidia{i}", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        self.configure()
        (self.folder / "munge.key").write_bytes(os.urandom(1024))
        (self.folder / "munge.key").chmod(0o600)
        install = ["mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={self.folder}/database"]
        output(*install, "--skip-test-db", "--auth-root-authentication-method=normal")
        if self.view:
            self.view.open()
            wait(f"the view, see {self.folder}/log/view", lambda: self.pid("view"))
        self.begin("munged", "mariadbd", "slurmdbd")
        # slurmctld must find its cluster, a job its account
        for what in self.site.associations:
            self.ask("sacctmgr", "-iQ", "add", *what.split())
        self.begin("slurmctld", *self.site.nodes)
        wait("all nodes idle", lambda: set(self.ask("sinfo", "-hN", "-o", "%T").split()) == {"idle"})
        for node in self.site.drained:
            self.ask("scontrol", "update", f"NodeName={node}", "State=DRAIN", "Reason=fan")

    def words(self, *command: str, user: User | None = None, folder: str | Path = "/") -> list[str]:
        """Return a command line that runs a command where this cluster is the machine's SLURM."""
        if self.view and (holder := self.pid("view")):
            return [*self.view.inside(holder, user, folder), *command]
        return list(command)

    def ask(self, *command: str, user: User | None = None) -> str:
        """Return what a command of SLURM prints. Raises CalledProcessError."""
        return output(*self.words(*command, user=user))

    def configure(self) -> None:
        nodes = "\n".join(
            f"NodeName={node} NodeHostname={socket.gethostname()} NodeAddr=127.0.0.1 Port={self.port + 10 + i} "
            f"CPUs=16 RealMemory=256000" + (f" Gres=gpu:{gpu}:{GPUS}" if gpu else "")
            for i, (node, gpu) in enumerate(self.site.nodes.items())
        )
        values = {
            "name": self.site.name,
            "tres": ",".join(["gres/gpu", *(f"gres/gpu:{gpu}" for gpu in self.site.types)]),
            "options": self.site.options,
            "partitions": self.site.partitions,
            "host": socket.gethostname(),
            "folder": self.folder,
            "port": self.port,
            "database_port": self.port + 1,
            "nodes": nodes,
        }
        devices = f"File={self.folder}/gpu/nvidia[0-{GPUS - 1}]"
        lines = [f"NodeName={node} Name=gpu Type={gpu} {devices}" for node, gpu in self.site.nodes.items() if gpu]
        texts = {
            "slurm.conf": COMMON.format(**values),
            "slurmdbd.conf": DATABASE.format(**values),
            "gres.conf": "\n".join(["AutoDetect=off", *lines, ""]),
        }
        ETC.mkdir(exist_ok=True)
        for name, text in texts.items():
            path, link = self.folder / "etc" / name, ETC / name
            path.write_text(text)
            path.chmod(0o600 if name == "slurmdbd.conf" else 0o644)
            if not self.view:
                link.unlink(missing_ok=True)
                link.symlink_to(path)
        note = self.folder / "note_task"
        note.write_text(NOTE_TASK.format(**values))
        note.chmod(0o755)

    def stop(self) -> None:
        """Cancel the jobs, stop the daemons that run, remove the links. What the daemons logged stays."""
        users = ",".join(user.name for user in self.site.users) or "root"
        if self.pid("slurmctld") and answers(*self.words("scancel", "-u", users)):
            with suppress(TimeoutError, subprocess.CalledProcessError):
                wait("no jobs", lambda: not self.ask("squeue", "-h", "-t", "R,CG,PD"), 20)
        self.end("slurmctld", *self.site.nodes)
        for node in self.site.nodes:
            self.lose(node)
        self.end("slurmdbd")
        self.end("mariadbd", "munged")
        self.end("view")
        for name in ("slurm.conf", "slurmdbd.conf", "gres.conf"):
            if (ETC / name).is_symlink() and self.folder in Path(os.readlink(ETC / name)).parents:
                (ETC / name).unlink()

    def pid(self, daemon: str) -> int | None:
        """Return the process of a daemon that lives."""
        with suppress(OSError, ValueError):
            pid = int((self.folder / "pid" / daemon).read_text())
            return pid if alive(pid) else None
        return None

    def begin(self, *daemons: str) -> None:
        """Start daemons one after the other; those of the database wait until they answer."""
        sql = self.folder / "mariadb.socket"
        commands = {
            "munged": [
                "munged",
                f"--key-file={self.folder}/munge.key",
                f"--socket={self.folder}/munge.socket",
                f"--pid-file={self.folder}/pid/munged",
                f"--log-file={self.folder}/log/munged",
                f"--seed-file={self.folder}/munge.seed",
                "--force",  # in a container the parent folders may belong to others
            ],
            "mariadbd": [
                "mariadbd",
                "--no-defaults",
                "--user=root",
                f"--datadir={self.folder}/database",
                f"--socket={sql}",
                f"--pid-file={self.folder}/pid/mariadbd",
                "--skip-networking",
                "--innodb-flush-log-at-trx-commit=0",
            ],
        }
        respond = {
            "mariadbd": ["mariadb-admin", "--no-defaults", f"--socket={sql}", "ping"],
            "slurmdbd": ["sacctmgr", "-n", "list", "cluster"],
            "slurmctld": ["scontrol", "ping"],
        }
        for daemon in daemons:
            command = commands.get(daemon) or (["slurmd", "-N", daemon] if daemon in self.site.nodes else [daemon])
            environment = {**os.environ, "MYSQL_UNIX_PORT": str(sql)}
            with (self.folder / "log/started").open("a") as log:
                files = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
                subprocess.Popen(self.words(*command), env=environment, **files, start_new_session=True)
            wait(f"{daemon}, see {self.folder}/log", lambda name=daemon: self.pid(name))
            if daemon in respond:
                wait(f"an answer of {daemon}", lambda name=daemon: answers(*self.words(*respond[name])))

    def end(self, *daemons: str) -> None:
        """Stop daemons in good order: all at once, then wait for each."""
        pids = [pid for daemon in daemons if (pid := self.pid(daemon))]
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
        for pid in pids:
            wait(f"process {pid} to end", lambda pid=pid: not alive(pid), 30)

    def lose(self, node: str) -> None:
        """Let a node die: its daemon and everything that runs on it, without a word to anybody.

        Stopped before they are killed: a step that outlived its processes would still report their end.
        """
        stopped = set()
        while new := self.processes(node) - stopped:
            for pid in new:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
            stopped |= new
        for pid in stopped:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def processes(self, node: str) -> set[int]:
        """Return a node's daemon, the steps it has started, and all that these have started."""
        parents, found = {}, set()
        log = str(self.folder / "log" / node)
        step = {f"SLURM_CLUSTER_NAME={self.site.name}".encode(), f"SLURMD_NODENAME={node}".encode()}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError):
                    parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                    # daemon and steps are told by their open log: a step puts its name over its environment
                    by_log = any(os.readlink(link) == log for link in (entry / "fd").iterdir())
                    # without cgroups what a killed job started may outlive it, with no parent that tells whose it was
                    if by_log or step <= set((entry / "environ").read_bytes().split(b"\0")):
                        found.add(int(entry.name))
        while children := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= children
        return {pid for pid in found if alive(pid)}

    def revive(self, node: str) -> None:
        self.begin(node)
        in_service = ("idle", "mixed", "allocated")  # jobs that waited for it may fill it at once
        wait(f"{node} in service", lambda: self.ask("sinfo", "-hN", "-n", node, "-o", "%T").split()[0] in in_service)

    def tasks(self, job: str) -> list[dict[str, str]]:
        """Return what the tasks of a job's steps found in their environment; its batch script is not among them."""
        paths = sorted((self.folder / "tasks").glob(f"{job}.[0-9]*"))
        return [dict(line.split("=", 1) for line in path.read_text().splitlines()) for path in paths]

    def status(self) -> str:
        names = ["munged", "mariadbd", "slurmdbd", "slurmctld", *self.site.nodes]
        lines = [f"{name} {'up' if self.pid(name) else 'down'}" for name in names]
        return "\n".join([*lines, self.ask("sinfo") if self.pid("slurmctld") else ""])


if __name__ == "__main__":
    action, *names = sys.argv[1:] or [""]
    if action not in ("start", "stop", "status") or not {*names} <= {*SITES}:
        sys.exit(__doc__)
    if reason := ready():
        sys.exit(reason)
    for name in names or [PRETENDED.name]:
        print(getattr(Cluster(SITES[name]), action)() or action)
