"""The clusters of the tests, as data. slurm_cluster.py starts them."""

import os
from dataclasses import dataclass
from typing import NamedTuple

GPUS = 4  # of each node that has some


class User(NamedTuple):
    """A user of a cluster that exists in that cluster's view of the machine only (slurm_view.py)."""

    name: str
    uid: int


@dataclass(frozen=True)
class Site:
    """One cluster.

    name: SLURM's name for it. folder: of its files and sockets. port: the first of its ports: controller, database, and from the
    tenth on the nodes. nodes: node -> type of its GPUs. options, partitions: lines of slurm.conf. associations: what `sacctmgr add`
    is told, in this order. users, group: who runs jobs; no user: root does, and SLURM is set up in the machine's own /etc/slurm.
    drained: nodes that take no job.
    """

    name: str
    folder: str
    port: int
    nodes: dict[str, str | None]
    options: str
    partitions: str
    associations: tuple[str, ...]
    users: tuple[User, ...] = ()
    group: User | None = None
    drained: tuple[str, ...] = ()

    @property
    def types(self) -> list[str]:
        return sorted({gpu for gpu in self.nodes.values() if gpu})


FOLDER = os.environ.get("PRETENDED_SLURM", "/tmp/pretended-slurm")
PORT = int(os.environ.get("PRETENDED_SLURM_PORT", 17100))

PRETENDED = Site(
    name="pretended",
    folder=FOLDER,
    port=PORT,
    # jobs are preempted on p1 and p2, and d1 to d3 die: apart from the others, so that several tests can disturb their own jobs
    # at the same time
    nodes={"cpu1": None, "a1": "a100"} | dict.fromkeys(("h1", "h2", "p1", "p2", "d1", "d2", "d3"), "h100"),
    options="""\
DefMemPerCPU=1000
AccountingStorageEnforce=associations
AccountingStoreFlags=job_comment
""",
    partitions="""\
PartitionName=cpu              Nodes=cpu1  MaxTime=1-0  PriorityTier=10 PreemptMode=OFF Default=YES
PartitionName=gpu-a100         Nodes=a1    MaxTime=1-0  PriorityTier=10 PreemptMode=OFF
PartitionName=gpu-h100         Nodes=h1,h2 MaxTime=2-0  PriorityTier=10 PreemptMode=OFF
PartitionName=gpu-h100-preempt Nodes=p1,p2 MaxTime=12:0:0 PriorityTier=1  PreemptMode=REQUEUE
PartitionName=gpu-h100-cancel  Nodes=p1,p2 MaxTime=12:0:0 PriorityTier=1  PreemptMode=CANCEL
PartitionName=gpu-h100-high    Nodes=p1,p2 MaxTime=12:0:0 PriorityTier=20 PreemptMode=OFF
PartitionName=gpu-h100-frail   Nodes=d1,d2,d3 MaxTime=12:0:0 PriorityTier=10 PreemptMode=OFF
""",
    associations=("cluster pretended", "account teachergrid", "user root account=teachergrid"),
)

ALICE, BOB = User("tg-alice", 61001), User("tg-bob", 61002)

# As other sites are: what the first one is not. SLURM's defaults where sites seldom change them: a job that fits no partition waits
# (EnforcePartLimits), and comments are not stored (AccountingStoreFlags). An account and a QOS are needed.
HPC1 = Site(
    name="hpc1",
    folder=f"{FOLDER}-hpc1",
    port=PORT + 100,
    nodes={"c1": None, "c2": None, "ga1": "a100_80gb", "gh1": "h200", "gh2": "h200"},
    options="""\
DefMemPerCPU=500
EnforcePartLimits=NO
PrivateData=usage,users
AccountingStorageEnforce=associations,limits,qos
""",
    partitions="""\
PartitionName=batch     Nodes=c1,c2       MaxTime=60 PriorityTier=10 PreemptMode=OFF Default=YES
PartitionName=gpu-long  Nodes=ga1,gh1     MaxTime=UNLIMITED PriorityTier=10 PreemptMode=OFF
PartitionName=gpu_short Nodes=ga1,gh1,gh2 MaxTime=60 PriorityTier=20 PreemptMode=OFF
PartitionName=preempt   Nodes=c2,ga1,gh1  MaxTime=UNLIMITED PriorityTier=1 PreemptMode=CANCEL
PartitionName=debug     Nodes=c1          MaxTime=2  PriorityTier=10 PreemptMode=OFF
PartitionName=vip       Nodes=c2          MaxTime=25 PriorityTier=10 PreemptMode=OFF AllowAccounts=guests
PartitionName=closed    Nodes=c2          MaxTime=24 PriorityTier=10 PreemptMode=OFF State=DOWN
""",
    associations=(
        "cluster hpc1",
        "qos research",
        "account nlp-lab",
        "account guests",
        *(f"user {user.name} account=nlp-lab qos=research defaultqos=research" for user in (ALICE, BOB)),
    ),
    users=(ALICE, BOB),
    group=User("tg-lab", 61000),
    drained=("gh2",),
)

SITES = {site.name: site for site in (PRETENDED, HPC1)}
