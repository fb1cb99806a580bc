"""The machines of a plan: of --cluster, of SLURM's partitions, of this machine."""

from types import SimpleNamespace

import pytest
from probes import HERE, NOTHING, job
from teachergrid.errors import BadInput
from teachergrid.planning import forecast, pools, requests
from teachergrid.slurm import nodes, partitions, scheduler


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


def likelihood(cell: str) -> requests.Request:
    one = job(cell=cell)
    return requests.Request(**{**one, "row": one["row"] | {"gpus": 1}})


FILE = """
partitions:
  cpu: {max_runtime: 1440}
  "a100,h100": {max_runtime: 1440, max_gpu: 4, available_gpu_models: [a100, h100]}
  h100: {max_runtime: "2-00:00:00", max_gpu: 8, available_gpu_models: [h100]}
  any: {max_gpu: 2}
"""
# two nodes with 4 a100, one with 8 h100 in both partitions, one of them drained, and a partition that the file does not list
SINFO = """\
n1|a100|idle|64000|gpu:a100:4|1-00:00:00|(null)
n2|a100|mixed|64000|gpu:a100:4|1-00:00:00|(null)
n3|h100|idle|64000|gpu:h100:8|2-00:00:00|(null)
n3|a100|idle|64000|gpu:h100:8|1-00:00:00|(null)
n4|h100|drained|64000|gpu:h100:8|2-00:00:00|(null)
n5|theirs|idle|64000|gpu:h200:8|infinite|(null)
""".splitlines()


def listed(tmp_path, text: str = FILE) -> list[partitions.Partition]:
    path = tmp_path / "partitions.yaml"
    path.write_text(text)
    return partitions.read(path)


def test_partitions_that_share_nodes(tmp_path):
    found = pools.of_partitions(listed(tmp_path), 200)
    assert {kind: pool.amount for kind, pool in found.items()} == {"cpu": 200, "a100": 4, "h100": 8, "gpu": 2}
    limits = {kind: pool.limit_s for kind, pool in found.items()}
    assert limits == {"cpu": 86400, "a100": 86400, "h100": 172800, "gpu": None}


def test_of_the_partitions_in_the_file_the_gpus_that_take_jobs_count_each_once(tmp_path):
    found = pools.of_partitions(listed(tmp_path), 200, nodes.parse(SINFO))
    # sinfo shows no partition `any`, so that the file's number stays
    assert {kind: pool.amount for kind, pool in found.items()} == {"cpu": 200, "a100": 8, "h100": 8, "gpu": 2}
    assert found["h100"].limit_s == 172800
    untyped = listed(tmp_path, "partitions: {a100: {max_gpu: 4}}")
    assert pools.of_partitions(untyped, 2, nodes.parse(SINFO))["a100"] == pools.Pool(8, None)


def slurm(monkeypatch, file, sinfo=SINFO, scontrol=(), jobs="200") -> pools.Cluster:
    """Return the cluster of a profile, with these answers of sinfo and scontrol."""

    def ask(*command):
        answer = {"sinfo": sinfo, "scontrol": scontrol}.get(command[0])
        if answer is None:
            raise scheduler.SlurmError(f"{command[0]}: not found")
        return "\n".join(answer)

    monkeypatch.setattr(scheduler, "ask", ask)
    args = SimpleNamespace(executor="slurm", jobs=jobs, cores=None, resources={}, slurm_partition_config=file)
    return pools.of_profile(args)


def test_the_file_says_which_partitions_count(tmp_path, monkeypatch):
    path = tmp_path / "partitions.yaml"
    path.write_text("partitions: {batch: {max_runtime: 60}, only_one: {max_gpu: 1, available_gpu_models: [h100]}}")
    found = slurm(monkeypatch, path)
    assert found.amounts() == {"cpu": 200, "h100": 1} and found.source == "SLURM's partitions"
    assert slurm(monkeypatch, path, sinfo=None).amounts() == {"cpu": 200, "h100": 1}
    path.write_text("partitions: {only_one: {max_gpus: 1}}")
    with pytest.raises(BadInput, match=r"partitions.yaml: partitions.only_one: unknown key 'max_gpus'"):
        slurm(monkeypatch, path)


def test_without_a_file_the_partitions_count_that_the_user_may_use(monkeypatch):
    scontrol = [
        "PartitionName=a100 PriorityTier=2 PreemptMode=OFF State=UP",
        "PartitionName=h100 PriorityTier=1 PreemptMode=CANCEL State=UP",
        "PartitionName=theirs PriorityTier=2 PreemptMode=OFF State=UP AllowGroups=nobody-of-us",
    ]
    # n3 lies in a100, too
    assert slurm(monkeypatch, None, scontrol=scontrol).amounts() == {"cpu": 200, "a100": 8, "h100": 8}
    only = [line for line in SINFO if not line.startswith("n3|a100")]
    assert slurm(monkeypatch, None, sinfo=only, scontrol=scontrol).amounts() == {"cpu": 200, "a100": 8}


def test_gpu_types_of_a_cluster_that_the_machines_do_not_have():
    """Guessed by name and marked; of one that says nothing only a job or a user that names it is refused."""
    cluster = pools.Cluster(
        {kind: pools.Pool(4) for kind in ("cpu", "h200", "a100_80gb", "mystery")}, 0, None, "SLURM's"
    )
    known, machines = pools.named(cluster, HERE, set())
    assert known.devices == {"a100_80gb": "a100", "mystery": "h100"} and machines.gpus == HERE.gpus
    assert [text.split(";")[0] for text in pools.told(known)] == [
        "GPU type a100_80gb: guessed (a100)",
        "GPU type mystery: guessed (unknown, counted as h100)",
    ]
    jobs = [likelihood("b/i__t")]
    assert forecast.forecast(jobs, known, None, NOTHING, machines).schedule
    by_name, machines = pools.named(cluster, HERE, pools.asked_for({"models": {"m": {"gpu_model": "mystery"}}}, None))
    with pytest.raises(BadInput, match="no GPU type 'mystery'; add it"):
        forecast.forecast(jobs, by_name, None, NOTHING, machines)
    assert forecast.pools_of({"gpus": 2, "gpu_model": "a100_80gb"}, known, None) == {"a100_80gb": "a100"}


def test_a_slice_of_a_gpu_has_its_part_of_all():
    cluster = pools.Cluster({"a100_1g.10gb": pools.Pool(7), "cpu": pools.Pool(8)}, 0, None, "SLURM's")
    known, machines = pools.named(cluster, HERE, set())
    assert machines.device("a100_1g.10gb").memory_gb == 10 and known.guessed == {"a100_1g.10gb": "1/7 of a100"}


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
    # what a job asks for counts where it is less: 24, 48 and 48 hours are too few for 130 hours
    asks = [3600 * hours for hours in (24, 48, 72)]
    found = pools.too_long({"h100": 130 * 3600}, 8, pools.parse("h100=64@48h"), asks)
    assert found == pools.TooLong(130, "h100", 24, 4, asks=True) and "and asks SLURM for 24 h" in found.text(
        "generate", 2
    )
    assert pools.too_long({"h100": 110 * 3600}, 8, pools.parse("h100=64@48h"), asks).attempts == 3
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
