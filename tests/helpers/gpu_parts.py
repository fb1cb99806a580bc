"""The parts of tests/gpu_check.py: random models of stated sizes, the job that each part probes, and what it compares.

A part compares in a process of its own: python tests/helpers/gpu_parts.py PART FOLDER SHAPE small|whole
"""

import json
import random
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

# billions of parameters, and the shape: those of Qwen 2.5, as a Llama, with a vocabulary of VOCABULARY
SHAPES = {
    "tiny": (0.001, (64, 2, 2, 2, 128)),
    "0.5b": (0.6, (896, 24, 14, 2, 4864)),
    "1.5b": (1.7, (1536, 28, 12, 2, 8960)),
    "7b": (7.5, (3584, 28, 28, 4, 18944)),
}
KEYS = ("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "intermediate_size")
VOCABULARY, POSITIONS = 128_000, 8192
# GB of GPU memory for a billion parameters: frozen float32 weights under an adapter; and all weights with Adam's state
ADAPTER_GB, FULL_GB = 7, 24
DISK_GB = 10  # for a billion parameters of the largest model: it, and a student of it
RECIPES = Path(__file__).parents[2] / "config/recipes"
CHAT = {"template": "own", "template_args": {}, "system": None, "plain": "{question}\n"}
SMALL_RECIPE = {"max_length": 256, "gradient_accumulation_steps": 2, "dtype": "float32", "learning_rate": 0.01}


def largest(device: str, small: bool, folder: Path) -> dict[str, str]:
    """Return {part: name of a shape}: the largest models that the GPU and the disk hold."""
    if small:
        return dict.fromkeys(PARTS, "tiny")
    memory = 0.0
    if device == "cuda":
        import torch

        memory = torch.cuda.get_device_properties(0).total_memory / 1e9
    disk = shutil.disk_usage(folder).free / 1e9

    def fitting(gb: float) -> str:
        held = [name for name, (size, _) in SHAPES.items() if size * gb <= memory and size * DISK_GB <= disk]
        return held[-1] if held else "tiny"

    big, full = fitting(ADAPTER_GB), fitting(FULL_GB)
    middle = min(big, "1.5b", key=lambda name: SHAPES[name][0])
    return {part: {"sft": full, "armorm": middle}.get(part, big) for part in PARTS}


def model(folder: Path, shape: str, device: str, armorm: bool = False) -> None:
    """Write a Llama of a shape with random weights, and its tokenizer. ArmoRM and tiny ones are in float32, others in bfloat16."""
    import armorm_models
    import tiny
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    if folder.is_dir():
        return
    sizes = dict(zip(KEYS, SHAPES[shape][1], strict=True))
    if shape != "tiny":
        sizes["vocab_size"] = VOCABULARY
    if armorm:
        armorm_models.made(folder, positions=POSITIONS, **sizes)
        return
    words = tiny.tokenizer()
    words.model_max_length = POSITIONS
    sizes = {"vocab_size": len(words), "max_position_embeddings": POSITIONS} | sizes
    config = AutoConfig.for_model("llama", eos_token_id=words.eos_token_id, pad_token_id=words.pad_token_id, **sizes)
    torch.manual_seed(0)
    with torch.device(device):
        network = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, number_format(shape)))
    network.save_pretrained(folder)
    words.save_pretrained(folder)


def number_format(shape: str) -> str:
    return "float32" if shape == "tiny" else "bfloat16"


def entry(folder: Path, dtype: str) -> dict:
    """Return a model folder as an entry of the config's models."""
    from teachergrid.spec import schema

    return schema.filled({"repo": str(folder), "dtype": dtype}, schema.definition("model"))


def recipe(name: str, small: bool) -> dict:
    """Return a shipped recipe."""
    import yaml

    values = yaml.safe_load((RECIPES / f"{name}.yaml").read_text())
    return {key: value for key, value in values.items() if key != "about"} | (SMALL_RECIPE if small else {})


