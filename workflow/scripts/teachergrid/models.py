"""Load tokenizers and models the same way everywhere, and name a model folder by what is in it."""

import hashlib
import json
import math
import os
import platform
import re
import sys
import sysconfig
from pathlib import Path

from . import pins
from .errors import BadInput
from .planning.work import MEMORY_FOR_WEIGHTS

# read when the libraries are imported; one thread unless said otherwise, since threads move the last bits
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what deterministic matrix products need on a GPU

ADAPTER = "adapter"  # in a student's folder, the LoRA adapter that its weights have merged in
POOLER = "pooler."  # of an encoder, which many are saved without and nothing here reads
CACHES = ["TORCH_EXTENSIONS_DIR", "TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "VLLM_CACHE_ROOT"]
# what decides a model's output; read-me files and training states do not
DECISIVE = (
    "*.safetensors *.safetensors.index.json pytorch_model*.bin pytorch_model.bin.index.json config.json "
    "generation_config.json tokenizer* *.model *.tiktoken vocab.* merges.txt added_tokens.json special_tokens_map.json "
    "chat_template* *.py"
)


def load_tokenizer(model: dict, talk: dict, folder=None):
    """Return the tokenizer of a model entry, with the talk's chat template in it and a padding token.

    folder: where it lies if not in model["repo"] (a student's). A missing template shows when a chat is rendered
    (chat.prompt raises BadInput), since the plain format needs none.
    Raises BadInput when there is no tokenizer, or none of the fast kind, whose offsets the question mask needs.
    """
    _quiet()
    from transformers import AutoTokenizer

    place, options = _place(model, folder)
    try:
        tokenizer = AutoTokenizer.from_pretrained(place, **options)
    except (OSError, ValueError) as error:
        raise BadInput(
            f"{place}: no tokenizer could be loaded ({_first_line(error)}); save it there with tokenizer.save_pretrained"
        ) from error
    if not tokenizer.is_fast:
        raise BadInput(
            f"{place}: only a slow tokenizer; save it as tokenizer.json (AutoTokenizer, then save_pretrained)"
        )
    if talk["template"] != "own":
        tokenizer.chat_template = talk["template"]
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token_id is None:
            raise BadInput(
                f"{place}: the tokenizer has neither pad_token nor eos_token; name one in tokenizer_config.json"
            )
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def copies(model: dict, talk: dict, kind: str = "causal") -> list[tuple]:
    """Return (tokenizer, model) of an entry as often as forward passes can run side by side.

    That is once for each visible GPU where the weights leave one room to work, else once, over all of them or on the CPU.
    """
    import torch

    memory = [torch.cuda.get_device_properties(i).total_memory for i in range(torch.cuda.device_count())]
    homes = _homes(memory, weight_bytes(model, kind) if len(memory) > 1 else 0)
    return [(load_tokenizer(model, talk), load_model(model, kind, device=device)) for device in homes]


def _homes(memory: list[int], weights: int) -> list[str | None]:
    """Return the device of each copy of so many bytes of weights on GPUs of this memory; None is one copy over all."""
    alone = len(memory) > 1 and weights <= MEMORY_FOR_WEIGHTS * min(memory)
    return [f"cuda:{i}" for i in range(len(memory))] if alone else [None]


def weight_bytes(model: dict, kind: str = "causal") -> int:
    """Return the bytes that the weights of an entry take once loaded, from its config alone."""
    import torch
    from transformers import AutoConfig

    place, options = _place(model, None)
    config = AutoConfig.from_pretrained(place, **options)
    with torch.device("meta"):
        empty = _loader(kind).from_config(
            config, dtype=getattr(torch, model["dtype"]), trust_remote_code=model["trust_remote_code"]
        )
    return sum(parameter.numel() * parameter.element_size() for parameter in empty.parameters())


def _loader(kind: str):
    from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification

    return {"causal": AutoModelForCausalLM, "reward": AutoModelForSequenceClassification, "encoder": AutoModel}[kind]


def load_model(
    model: dict,
    kind: str = "causal",
    folder=None,
    dtype: str | None = None,
    spread: bool = True,
    device: str | None = None,
):
    """Return the model of an entry in eval mode: on the GPU (spread over all that are visible) if there is one.

    kind: `causal`, `reward` (a sequence classifier with one output) or `encoder` (without any head). folder, dtype: in
    place of the entry's own; a folder whose weights were freed but for the adapter gives the entry's own model with the adapter merged in, in float32
    and then rounded as the freed weights were. spread: False leaves it on the CPU, for one of several processes that
    train it. device: one to put it on instead.
    Raises BadInput for a missing folder, a wrong digest, missing weights, weights that do not cover the model, and a model
    that is too large for the GPUs.
    """
    if folder is not None and Path(folder, ADAPTER).is_dir() and not any(Path(folder).glob("*.safetensors")):
        import torch

        saved = json.loads(Path(folder, "config.json").read_text())["dtype"]
        base = load_model(model, kind, dtype="float32", spread=spread)
        network = with_adapter(base, Path(folder, ADAPTER)).to(getattr(torch, saved))
        return network.to(getattr(torch, dtype or model["dtype"])).eval()
    caches()
    _quiet()
    import torch
    from safetensors import SafetensorError

    place, options = _place(model, folder)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # costs time, and nothing here reads such memory
    try:
        loaded, found = _loader(kind).from_pretrained(
            place,
            dtype=dtype or model["dtype"],
            attn_implementation=model["attention"],
            device_map=device or ({0: None, 1: "cuda"}.get(torch.cuda.device_count(), "auto") if spread else None),
            output_loading_info=True,
            **options,
        )
    except (OSError, ValueError, ImportError, SafetensorError) as error:
        raise BadInput(f"{place}: no model could be loaded: {_first_line(error)}") from error
    # they would be random numbers, such as the score head of a model that was never a reward model
    missing = sorted(key for key in found["missing_keys"] if kind != "encoder" or not key.startswith(POOLER))
    if missing:
        raise BadInput(f"{place}: no {kind} model, its weights lack {', '.join(missing[:3])}")
    outside = {"cpu", "disk"} & set(map(str, getattr(loaded, "hf_device_map", {}).values()))
    if outside and device is None:
        # it would run, a hundred times slower
        raise BadInput(
            f"{place}: too large for {torch.cuda.device_count()} GPUs, parts of it lie on {' and '.join(sorted(outside))}; "
            "raise the model's `gpus`"
        )
    if kind == "reward" and loaded.config.num_labels != 1:
        raise BadInput(f"{place}: a reward model has one output, this one has {loaded.config.num_labels}")
    return loaded.eval()


def with_adapter(network, adapter: Path):
    """Return a base with a LoRA adapter merged in."""
    from peft import PeftModel

    return PeftModel.from_pretrained(network, adapter).merge_and_unload()


def caches() -> None:
    """Say where compiled code of vLLM, DeepSpeed, Triton and torch is kept, unless the environment says so already.

    `${TEACHERGRID_CACHE:-~/.cache/teachergrid}/<environment>/<GPU model or cpu>--<CPU model>/`: code that was compiled for
    another torch, or another instruction set, crashes or is built again by every job.
    """
    packages = sorted(path.name for path in Path(sysconfig.get_path("purelib")).glob("*.dist-info"))
    environment = hashlib.sha256("\n".join([sys.prefix, *packages]).encode()).hexdigest()[:12]
    root = Path(os.environ.get("TEACHERGRID_CACHE", "~/.cache/teachergrid")).expanduser() / environment / node_type()
    for variable in CACHES:
        os.environ.setdefault(variable, str(root / variable.lower()))


def node_type() -> str:
    """Return the names of this machine's GPU and CPU, read without starting CUDA."""
    gpus = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    lines = [*(gpus[0].read_text().splitlines() if gpus else ()), *Path("/proc/cpuinfo").read_text().splitlines()]
    named = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
    named = {key.strip(): re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-") for key, value in named.items()}
    return f"{named.get('Model', 'cpu')}--{named.get('model name', platform.machine())}"


def padded(batch: list[list[int]], padding: int, device):
    """Return (tokens, mask), both [texts, longest]; padding stands on the right, where causal attention never looks."""
    import torch

    width = max(map(len, batch))
    tokens = torch.tensor([ids + [padding] * (width - len(ids)) for ids in batch], device=device)
    mask = torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids in batch], device=device)
    return tokens, mask


