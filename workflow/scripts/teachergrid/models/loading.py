"""Load tokenizers and models, in the same way for all stages of the pipeline."""

import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..cost.workload import MEMORY_FOR_WEIGHTS
from ..errors import BadInput
from ..hub.model_files import check_revision
from . import checks
from .caches import set_cache_folders

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast
    from transformers.models.auto.auto_factory import _BaseAutoModelClass

    from ..spec.settings import ChatSettings

# The libraries read these when they are imported. OMP_NUM_THREADS: the number of threads changes the last bits of results.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # needed for deterministic matrix products on a GPU
ADAPTER = "adapter"  # folder in a student's folder: the LoRA adapter that was merged into the student's weights
# names of the context length in configs
CONTEXTS = ("max_position_embeddings", "max_seq_len", "n_positions")


def load_tokenizer(
    model: dict, chat_settings: "ChatSettings", folder: Path | str | None = None
) -> "PreTrainedTokenizerFast":
    """Return the tokenizer of a model, with a padding token and the chat template of the chat settings.

    A missing chat template is no error here, since the plain format needs none; chat.prompt reports it.

    Args:
        model: the model's entry in the config.
        folder: a student's folder; its tokenizer is loaded in place of the entry's own.
    Raises:
        BadInput: when there is no tokenizer, or only a slow one (only fast tokenizers give the character offsets from
            which chat.prompt finds the tokens of the question), and as checks.check_template does.
    """
    _disable_progress_bars()
    from transformers import AutoTokenizer

    source, options = _source(model, folder)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, **options)
    except (OSError, ValueError) as error:
        raise BadInput(
            f"{source}: no tokenizer could be loaded ({first_line(error)}); save it there with tokenizer.save_pretrained"
        ) from error
    if not tokenizer.is_fast:
        raise BadInput(
            f"{source}: only a slow tokenizer; save it as tokenizer.json (AutoTokenizer, then save_pretrained)"
        )
    if chat_settings["template"] != "own":
        tokenizer.chat_template = chat_settings["template"]
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token_id is None:
            raise BadInput(
                f"{source}: the tokenizer has neither pad_token nor eos_token; name one in tokenizer_config.json"
            )
        tokenizer.pad_token = tokenizer.eos_token
    checks.check_template(tokenizer, chat_settings)
    return tokenizer


def load_copies(
    model: dict, chat_settings: "ChatSettings", kind: str = "causal", folder: Path | None = None
) -> "list[tuple[PreTrainedTokenizerFast, PreTrainedModel]]":
    """Return one (tokenizer, model) pair for each copy of a model that can run at the same time.

    There is one copy on each visible GPU if the weights leave enough room there. Otherwise there is a single copy, over
    all GPUs or on the CPU. kind, folder: see `load_model`.
    """
    import torch

    memory = [torch.cuda.get_device_properties(i).total_memory for i in range(torch.cuda.device_count())]
    copies = devices_of_copies(memory, weight_bytes(model, kind) if len(memory) > 1 else 0)
    made = [(load_tokenizer(model, chat_settings, folder), load_model(model, kind, folder, device=at)) for at in copies]
    for pair in made:
        checks.check_ids(*pair)
    return made


def devices_of_copies(memory: list[int], weights: int) -> list[str | None]:
    """Return the device of each copy of a model, such as ["cuda:0", "cuda:1"]; [None] is a single copy over all devices.

    memory: bytes of each GPU. weights: bytes of the model's weights.
    """
    fits_one_gpu = len(memory) > 1 and weights <= MEMORY_FOR_WEIGHTS * min(memory)
    return [f"cuda:{i}" for i in range(len(memory))] if fits_one_gpu else [None]


