"""What jobs ask for: more rows, a larger model and a further attempt ask for more, more GPUs for less time."""

import pytest
from teachergrid.cost import resources, throughput, workload
from teachergrid.spec import canonical
from work_rows import HERE, MODEL, generation

SPECS = {
    "generate": canonical.dump(model=MODEL, teacher={}),
    "answer": canonical.dump(model=MODEL, suite={"tasks": ["a"]}, tasks={"a": {}}),
    "likelihood": canonical.dump(model=MODEL, likelihood={}),
    "reward": canonical.dump(model=MODEL, reward={}),
    "finetune": canonical.dump(model=MODEL, recipe={}),
    "metric": "{}",
}
ROW = {"rows": 1_000, "tokens": 1_000, "parameters": 7.0, "gpus": 1, "gpu_model": "h100", "nodes": 1}


ROW |= {"spec": SPECS["generate"]}


def test_generation_by_hand():
    # batches of 32, each until its longest response of 2.9 x 1,500 tokens, or the 2,048 that are allowed; a token takes 3 ms and
    # 37 layers of 0.7 ms; meanwhile 14 GB of weights are read at 3,350 GB/s. GPUs that share a model take turns
    layers = 20 * 7**0.31
    assert 0.0007 * layers > 14 / 3350
    token = 0.0007 * layers + 0.003
    expected = 10 + 7 / 6 + resources.SLACK * 32 * 2048 * token / 60
    assert resources.need("generate", "runtime", ROW, 1) == pytest.approx(expected, abs=1)
    assert resources.need("generate", "runtime", ROW | {"gpus": 8}, 1) == resources.need("generate", "runtime", ROW, 1)
    assert resources.need("generate", "runtime", ROW | {"rows": 100_000}, 1) == resources.LONGEST


@pytest.mark.parametrize("rule", ["generate", "answer", "likelihood", "reward", "finetune", "metric"])
@pytest.mark.parametrize("resource", ["runtime", "mem_mb"])
def test_more_work_and_further_attempts_ask_for_more(rule, resource):
    row = ROW | {"spec": SPECS[rule]}
    first = resources.need(rule, resource, row, 1)
    assert resources.need(rule, resource, row, 2) >= 1.9 * first
    assert resources.need(rule, resource, row | {"rows": 20_000}, 1) > first
    if rule != "metric":
        assert resources.need(rule, resource, row | {"parameters": 70.0}, 1) > first


def test_sft_loads_a_model_in_each_process_of_a_node():
    one = resources.need("finetune", "mem_mb", ROW, 1)
    four = resources.need("finetune", "mem_mb", ROW | {"gpus": 4}, 1)
    assert four - one == pytest.approx(3 * 4_200 * 7, abs=3)
    assert resources.need("finetune", "mem_mb", ROW | {"gpus": 4, "nodes": 2}, 1) < four


def test_devices_do_not_grow_with_the_attempt_and_a_job_without_gpu_names_no_type():
    assert [resources.need("generate", name, ROW, 3) for name in ("gpu", "gpu_model", "nodes")] == [1, "h100", 1]
    assert resources.need("reward", "gpu_model", ROW | {"gpus": 0}, 1) is None


def test_on_several_nodes_the_gpus_of_each_are_asked_for():
    spread = ROW | {"nodes": 2, "gpus": 8, "deepspeed": "zero3"}
    asked = {
        name: resources.need("finetune", name, spread, 1) for name in ("gpu", "gpu_model", "nodes", "gres", "deepspeed")
    }
    assert asked == {"gpu": None, "gpu_model": None, "nodes": 2, "gres": "gpu:h100:4", "deepspeed": "zero3"}
    assert resources.need("finetune", "gres", spread | {"gpu_model": None}, 1) == "gpu:4"
    assert resources.gpus(asked) == 8 and resources.gpus({"gpu": 3}) == 3 and resources.gpus({}) == 0


def test_an_unknown_size_is_no_small_size():
    assert resources.need("generate", "mem_mb", ROW | {"parameters": None}, 1) > resources.need(
        "generate", "mem_mb", ROW, 1
    )


def test_the_time_asked_for_follows_from_the_throughput():
    row = generation(7.0, rows=1_000)
    long = workload.of_row("generate", row)
    seconds = throughput.seconds(long._replace(written=long.written / workload.MEAN), HERE.device("h100")).work
    assert resources.minutes("generate", row, 1) == pytest.approx(10 + 7 / 6 + resources.SLACK * seconds / 60, abs=1)


@pytest.mark.parametrize("gpus", [0, 1, 4])
def test_an_engine_with_processes_of_its_own_asks_for_more_memory(gpus):
    row = ROW | {"gpus": gpus}
    served = row | {"spec": canonical.dump(model=MODEL, teacher={"engine": "vllm"})}
    more = resources.need("generate", "mem_mb", served, 1) - resources.need("generate", "mem_mb", row, 1)
    assert more == 4_000 * max(gpus, 1)


def asking(**endpoint) -> dict:
    of = {"name": "my-api.eu", "usd_in": 1, "usd_out": 2, "requests_per_minute": None, "batch": False} | endpoint
    return ROW | {"gpus": 0, "gpu_model": None, "parameters": 0, "endpoint": of, "spec": OPENAI}


OPENAI = canonical.dump(model=MODEL | {"repo": None, "api": "m"}, teacher={"engine": "openai"})


def test_a_job_holds_the_resource_of_the_endpoint_that_it_asks():
    names = resources.named("generate", ["my-api.eu", "other"])
    assert {"endpoint_my_api_eu", "endpoint_other"} < {*names}
    held = {name: resources.need("generate", name, asking(), 1) for name in names}
    assert held["endpoint_my_api_eu"] == 1 and held["endpoint_other"] == 0 and held["gpu"] == 0
    assert resources.need("generate", "endpoint_other", ROW, 1) == 0


def test_a_job_that_asks_has_the_time_that_answers_and_limits_take():
    rows = 1_000
    # the longest responses, at 800 tokens a second
    answers = 20 + resources.SLACK * rows * 1_500 / 800 / 60
    assert resources.need("generate", "runtime", asking(), 1) == pytest.approx(answers, abs=1)
    limited = resources.need("generate", "runtime", asking(requests_per_minute=10), 1)
    assert limited == 20 + resources.SLACK * rows / 10
    assert resources.need("generate", "runtime", asking(batch=True), 1) == resources.LONGEST