def spec(part: str, folder: Path, shape: str, small: bool) -> str:
    """Return the spec of a part's job: with the default settings, since most jobs have them."""
    from teachergrid.spec import canonical

    of_model = entry(folder, number_format(shape))
    if part == "scorer":
        return canonical.dump(
            model=of_model, base={"template": "own"}, likelihood={"batch_tokens": 512} if small else {}
        )
    if part == "armorm":
        return canonical.dump(model=of_model, reward={"head": "armorm"})
    if part in ("sft", "lora"):
        name = {"sft": "modern", "lora": "lora"}[part]
        return canonical.dump(model=of_model, base={"template": "own"}, recipe=recipe(name, small), seed=1)
    teacher = {"engine": "vllm" if part == "vllm" else "transformers", "sampling": {"max_tokens": 16} if small else {}}
    return canonical.dump(model=of_model, teacher=teacher | ({"batch": 4} if small else {}))


# --- comparisons. Each returns {name: number}; `bars` in tests/gpu_check.py judges some of them


def texts(number: int, small: bool) -> list:
    import sft_speed

    return sft_speed.corpus(number, 120 if small else 1024)


def seconds(work: Callable[[], object], times: int = 2) -> float:
    """Return the least seconds of some calls, the first of which is not counted."""
    import torch

    def clock() -> float:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter()

    work()
    best = float("inf")
    for _ in range(times):
        begun = clock()
        work()
        best = min(best, clock() - begun)
    return best


def scorer(folder: Path, shape: str, small: bool) -> dict:
    """Our pass with log-probabilities and ranks, against a bare forward over the same batches that makes logits and reads nothing."""
    import torch
    from teachergrid.models import loading
    from teachergrid.scoring import likelihood, logprobs
    from teachergrid.spec import schema

    options = schema.filled({"batch_tokens": 512} if small else {}, schema.definition("likelihood"))
    given = entry(folder, number_format(shape))
    tokenizer, network = loading.load_tokenizer(given, CHAT), loading.load_model(given)
    rows = texts(8 if small else 128, small)
    pairs = likelihood.tokenized_pairs(tokenizer, rows, CHAT, "chat", options["max_length"])
    ids = [ids for pair in pairs for ids in (pair.with_prompt, pair.without_prompt)]

    def bare() -> None:
        with torch.inference_mode():
            for batch in logprobs.batches([len(one) for one in ids], options["batch_tokens"]):
                width = len(ids[batch[0]])
                padded = [ids[i] + [0] * (width - len(ids[i])) for i in batch]
                network(input_ids=torch.tensor(padded, device=network.device), use_cache=False)

    tokens = sum(map(len, ids))
    ours = seconds(lambda: likelihood.score_rows(tokenizer, network, rows, CHAT, "chat", options))
    plain = seconds(bare)
    return {"tokens_per_s": tokens / ours, "bare_tokens_per_s": tokens / plain, "ratio": plain / ours}


def generation(folder: Path, _shape: str, small: bool) -> dict:
    """Greedy texts of our engine, in batches, against transformers' generate, one prompt at a time; both in float32."""
    import pyarrow as pa
    import torch
    from teachergrid.data import files, generate
    from teachergrid.models import chat, loading
    from teachergrid.spec import schema
    from teachergrid.store import artifacts

    given, tokens = entry(folder.parent / "parity", "float32"), 16 if small else 64
    asked = [messages for messages, _ in texts(6, small)]
    rows = [{"id": files.message_id(m), "messages": m, "source": "check", "round": 0} for m in asked]
    made = artifacts.table(rows, artifacts.INSTRUCTIONS)
    teacher = schema.filled({"sampling": {"max_tokens": tokens}, "batch": 3}, schema.definition("teacher"))
    work = folder.parent / "generated"
    ours = generate.respond(made, {"teacher": teacher, "model": given}, work).table
    tokenizer, network = loading.load_tokenizer(given, CHAT), loading.load_model(given)
    alone = []
    for messages in asked:
        ids = torch.tensor([chat.prompt(tokenizer, messages, CHAT).ids], device=network.device)
        with torch.inference_mode():
            said = network.generate(ids, max_new_tokens=tokens, do_sample=False, attention_mask=torch.ones_like(ids))
        alone.append(tokenizer.decode(said[0, ids.shape[1] :], skip_special_tokens=True))
    by_id = dict(zip(ours["id"].to_pylist(), ours["response"].to_pylist(), strict=True))
    equal = [by_id[row["id"]] == text for row, text in zip(rows, alone, strict=True)]
    assert isinstance(ours, pa.Table)
    return {"rows": len(equal), "equal": sum(equal) / len(equal)}


