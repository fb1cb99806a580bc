"""What decides how long a job takes, as its spec and the config say it."""

import pytest
from teachergrid.cost import workload
from teachergrid.spec import canonical
from work_rows import generation, likelihood, sft


@pytest.mark.parametrize(
    ("rule", "cell", "expected"),
    [
        ("generate", "seed__large", ("generate", "seed__large")),
        ("answer", "q-raw/math", ("answer", "q-raw/math")),
        ("judge", "q-raw/math/rm", ("answer", "q-raw/math")),
        ("reward", "rm/seed__large", ("generate", "seed__large")),
        ("likelihood", "q/seed__large", ("generate", "seed__large")),
        ("finetune", "q__seed__large__sft__s1", ("generate", "seed__large")),
        # a corpus of several teachers, and a job without a model
        ("finetune", "q__best__sft__s1", None),
        ("metric", "q/seed__large", None),
    ],
)
def test_whose_responses_a_cell_reads(rule, cell, expected):
    assert workload.read_by(rule, cell) == expected


@pytest.mark.parametrize(
    ("repo", "dtype", "expected"),
    [
        ("org/large", "bfloat16", 2),
        ("org/large", "float32", 4),
        ("org/Large-FP8", "bfloat16", 1),
        ("org/large_w4a16", "bfloat16", 0.5),
        ("gptq/large", "bfloat16", 2),  # the name of the organisation says nothing
    ],
)
def test_bytes_of_a_weight(repo, dtype, expected):
    assert workload.bytes_per_weight({"repo": repo, "dtype": dtype}) == expected


def test_a_model_is_copied_to_each_gpu_that_holds_it_with_room_to_spare():
    small, large = (workload.of_row("likelihood", likelihood(size) | {"gpus": 4}) for size in (20.0, 40.0))
    assert workload.copies(small, 80) == 4 and workload.copies(large, 80) == 1
    assert workload.copies(large, 141) == 4 and workload.copies(small, None) == 1


def test_settings_are_those_that_move_the_speed():
    assert dict(workload.settings("generate", generation(7.0)["spec"])) == {
        "engine": "transformers",
        "batch": canonical.load(generation(7.0)["spec"])["teacher"]["batch"],
        "limit": 4096,
        "bytes": 2,
    }
    assert dict(workload.settings("finetune", sft(7.0, learning_rate=0.5)["spec"])) == dict(
        workload.settings("finetune", sft(7.0)["spec"])
    )
    assert workload.settings("metric", "{}") == ()


def test_an_unknown_size_is_a_usual_one():
    row = generation(None, model={"repo": "org/nowhere"})
    assert workload.parameters(row) == workload.UNKNOWN_PARAMETERS
    assert workload.parameters(generation(1.5)) == 1.5
