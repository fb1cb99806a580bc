"""What sinfo says of the nodes: each once, its GPUs by type, and whether it takes jobs."""

import pytest
from teachergrid.slurm import nodes

# ga1 and gh1 lie in two partitions, gh2 is drained
LINES = """\
c1|batch|idle|16000|(null)|1:00:00|(null)
ga1|gpu-long|mixed|64000|gpu:a100_80gb:4(S:0-1)|infinite|a100
ga1|gpu_short|mixed|64000|gpu:a100_80gb:4(S:0-1)|1:00:00|a100
gh1|gpu-long|allocated|64000|gpu:h200:4|infinite|h200
gh1|gpu_short|allocated|64000|gpu:h200:4|1:00:00|h200
gh2|gpu_short|drained|64000|gpu:h200:4|1:00:00|h200
""".splitlines()


def test_each_node_counts_once_and_each_type_by_itself():
    found = nodes.parse(LINES)
    assert [node.name for node in found] == ["c1", "ga1", "gh1", "gh2"]
    assert found[1].limits == {"gpu-long": "infinite", "gpu_short": "1:00:00"} and found[1].features == ["a100"]
    assert nodes.usable_gpus(found, ["gpu-long", "gpu_short", "none"]) == {"a100_80gb": 4, "h200": 4}
    assert nodes.usable_gpus(found, ["batch"]) == {}


@pytest.mark.parametrize(
    ("gres", "gpus"),
    [
        ("(null)", {}),
        ("gpu:8", {"": 8}),
        ("gpu:h100:4(S:0-1)", {"h100": 4}),
        ("gpu:a100:4(S:0,2),gpu:l4:2,nvme:1", {"a100": 4, "l4": 2}),
        ("gpu:nvidia_a100-sxm4-80gb:8(S:0-7)", {"nvidia_a100-sxm4-80gb": 8}),
        ("gpu:a100_1g.10gb:7,shard:4", {"a100_1g.10gb": 7}),
        ("craynetwork:4,mygpu:3", {}),
    ],
)
def test_gpus_by_type(gres, gpus):
    assert nodes.gpus(gres) == gpus


@pytest.mark.parametrize(
    ("state", "usable"),
    [
        ("idle", True),
        ("mixed-", True),
        ("idle~", True),
        ("allocated", True),
        ("drained", False),
        ("draining@", False),
        ("down*", False),
        ("failing", False),
    ],
)
def test_states(state, usable):
    [node] = nodes.parse([f"n|p|{state}|1|(null)|infinite|(null)"])
    assert node.usable is usable