def armorm(folder: Path, _shape: str, _small: bool) -> dict:
    """The head's scores, in a batch, against the published formula in float64 from the hidden states on."""
    import armorm_models
    from rated_rows import instruction_set, response_table, scored

    questions = {"q0": "sort q0", "q1": "sort q1", "q2": "sort q2"}  # as instruction_set writes them
    answers = ["the sum of the list", "red bear " * 60, "7"]
    asked = instruction_set(**dict.fromkeys(questions))
    given = entry(folder, "float32")
    table = scored(
        given, folder.parent / "scores", response_table(*zip(questions, answers, strict=True)), asked, head="armorm"
    )
    want = armorm_models.by_formula(given, list(zip(questions.values(), answers, strict=True)))
    got = table["reward"].to_pylist()
    return {
        "rows": len(got),
        "largest_difference": max(abs(a - b) / max(1, abs(b)) for a, b in zip(got, want, strict=True)),
    }


def sft(folder: Path, _shape: str, small: bool) -> dict:
    """Tokens per second of packed SFT with all weights, ours and a bare TRL script's, by turns; the better run of each counts."""
    import sft_speed
    import torch
    from teachergrid.models import chat, loading
    from teachergrid.spec import schema

    given = entry(folder, "float32")
    settings = schema.filled(recipe("modern", small) | {"num_train_epochs": 1}, schema.definition("recipe"))
    rows = texts(24 if small else 640, small)
    tokenizer = loading.load_tokenizer(given, CHAT)
    tokens = sum(len(chat.example(tokenizer, *row, CHAT).input_ids) for row in rows)
    best: dict[str, float] = {}
    for _ in range(2):
        for name, train in (("ours", sft_speed.ours), ("bare", sft_speed.bare)):
            clock = train(given, rows, settings, folder.parent / "sft-work")
            shutil.rmtree(folder.parent / "sft-work", ignore_errors=True)
            best[name] = min(best.get(name, float("inf")), clock.wall)
    peak = {"gpu_gb": torch.cuda.max_memory_reserved() / 1e9} if torch.cuda.is_available() else {}
    speed = {"tokens_per_s": tokens / best["ours"], "bare_tokens_per_s": tokens / best["bare"]}
    return {**speed, "ratio": best["bare"] / best["ours"], **peak}


def lora(folder: Path, _shape: str, small: bool) -> dict:
    """A LoRA student: its merged weights against its base with the adapter that was kept, by log-probabilities of one text."""
    import sft_speed
    import torch
    from teachergrid.models import loading
    from teachergrid.spec import schema
    from teachergrid.training import adapters, sft
    from teachergrid.training.training import Training

    given, work = entry(folder, "float32"), folder.parent / "lora-work"
    changes = {"num_train_epochs": 1, "dtype": "float32"} | ({} if small else {"max_length": 1024})
    settings = schema.filled(recipe("lora", small) | changes, schema.definition("recipe"))
    rows = texts(24 if small else 64, small)
    clock = sft_speed.Clock()
    trained = sft.train(Training(rows, CHAT, given, settings, 1, work), callbacks=[clock])
    ids = torch.tensor([list(range(5, 60))])

    def logprobs(network) -> torch.Tensor:
        with torch.inference_mode():
            return network(ids.to(network.device)).logits.log_softmax(-1).float().cpu()

    merged = logprobs(loading.load_model(given, dtype="float32", folder=trained.final))
    again = logprobs(adapters.merged(given, trained.final / loading.ADAPTER))
    base = logprobs(loading.load_model(given, dtype="float32"))
    apart, moved = ((one - merged).abs().max().item() for one in (again, base))
    tokens = trained.facts["trained_tokens"]
    return {"trained_tokens_per_s": tokens / clock.wall, "merged_difference": apart, "moved_by_training": moved}


PARTS: dict[str, Callable[[Path, str, bool], dict]] = {
    "scorer": scorer,
    "sft": sft,
    "lora": lora,
    "generation": generation,
    "armorm": armorm,
    "vllm": lambda *_: {},
}


def main(part: str, folder: str, shape: str, size: str) -> None:
    """Compare, and print the result as the last line."""
    random.seed(0)
    print("\n" + json.dumps(PARTS[part](Path(folder), shape, size == "small")), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