def context(model) -> float:
    """Return how many tokens a loaded model can see; infinity where its config does not say."""
    return getattr(model.config.get_text_config(), "max_position_embeddings", None) or math.inf


def digest(folder) -> str:
    """Return `sha256-` and 64 hex digits over names and bytes of weights, config, tokenizer and template files."""
    files = sorted({path for pattern in DECISIVE.split() for path in Path(folder).glob(pattern)})
    total = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            total.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return f"sha256-{total.hexdigest()}"


def check_revision(model: dict) -> None:
    """Raise BadInput unless a folder with a revision has this digest, and a hub model a commit."""
    repo, revision = model["repo"], model["revision"]
    if Path(repo).is_dir():
        if revision is not None and revision != (actual := digest(repo)):
            raise BadInput(f"{repo}: the folder's revision is {actual}, the config says {revision}; mend `revision`")
    elif (revision or "").startswith("sha256-"):
        raise BadInput(f"{repo}: no such folder, and `revision` of a hub model is a commit, not {revision[:15]}...")
    elif not pins.on_hub(model):
        raise BadInput(f"{repo}: no such folder (taken from where the workflow runs), and no hub id such as org/name")
    elif not pins.is_commit(revision):
        raise BadInput(f"{repo}: no commit is stated, `revision` is {revision}; {pins.REMEDY}")


def _place(model: dict, folder) -> tuple[str, dict]:
    """Return what from_pretrained loads, and its options."""
    options = {"trust_remote_code": model["trust_remote_code"]}
    if folder is not None:
        if not Path(folder).is_dir():
            raise BadInput(
                f"{folder}: no such folder; the weights were removed, delete what lies beside them and run again"
            )
        return str(folder), options
    check_revision(model)
    revision = {} if Path(model["repo"]).is_dir() else {"revision": model["revision"]}
    return model["repo"], options | revision


def _quiet() -> None:
    from transformers.utils import logging

    logging.disable_progress_bar()


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
