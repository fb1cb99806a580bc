"""How fast jobs are without any measurement: published runs on an H100, and how GPUs share the work."""

import pytest
from teachergrid.cost import throughput, workload
from teachergrid.spec import canonical
from work_rows import HERE, MODEL, generation, likelihood, sft


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


# output tokens a second and GPU of vLLM on an H100: datatrove's benchmark (tuned; gemma-3-27b on 2 GPUs), LambdaLabsML's (70 B
# in FP8), and classes of sizes. Models with experts and the oldest vLLM's 8 B are left out. (billions, GPUs that share it, bytes)
GENERATION = [
    (0.6, 1, 2, 14_069), (1.0, 1, 2, 16_762), (1.7, 1, 2, 12_313), (4.0, 1, 2, 8_086), (4.3, 1, 2, 9_253), (8.2, 1, 2, 6_443),
    (12.2, 1, 2, 2_999), (14.8, 1, 2, 4_549), (27.4, 2, 2, 1_724), (32.8, 1, 2, 2_078), (70.6, 2, 1, 864), (70.6, 4, 1, 561),
    (70.6, 8, 1, 322), (70.6, 2, 2, 445), (405.9, 8, 1, 150), (3.0, 1, 2, 8_000), (8.0, 1, 2, 6_300), (14.0, 1, 2, 4_400),
    (30.0, 1, 2, 1_875),
]  # fmt: skip


@pytest.mark.parametrize(("billions", "share", "size", "published"), GENERATION)
def test_tokens_by_vllm(billions, share, size, published):
    # the published rates are those of the engine while it is full
    found = 1 / throughput.token(billions, size, share, HERE.device("h100")) / throughput.FULL
    assert published / 1.6 < found < published * 1.6


def test_a_serving_engine_on_other_devices():
    row = generation(8.0, engine="vllm")
    assert 2 < speed("generate", row) / speed("generate", row, "a100") < 3.2
    assert speed("generate", row) > 5 * speed("generate", generation(8.0))
    # copies side by side where one fits a GPU; else as few share one as it fits on
    assert speed("generate", row | {"gpus": 4}) == pytest.approx(speed("generate", row))
    large = generation(70.0, 4, engine="vllm")
    assert speed("generate", large) == pytest.approx(1 / throughput.token(70.0, 2, 4, HERE.device("h100")))
    tiny = generation(0.00094, engine="vllm", model=MODEL | {"dtype": "float32"})
    # on a CPU: 800 prompts of the embedded demo, a model of 1 M parameters, 4,500 to 7,000 tokens a second
    assert 4_000 < speed("generate", tiny, "cpu") < 8_000


def test_an_engine_that_nobody_measured_costs_as_much_as_transformers():
    assert throughput.decoder("new") == throughput.decoder("transformers") == throughput.decoder(None)


@pytest.mark.parametrize("engine", ["transformers", "vllm"])
def test_a_judge_reads_much_and_writes_little(engine):
    """805 pairs of answers of 500 tokens: at 8 B parameters and 45 % of an H100's 989 TFLOP/s their prompts take 805 x 1,260 x 16e9 FLOP."""
    judge = {"protocol": "alpaca_eval2", "engine": engine, "sampling": {"max_tokens": 1}}
    spec = canonical.dump(model=MODEL, judge=judge)
    row = {"spec": spec, "parameters": 8.0, "gpus": 1, "nodes": 1, "rows": 805, "asked": 1_260}
    work = workload.of_row("ask", row)
    read = 805 * 1_260 * 16e9 / (0.45 * HERE.device("h100").bf16_tflops * 1e12)
    found = throughput.seconds(work, HERE.device("h100")).work
    assert read < found < 1.5 * read
    assert throughput.seconds(work._replace(read=2_520), HERE.device("h100")).work == pytest.approx(found + read)
