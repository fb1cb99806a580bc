"""The site's lines of profiles/slurm, from recorded answers of sinfo, scontrol and sacctmgr."""

import pytest
import yaml
from teachergrid.commands import site as command
from teachergrid.slurm import nodes, scheduler, site

NODES = [f"c{i}|cpu|idle|128000|(null)|infinite|(null)" for i in range(10)]
NODES += [f"h{i}|gpu|mixed|512000|gpu:h100:4(S:0-1)|2-00:00:00|h100,ib" for i in range(8)]
NODES += [f"a{i}|gpu|idle~|256000|gpu:a100_80gb:8,nvme:1|2-00:00:00|a100" for i in range(2)]
NODES += ["s1|spare|idle|512000|gpu:8|12:30:00|(null)"]
PARTITIONS = [
    "PartitionName=cpu PriorityTier=1 PreemptMode=OFF State=UP",
    "PartitionName=gpu PriorityTier=10 PreemptMode=REQUEUE State=UP",
    "PartitionName=spare PriorityTier=1 PreemptMode=REQUEUE State=UP",
]
ALICE = site.User(["nlp-lab"], ["lab"], ["research"])


def lines(found=NODES, known=PARTITIONS, user=ALICE) -> list[str]:
    return site.partitions(nodes.parse(found), site.marks(site.described(known), user))


def test_partitions_have_the_least_memory_of_their_nodes_and_the_gpus_of_the_largest():
    assert lines() == [
        "partitions:",
        "  cpu: {max_mem_mb: 128000}",
        "  gpu: {max_runtime: 2880, max_mem_mb: 256000, max_gpu: 8, available_gpu_models: [h100, a100_80gb]}",
        "  # preemptible (REQUEUE): spare: {max_runtime: 750, max_mem_mb: 512000, max_gpu: 8}",
    ]


def test_gpus_of_drained_nodes_do_not_count():
    found = [
        "gh1|long|idle|500|gpu:h200:4|infinite|(null)",
        "gh2|long|drained*|400|gpu:h200:4|infinite|(null)",
        "gh3|old|down|300|gpu:v100:4|infinite|(null)",
    ]
    assert lines(found, []) == [
        "partitions:",
        "  long: {max_mem_mb: 500, max_gpu: 4, available_gpu_models: [h200]}",
        "  # all nodes are down or drained: old: {max_mem_mb: 300, max_gpu: 4, available_gpu_models: [v100]}",
    ]


def test_a_type_with_a_hyphen_is_no_missing_gpu():
    model = "nvidia_a100-sxm4-80gb"
    entry, told = lines([f"g1|gpu|idle|512000|gpu:{model}:8|2-00:00:00|ampere,ib"], [])[1:]
    assert entry == "  gpu: {max_runtime: 2880, max_mem_mb: 512000, max_gpu: 8}"
    assert told.startswith(f"  # gpu: no job can ask for {model} by name, because of the hyphen")
    assert told.endswith("`constraint` (its nodes have ampere, ib)")


@pytest.mark.parametrize(
    ("name", "limit", "why"),
    [
        ("debug", "2:00:00", "for tests, by its name"),
        ("gpu-devel", "1-00:00:00", "for tests, by its name"),
        ("interactive", "infinite", "for tests, by its name"),
        ("quick", "30:00", "short: 30 min"),
        ("hour", "1:00:00", None),
        ("latest", "1:00:00", None),
    ],
)
def test_partitions_for_tests_are_comments(name, limit, why):
    [line] = lines([f"c1|{name}|idle|500|(null)|{limit}|(null)"], [])[1:]
    assert line.startswith(f"  # {why}: {name}: {{" if why else f"  {name}: {{")


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("State=DOWN", "State=DOWN"),
        ("State=INACTIVE", "State=INACTIVE"),
        ("AllowAccounts=guests,vips", "not for you: AllowAccounts=guests,vips"),
        ("AllowGroups=vips", "not for you: AllowGroups=vips"),
        ("AllowQos=high", "not for you: AllowQos=high"),
        ("DenyAccounts=nlp-lab,x", "not for you: DenyAccounts=nlp-lab,x"),
        ("AllowAccounts=nlp-lab AllowGroups=ALL AllowQos=research,high", None),
        ("DenyAccounts=others", None),
    ],
)
def test_partitions_that_the_user_may_not_use_are_comments(word, why):
    [known] = site.described([f"PartitionName=vip PriorityTier=1 PreemptMode=OFF {word}"])
    assert site.closed(known, ALICE) == why
    if word.startswith(("AllowA", "AllowQ", "Deny")):
        # without accounting nobody knows
        assert site.closed(known, site.User(None, ["lab"], None)) is None


