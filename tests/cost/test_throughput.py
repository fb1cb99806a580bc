"""How fast jobs are without any measurement: published runs on an H100, and how GPUs share the work."""

import pytest
from teachergrid.cost import throughput, workload
from work_rows import HERE, generation, likelihood, sft


def speed(rule: str, row: dict, device: str = "h100") -> float:
    """Tokens of responses (SFT: of examples) a second and GPU, without the start."""
    job = workload.of_row(rule, row)
    tokens = job.rows * (job.written + (job.read if rule == "finetune" else 0)) * job.get("num_train_epochs", 1)
    return tokens / throughput.seconds(job, HERE.device(device)).work / row["gpus"]


@pytest.mark.parametrize(
    ("billions", "recipe", "published"),
    [
        (7, {"packing": True}, 6_500),  # OLMo-3-7B on 8 H100
        (3, {"packing": True}, 14_000),  # 2 to 4 B: 12,000 to 16,000
        (3, {"packing": True, "gradient_checkpointing": True}, 14_000),
        (8, {"packing": True}, 6_500),
    ],
)
def test_sft(billions, recipe, published):
    assert published / 1.6 < speed("finetune", sft(billions, **recipe)) < published * 1.6


def test_sft_of_other_kinds():
    # NeMo, 7 B: LoRA 24,824 against 16,891; unpacked TRL is 2 to 3 times slower than packed
    lora = speed("finetune", sft(7, lora={})) / speed("finetune", sft(7))
    assert 1.47 / 1.2 < lora < 1.47 * 1.2
    unpacked = speed("finetune", sft(3)) / speed("finetune", sft(3, packing=False))
    assert 2 / 1.2 < unpacked < 3 * 1.2


def test_an_a100_is_2_to_3_times_slower():
    assert 2 < speed("finetune", sft(7)) / speed("finetune", sft(7), "a100") < 3.2


def test_transformers_takes_no_gain_from_gpus():
    row = generation(7.0)
    assert speed("generate", row | {"gpus": 2}) == pytest.approx(speed("generate", row) / 2)


def test_copies_score_side_by_side_where_one_fits_a_gpu():
    def rows(billions, gpus):
        return throughput.seconds(
            workload.of_row("likelihood", likelihood(billions) | {"gpus": gpus}), HERE.device("h100")
        ).work

    assert rows(7.0, 4) == pytest.approx(rows(7.0, 1) / 4)
    assert rows(70.0, 4) == rows(70.0, 1), "140 GB of weights lie over all four, which take turns"


def test_likelihoods_read_as_fast_as_forward_passes_of_published_runs():
    # 8 B on an H100: 20,000 (three times as fast as training) to 31,000 (half of the peak) tokens a second
    job = workload.of_row("likelihood", likelihood(8.0, 100_000))
    tokens = job.rows * 2 * (job.read + 2 * job.written)
    assert 20_000 < tokens / throughput.seconds(job, HERE.device("h100")).work < 31_000


@pytest.mark.parametrize(("batch", "low", "high"), [(1, 1, 1), (2, 1.1, 1.4), (32, 2.6, 3.5), (128, 3.2, 4.5)])
def test_a_batch_lasts_as_long_as_its_longest_response(batch, low, high):
    assert low <= throughput.longest_of(batch) <= high


def test_metrics_of_100_000_rows():
    # 5.6 s of a core for the demo's 17 metrics, by tests/bench/bench_metrics.py
    job = workload.of_row("metric", {"rows": 100_000, "spec": "{}"})
    assert sum(throughput.seconds(job, HERE.cpu)) == pytest.approx(5.6, rel=0.1)