def weight_bytes(model: dict, kind: str = "causal") -> int:
    """Return how many bytes a model's weights take once loaded. Reads the model's config only, not its weights."""
    import torch
    from transformers import AutoConfig

    source, options = _source(model, None)
    config = AutoConfig.from_pretrained(source, **options)
    checks.forget_wrong_padding(config)
    with torch.device("meta"):
        empty = _auto_class(kind).from_config(
            config, dtype=getattr(torch, model["dtype"]), trust_remote_code=model["trust_remote_code"]
        )
    return sum(parameter.numel() * parameter.element_size() for parameter in empty.parameters())


def load_model(
    model: dict,
    kind: str = "causal",
    folder: Path | str | None = None,
    dtype: str | None = None,
    spread: bool = True,
    device: str | None = None,
) -> "PreTrainedModel":
    """Return a model in eval mode, on the GPUs if there are any.

    Args:
        model: the model's entry in the config.
        kind: `causal`, `reward` (a sequence classifier with one output), `classifier` (with several) or `encoder` (without any head).
        folder: a student's folder; its weights are loaded in place of the entry's own. If it holds only the adapter,
            see `load_merged`.
        dtype: in place of the entry's own, such as `float32`.
        spread: whether to use all visible GPUs. False leaves the model on the CPU, for a process that moves it itself.
        device: the one device to use, such as `cuda:1`; `spread` then has no effect.
    Raises:
        BadInput: for a missing folder, a wrong digest, missing weights, weights that do not cover the model, and a model
            that is too large for the GPUs.
    """
    if folder is not None and Path(folder, ADAPTER).is_dir() and not any(Path(folder).glob("*.safetensors")):
        return load_merged(model, kind, Path(folder), dtype, spread)
    return load_plain(model, kind, folder, dtype, spread, device)


def load_merged(model: dict, kind: str, folder: Path, dtype: str | None, spread: bool) -> "PreTrainedModel":
    """Return a student whose folder holds only its LoRA adapter: its base with the adapter merged in.

    The merge is done in float32. The result is then rounded to the dtype in which the student's weights had been saved,
    so that it equals the removed weights.
    """
    import torch

    saved = json.loads(Path(folder, "config.json").read_text())["dtype"]
    base = load_plain(model, kind, None, "float32", spread, None)
    student = with_adapter(base, Path(folder, ADAPTER)).to(getattr(torch, saved))
    return student.to(getattr(torch, dtype or model["dtype"])).eval()


def whole_folder(model: dict, folder: Path | None, into: Path) -> Path | None:
    """Return the folder of a student's whole weights, for a program that merges no adapter; None for None.

    Where its folder holds only the adapter, the merged weights are saved in `into`, unless they are there.
    """
    if folder is None or any(folder.glob("*.safetensors")) or not Path(folder, ADAPTER).is_dir():
        return folder
    if not into.is_dir():
        part = into.with_name(f"{into.name}.part")
        load_merged(model, "causal", folder, None, spread=False).save_pretrained(part)
        part.rename(into)
    return into


def load_plain(
    model: dict, kind: str, folder: Path | str | None, dtype: str | None, spread: bool, device: str | None
) -> "PreTrainedModel":
    """Return a model from files that hold all of its weights. For the arguments and errors see `load_model`."""
    set_cache_folders()
    _disable_progress_bars()
    import torch
    from safetensors import SafetensorError

    source, options = _source(model, folder)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # costs time, and nothing here reads such memory
    try:
        network, info = _auto_class(kind).from_pretrained(
            source,
            dtype=dtype or model["dtype"],
            attn_implementation=model["attention"],
            device_map=device or device_map(spread),
            **_quantized(model),
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # check_weights names them
            **_padding(source, options),
            **options,
        )
    except (OSError, ValueError, ImportError, SafetensorError) as error:
        hint = "; set `attention: eager`" if "attn_implementation" in str(error) else ""
        raise BadInput(f"{source}: no model could be loaded: {first_line(error)}{hint}") from error
    checks.check_weights(network, kind, source, info)
    if device is None:
        check_fits(network, source)
    return network.eval()


