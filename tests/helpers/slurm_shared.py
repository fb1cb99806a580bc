"""Grids on a cluster with users of its own (slurm_sites.HPC1), in folders that these may share."""

import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from slurm_cluster import Cluster, output, wait
from slurm_grids import PATIENCE, Run, SlurmGrid
from slurm_sites import ALICE, User
from workspace import ENV

# what a job there may ask for: the lines that `teachergrid site` prints
PARTITIONS = {
    "batch": {"max_runtime": 60, "max_mem_mb": 256000},
    "gpu-long": {"max_mem_mb": 256000, "max_gpu": 4, "available_gpu_models": ["a100_80gb", "h200"]},
    "gpu_short": {"max_runtime": 60, "max_mem_mb": 256000, "max_gpu": 4, "available_gpu_models": ["a100_80gb", "h200"]},
}
# what the machine's own user has set is not theirs
KEPT = ("PATH", "LANG", "LC_ALL", "PYTHONPATH", "OMP_NUM_THREADS")


def other_types(config: dict) -> None:
    """Give the models GPUs that this cluster has. `large` needs the type that config/machines.yaml does not name."""
    for name, gpus, gpu_model in (
        ("small", 1, "h200"),
        ("large", 2, "a100_80gb"),
        ("whole", 4, "h200"),
        ("q", 1, None),
    ):
        config["models"][name] |= {"gpus": gpus, "gpu_model": gpu_model}


class SharedGrid(SlurmGrid):
    """A folder of one user, in which the group may do all that he may: group, setgid bit, umask 002.

    ids, said, ended: what a case notes for the tests: jobs, what was printed, commands that have ended.
    """

    def __init__(self, cluster: Cluster, folder: Path, faults: dict | None = None, resources: dict | None = None):
        self.cluster, self.folder = cluster, folder
        # of an earlier session, on a cluster that was left running
        if left := self.queue("%i"):
            cluster.ask("scancel", *left)
            wait("no job of an earlier session", lambda: not self.queue())
        shutil.rmtree(folder, ignore_errors=True)
        super().__init__(folder, faults, resources)
        self.ids: tuple[str, ...] = ()
        self.said: dict[str, str] = {}
        self.ended: dict[str, subprocess.CompletedProcess] = {}
        self.edit(other_types)
        self.partitions(PARTITIONS)
        self.belongs_to(ALICE)

    def profile(self, resources: dict) -> None:
        super().profile(resources)
        path = self.folder / "profiles/slurm/profile.yaml"
        path.write_text(path.read_text().replace("slurm_account: teachergrid", "slurm_account: nlp-lab"))

    def partitions(self, known: dict) -> None:
        (self.folder / "profiles/slurm/partitions.yaml").write_text(yaml.safe_dump({"partitions": known}))

    def belongs_to(self, user: User, mode: str = "g+rwX,o-w") -> None:
        """Give all that is in the folder to a user and the group."""
        folder = str(self.folder)
        subprocess.run(["chown", "-R", f"{user.uid}:{self.cluster.site.group.uid}", folder], check=True)
        subprocess.run(["chmod", "-R", mode, folder], check=True)
        subprocess.run(["find", folder, "-type", "d", "-exec", "chmod", "g+s", "{}", "+"], check=True)

    def run_as(self, user: User, *argv: str, **env: str) -> Run:
        """Start `teachergrid run`."""
        before = self.cluster.words("env", "-i", *variables(user, self.cluster, env), user=user, folder=self.folder)
        return Run(self.folder, *argv, before=before, umask=0o002)

    def submit_main(self, user: User, *options: str, argv: tuple[str, ...]) -> str:
        """Submit the main process as a job. Return its id."""
        before = self.cluster.words("env", "-i", *variables(user, self.cluster, {}), user=user, folder=self.folder)
        return output(*before, "sbatch", "--parsable", *options, "profiles/slurm/main.sh", *argv)

    def call_as(self, user: User, *argv: str, **env: str) -> subprocess.CompletedProcess:
        """Run `teachergrid COMMAND` to its end. Raises TimeoutExpired."""
        before = self.cluster.words("env", "-i", *variables(user, self.cluster, env), user=user, folder=self.folder)
        argv = [*before, sys.executable, "-m", "teachergrid", *argv]
        return subprocess.run(argv, capture_output=True, text=True, umask=0o002, stdin=subprocess.DEVNULL, timeout=900)

    def queue(self, format: str = "%i %T %k") -> list[str]:
        """Return a line for each waiting or running job of this folder, of all users."""
        lines = self.cluster.ask("squeue", "-h", "-t", "PD,R,CG", "-o", f"%Z|{format}").splitlines()
        found = (line.split("|", 1) for line in lines)
        return [rest for where, rest in found if Path(where) == self.folder]


def variables(user: User, cluster: Cluster, env: dict[str, str]) -> list[str]:
    own = {"HOME": f"{cluster.folder}/home/{user.name}", "USER": user.name, "LOGNAME": user.name}
    kept = {name: ENV[name] for name in KEPT if name in ENV}
    return [f"{name}={value}" for name, value in (kept | PATIENCE | own | env).items()]
