"""What machines can do and cost: the file in config/, a user's over it, and what is wrong with one."""

import pytest
from teachergrid.cost import machines
from teachergrid.errors import BadInput


def written(tmp_path, text: str) -> str:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return str(path)


def test_money_and_energy_by_hand(tmp_path):
    mine = machines.read(
        written(tmp_path, "gpus: {h100: {usd_per_hour: 2, watts: 700}}\napis: {m: {usd_in: 1, usd_out: 4, date: 2025}}")
    )
    assert mine.usd("h100", 10) == 20
    assert mine.kwh("h100", 10) == pytest.approx(machines.EFFORT * 7)
    assert mine.apis["m"] == machines.Api(1, 4, "2025")
    # the rest of the entry, and of the file, stays
    assert mine.device("h100").memory_gb == 80 and mine.device("a100") == machines.read().device("a100")


def test_unknown_is_none_and_never_zero(tmp_path):
    mine = machines.read(written(tmp_path, "gpus: {h100: {usd_per_hour: null, watts: null}}"))
    assert mine.usd("h100", 10) is None and mine.kwh("h100", 10) is None
    assert mine.electricity_usd_per_kwh is None


def test_a_gpu_of_ones_own(tmp_path):
    text = "gpus: {mi300x: {memory_gb: 192, bf16_tflops: 1307, fp32_tflops: 163, bandwidth_gbs: 5300}}"
    mine = machines.read(written(tmp_path, text))
    assert mine.device("mi300x").memory_gb == 192 and mine.usd("mi300x", 1) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gpus: {x1: {memory_gb: 10}}", "gpus.x1: bf16_tflops, fp32_tflops, bandwidth_gbs is missing"),
        ("gpus: {h100: {usd_per_hour: cheap}}", "gpus.h100.usd_per_hour: 'cheap' is not a number"),
        ("gpus: {h100: {usd_per_hour: -1}}", "gpus.h100.usd_per_hour: -1 is not a number"),
        ("gpus: {h100: {memory: 80}}", "gpus.h100: unknown key 'memory', did you mean 'memory_gb'?"),
        ("gpus: {h100: {usd_per_hour: .nan}}", "gpus.h100.usd_per_hour: nan is not a number"),
        ("gpus: {h100: {memory_gb: .inf}}", "gpus.h100.memory_gb: inf is not a number"),
        (
            "gpus:\n  h100: {memory_gb: 1}\n  h100: {memory_gb: 2}",
            ", line 3: machines.gpus.h100 is stated a second time",
        ),
        ("gpus: [h100]", "gpus holds ['h100']"),
        ("gpu: {}", "unknown key 'gpu', did you mean 'gpus'?"),
        ("electricity_usd_per_kwh: free", "electricity_usd_per_kwh: 'free' is not a number"),
        ("just words", "is not a mapping"),
        ("a: [", "cannot read machines"),
    ],
)
def test_bad_files(tmp_path, text, said):
    with pytest.raises(BadInput) as error:
        machines.read(written(tmp_path, text))
    assert said in str(error.value) and "mine.yaml" in str(error.value)


def test_unknown_names(tmp_path):
    with pytest.raises(BadInput, match=r"no GPU type 'h10'.*did you mean 'h100'.*--machines"):
        machines.read().device("h10")
    with pytest.raises(BadInput, match="cannot read machines"):
        machines.read(str(tmp_path / "none.yaml"))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H100 NVL", "h100_nvl"),
        ("NVIDIA H200", "h200"),
        ("NVIDIA A100-SXM4-80GB", "a100"),
        ("NVIDIA A100-PCIE-40GB", "a100_40gb"),
        ("Tesla V100-SXM2-32GB", "v100"),
        ("Tesla T4", "t4"),
        ("NVIDIA GeForce RTX 4090", "rtx_4090"),
        ("NVIDIA RTX A6000", "a6000"),
        ("NVIDIA GH200 480GB", "gh200"),
        ("nvidia_h100_80gb_hbm3", "h100"),
        ("NVIDIA Unheard 9", "unheard_9"),
    ],
)
def test_a_device_by_its_own_name(name, kind):
    assert machines.type_of(name, machines.read().gpus) == kind


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("a100_80gb", "a100", "a100"),
        ("nvidia_h100_80gb_hbm3", "h100", "h100"),
        ("nvidia_a100-sxm4-80gb", "a100", "a100"),
        ("nvidia_a100-sxm4-40gb", "a100_40gb", "a100_40gb"),
        ("tesla_v100", "v100", "v100"),
        ("rtx_a6000", "a6000", "a6000"),
        ("h200_nvl", "h200", "h200"),
        ("v100_16gb", "v100_16gb", "v100 with 16 GB"),
        ("a100_3g.40gb", "a100_3g.40gb", "3/7 of a100"),
        ("nvidia_a100_80gb_pcie_1g.10gb", "nvidia_a100_80gb_pcie_1g.10gb", "1/7 of a100"),
        ("unheard_40gb", "a100_40gb", "a100_40gb, the nearest by memory"),
    ],
)
def test_types_of_a_cluster_are_guessed_by_their_names(name, kind, words):
    guess = machines.read().guess(name)
    assert (guess.type, guess.words) == (kind, words)


def test_a_slice_and_a_smaller_card_have_their_own_memory():
    known = machines.read()
    whole, part = known.device("a100"), known.guess("a100_3g.40gb").device
    assert part.memory_gb == 40 and part.bf16_tflops == pytest.approx(whole.bf16_tflops * 3 / 7)
    assert part.bandwidth_gbs == whole.bandwidth_gbs / 2 and part.usd_per_hour == pytest.approx(1.6 * 3 / 7)
    small = known.guess("v100_16gb").device
    assert small.memory_gb == 16 and small.bf16_tflops == known.device("v100").bf16_tflops


@pytest.mark.parametrize("name", ["a30", "l40", "mi250", "p100", "1g.10gb", "k80"])
def test_no_other_card_is_named_in_its_place(name):
    assert machines.read().guess(name) is None
    with pytest.raises(BadInput) as error:
        machines.read().device(name)
    assert "did you mean" not in str(error.value)
