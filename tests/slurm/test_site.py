"""The site's lines of profiles/slurm, from recorded answers of sinfo and scontrol."""

import pytest
from teachergrid.slurm import site

NODES = """\
cpu|infinite|128000+|(null)|10
gpu|2-00:00:00|512000|gpu:h100:4(S:0-1)|8
gpu|2-00:00:00|256000|gpu:a100_80gb:8,nvme:1|2
spare|12:30:00|512000|gpu:8|1
""".splitlines()
PARTITIONS = [
    "PartitionName=cpu PriorityTier=1 PreemptMode=OFF State=UP",
    "PartitionName=gpu PriorityTier=10 PreemptMode=REQUEUE State=UP",
    "PartitionName=spare PriorityTier=1 PreemptMode=REQUEUE State=UP",
]


def test_partitions_have_the_least_memory_of_their_nodes_and_all_gpus():
    assert site.partitions(NODES, site.preemptible(PARTITIONS)) == [
        "partitions:",
        "  cpu: {max_mem_mb: 128000}",
        "  gpu: {max_runtime: 2880, max_mem_mb: 256000, max_gpu: 48, available_gpu_models: [h100, a100_80gb]}",
        "  # preemptible (REQUEUE): spare: {max_runtime: 750, max_mem_mb: 512000, max_gpu: 8}",
    ]


@pytest.mark.parametrize(
    ("limit", "minutes"),
    [("30:00", 30), ("1:00:00", 60), ("2-00:00:00", 2880), ("1-12:30:00", 2190), ("0:30", 1), ("infinite", None)],
)
def test_time_limits_are_minutes(limit, minutes):
    assert site.minutes(limit) == minutes


def test_the_first_account_is_taken_and_the_others_are_named():
    assert site.accounts(["b|", "a|", "b|", "|"]) == ["  slurm_account: a", "  # or slurm_account: b"]
    assert site.accounts([]) == []
