"""The machines of a plan: of --cluster, of SLURM's partitions, of this machine."""

from types import SimpleNamespace

import pytest
from teachergrid.errors import BadInput
from teachergrid.planning import forecast, pools


def test_cluster_of_an_option():
    found = pools.parse("h100=16,a100=32@48h,cpu=128", delay=5)
    assert found.amounts() == {"h100": 16, "a100": 32, "cpu": 128} and found.delay == 5
    assert found.pools["a100"].limit_s == 48 * 3600 and found.pools["h100"].limit_s is None
    assert pools.parse("h100=2").pools["cpu"].amount == 8


@pytest.mark.parametrize(
    "text",
    ["", "h100", "h100=0", "h100=-1", "h100=4@2", "h100:4", "h100=4,h100=8", "cpu=4,cpu=4", "cpu=0", "a100=2@0h"],
)
def test_mistakes_in_a_cluster(text):
    with pytest.raises(BadInput, match="say --cluster h100=16"):
        pools.parse(text)


def test_partitions_that_share_nodes():
    partitions = {
        "cpu": {"max_runtime": 1440},
        "a100,h100": {"max_runtime": 1440, "max_gpu": 4, "available_gpu_models": ["a100", "h100"]},
        "h100": {"max_runtime": "2-00:00:00", "max_gpu": 8, "available_gpu_models": ["h100"]},
        "any": {"max_gpu": 2},
    }
    found = pools.of_partitions(partitions, 30, 200)
    assert found.amounts() == {"cpu": 200, "a100": 4, "h100": 8, "gpu": 2}
    limits = {kind: pool.limit_s for kind, pool in found.pools.items()}
    assert limits == {"cpu": 86400, "a100": 86400, "h100": 172800, "gpu": None}


def test_a_job_longer_than_every_partition_allows():
    two = pools.parse("h100=16@24h,a100=8@48h")
    assert pools.too_long({"h100": 86000, "a100": 300000}, 8, two) is None
    # 90 h in parts of 24 h
    found = pools.too_long({"h100": 90 * 3600, "a100": 200 * 3600}, 8, two)
    assert found == pools.TooLong(90, "h100", 24, 4)
    told = found.text("generate", retries=2)
    assert told.startswith("takes 90 h on h100, where the time limit is 24 h: set `retries: 3` in the profile")
    assert told.endswith("4 smaller instruction sets")
    assert found.text("finetune", retries=3).endswith("goes on from its last checkpoint, in 4 parts")
    # a100 has no 16 GPUs, so that its 48 hours do not count
    assert pools.too_long({"h100": 30 * 3600, "a100": 40 * 3600}, 16, two).kind == "h100"


def test_this_machine():
    """A machine without a GPU runs all on its CPUs; a profile that states GPUs plans for the machine that has them."""
    job, stated = {"gpus": 2, "gpu_model": "h100"}, {"gpu": SimpleNamespace(value=4)}

    def here(resources, gpus):
        return pools.of_profile(SimpleNamespace(executor="local", cores=2, jobs=None, resources=resources), None, gpus)

    laptop = here({}, {})
    assert laptop.amounts() == {"cpu": 2} and "no GPU" in laptop.source
    assert forecast.pools_of(job, laptop, None) == {"cpu": "cpu"}
    assert forecast.pools_of(job, laptop, "a100") == {"h100": "h100"}  # asked what it would take there
    assert here({}, {"l4": 2}).amounts() == {"cpu": 2, "l4": 2}
    assert here(stated, {}).amounts() == {"cpu": 2, "gpu": 4}
    assert here(stated, {"l4": 8}).amounts() == {"cpu": 2, "l4": 4}
