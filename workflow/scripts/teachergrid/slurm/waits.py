"""Why a job waits: squeue's reason (%r) in words, and what to do about those that never end by themselves."""

import re
from typing import NamedTuple


class Wait(NamedTuple):
    """What a reason means. stuck: it does not end by itself. remedy: what to do; "" where waiting is enough."""

    stuck: bool
    means: str
    remedy: str


CANCEL = "cancel the job (`scancel`) and run again"
# The first pattern that matches decides. The reasons are those of SLURM 20 to 24; some print a sentence instead of a word.
REASONS = [
    (
        r"PartitionTimeLimit",
        Wait(
            True,
            "it asks for more time than its partition gives",
            f"lower this rule's `runtime` under `set-resources`, or list a partition that gives more in partitions.yaml; {CANCEL}",
        ),
    ),
    (
        r"PartitionNodeLimit|PartitionConfig",
        Wait(
            True,
            "it asks for more nodes than its partition gives",
            f"fewer `nodes`, or another partition in partitions.yaml; {CANCEL}",
        ),
    ),
    (
        r"account not permitted|InvalidAccount|AccountNotAllowed",
        Wait(
            True,
            "its account may not use the partition",
            f"another `slurm_account`, or take the partition out of partitions.yaml; {CANCEL}",
        ),
    ),
    (
        r"QOS not permitted|InvalidQOS|QOSNotAllowed|group not permitted",
        Wait(
            True,
            "its QOS or group may not use the partition",
            f"another `qos`, or take the partition out of partitions.yaml; {CANCEL}",
        ),
    ),
    (
        r"PartitionDown|PartitionInactive",
        Wait(
            True,
            "the partition is closed",
            f"wait until the administrators open it, or take it out of partitions.yaml; {CANCEL}",
        ),
    ),
    (
        r"ReqNodeNotAvail",
        Wait(
            True,
            "the nodes that it needs are down, drained or reserved",
            f"see `sinfo -R` and `scontrol show reservation`; a time limit that ends before the reservation begins helps; else {CANCEL}",
        ),
    ),
    (
        r"BadConstraints",
        Wait(True, "no node has what it asks for", f"check `constraint`, `gpu_model`, `gpus` and `mem_mb`; {CANCEL}"),
    ),
    (
        r"(Assoc|QOS)\w*Minutes",
        Wait(
            True,
            "the budget of its account or QOS is used up",
            f"another `slurm_account`, or ask for more (`sshare`, `sacctmgr show assoc`); {CANCEL}",
        ),
    ),
    (
        r"(Assoc|QOS)Max\w*PerJob|(Assoc|QOS)MaxWall\w*|QOSMin\w*|MaxMemPerLimit|(Assoc|QOS)Max\w*PerNode",
        Wait(
            True,
            "it asks for more than its account or QOS gives one job",
            f"lower what the rule asks for under `set-resources`, or another `qos`; {CANCEL}",
        ),
    ),
    (
        r"JobHeld|held",
        Wait(
            True,
            "it is held",
            "`scontrol release ID`; where an administrator, or a failed start, holds it, ask the administrators",
        ),
    ),
    (r"DependencyNeverSatisfied", Wait(True, "it depends on a job that failed", CANCEL)),
    (
        r"(Assoc|QOS)\w*",
        Wait(
            False,
            "its account or QOS uses all that it may",
            "it starts when other jobs of the account or QOS end; if it never does, the limit is smaller than the job",
        ),
    ),
]
KNOWN = [(re.compile(pattern, re.IGNORECASE), wait) for pattern, wait in REASONS]


def of(reason: str) -> Wait:
    """Return what a reason of squeue means; one that is not known here ends by itself."""
    return next((wait for pattern, wait in KNOWN if pattern.search(reason)), Wait(False, "", ""))