def _quantized(model: dict) -> dict:
    """Return what loads a model's weights in 4 bits, where `quantize` in its entry says so (training.adapters); {} elsewhere."""
    if model.get("quantize") is None:
        return {}
    import torch
    from transformers import BitsAndBytesConfig

    kind, computes = model["quantize"], getattr(torch, model["computes"])
    four_bits = {"bnb_4bit_quant_type": kind, "bnb_4bit_compute_dtype": computes, "bnb_4bit_use_double_quant": True}
    return {"quantization_config": BitsAndBytesConfig(load_in_4bit=True, **four_bits)}


def device_map(spread: bool) -> str | None:
    """Return the `device_map` of from_pretrained: None is the CPU, `auto` spreads a model over several GPUs."""
    import torch

    gpus = torch.cuda.device_count() if spread else 0
    if gpus == 0:
        return None
    return "cuda" if gpus == 1 else "auto"


def check_fits(network: "PreTrainedModel", source: str) -> None:
    """Raise BadInput if `device_map="auto"` left parts of a model off the GPUs: it would run about 100 times slower."""
    import torch

    off_gpu = {"cpu", "disk"} & set(map(str, getattr(network, "hf_device_map", {}).values()))
    if off_gpu:
        raise BadInput(
            f"{source}: too large for {torch.cuda.device_count()} GPUs, parts of it lie on {' and '.join(sorted(off_gpu))}; "
            "raise the model's `gpus`"
        )


def with_adapter(base: "PreTrainedModel", adapter: Path) -> "PreTrainedModel":
    """Return a base with a LoRA adapter merged in. adapter: its folder."""
    from peft import PeftModel

    return PeftModel.from_pretrained(base, adapter).merge_and_unload()


def context(network: "PreTrainedModel") -> float:
    """Return the context length of a loaded model in tokens; infinity where its config does not say."""
    import torch

    config = network.config.get_text_config()
    limits = [limit for name in CONTEXTS if (limit := getattr(config, name, None))][:1]
    for name, part in network.named_modules():
        # RoBERTa and its kin count positions from the one after that of padding: 514 positions are 512 tokens
        is_offset = isinstance(part, torch.nn.Embedding) and part.padding_idx is not None
        if is_offset and name.endswith("position_embeddings"):
            limits.append(part.num_embeddings - part.padding_idx - 1)
    return min(limits, default=math.inf)


def _padding(source: str, options: dict) -> dict:
    """Return {"config": a model's config without its padding token} where this is none of its tokens, {} for other models."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(source, **options)
    return {"config": config} if checks.forget_wrong_padding(config) else {}


def _auto_class(kind: str) -> "type[_BaseAutoModelClass]":
    """Return the class of transformers that loads a kind of model."""
    from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification

    heads = {"causal": AutoModelForCausalLM, "encoder": AutoModel}
    return heads.get(kind, AutoModelForSequenceClassification)


def _source(model: dict, folder: Path | str | None) -> tuple[str, dict]:
    """Return what from_pretrained loads (a folder or a hub id), and its options."""
    options = {"trust_remote_code": model["trust_remote_code"]}
    if folder is not None:
        if not Path(folder).is_dir():
            raise BadInput(
                f"{folder}: no such folder; the weights were removed: delete the other files of this student and run again"
            )
        return str(folder), options
    check_revision(model)
    revision = {} if Path(model["repo"]).is_dir() else {"revision": model["revision"]}
    return model["repo"], options | revision


def source_of(model: dict, folder: Path | str | None) -> tuple[str, dict]:
    """Return what a program loads by itself: the folder or hub id of a model or of a student's weights, and the options."""
    return _source(model, folder)


def _disable_progress_bars() -> None:
    from transformers.utils import logging

    logging.disable_progress_bar()


def first_line(error: Exception) -> str:
    """Return the first line of an error's message."""
    return str(error).strip().split("\n")[0]