@pytest.mark.parametrize(
    ("limit", "minutes"),
    [("30:00", 30), ("1:00:00", 60), ("2-00:00:00", 2880), ("1-12:30:00", 2190), ("0:30", 1), ("infinite", None)],
)
def test_time_limits_are_minutes(limit, minutes):
    assert site.minutes(limit) == minutes


def test_the_first_account_is_taken_and_the_others_are_named():
    known = site.associations(["b|||", "a|normal,long|normal|5|30", "b|||", "|"])
    assert known == [
        site.Association("a", ["normal", "long"], "normal", 5, 30),
        site.Association("b", [], "", None, None),
    ]
    assert site.default_resources(known)[:4] == [
        "default-resources:",
        "  slurm_account: a",
        "  # or slurm_account: b",
        "  # qos: normal  # or long",
    ]
    assert site.associations([]) == []


def test_the_block_can_take_the_place_of_the_one_that_is_there():
    before = {"slurm_account": "teachergrid", "cpus_per_gpu": 4, "mem_mb": "2000 * attempt", "constraint": "ib"}
    known = site.associations(["nlp-lab|research,long|||"])
    after = yaml.safe_load("\n".join(site.default_resources(known, {"default-resources": before})))["default-resources"]
    # a user without a default QOS has to name one
    assert after == before | {"slurm_account": "nlp-lab", "qos": "research", "runtime": "30 * attempt"}
    nobody = yaml.safe_load("\n".join(site.default_resources([], {"default-resources": before})))["default-resources"]
    assert nobody == before | {"runtime": "30 * attempt"}


def test_no_more_jobs_are_submitted_than_account_and_qos_allow():
    [one] = site.associations(["a|normal|normal|8|150"])
    assert site.jobs([one], {})[0].startswith("jobs: 150  # MaxSubmit of account a")
    assert site.jobs([one], {"normal": (4, 50)}) == [
        "jobs: 50  # MaxSubmit of QOS normal; fewer, if you have other jobs",
        "# no more than 4 jobs run at once (MaxJobs of normal); the others wait",
    ]
    assert site.jobs([one._replace(jobs=None, submitted=5000)], {}) == site.jobs([], {}) == []


def test_what_is_printed_is_yaml_of_two_files(monkeypatch, capsys, tmp_path):
    def ask(*command):
        if command[0] == "sinfo":
            return "\n".join(NODES)
        if command[0] == "scontrol":
            return "\n".join(PARTITIONS)
        if "qos" in command:
            return "normal|4|50\n"
        return "nlp-lab|normal|normal||\n"

    monkeypatch.setattr(scheduler, "ask", ask)
    monkeypatch.chdir(tmp_path)
    assert command.main() == 0
    first, second = (yaml.safe_load(part) for part in capsys.readouterr().out.split("# ---"))
    assert first == {"jobs": 50, "default-resources": {"slurm_account": "nlp-lab", **site.DEFAULTS}}
    assert [*second["partitions"]] == ["cpu", "gpu"]

    def no_accounting(*command):
        if command[0] == "sacctmgr":
            raise scheduler.SlurmError("sacctmgr: no slurmdbd")
        return ask(*command)

    monkeypatch.setattr(scheduler, "ask", no_accounting)
    assert command.main() == 0
    assert "  # no accounts known (sacctmgr: no slurmdbd)\n" in capsys.readouterr().out
