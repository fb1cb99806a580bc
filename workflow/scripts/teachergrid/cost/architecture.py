"""The dimensions of a model: from its files, if the folder or the hub's cache has them, else guessed from its size."""

import json
import math
import os
import struct
from functools import cache
from pathlib import Path
from typing import NamedTuple

# {field: names that config.json files use for it}
NAMES = {
    "layers": ("num_hidden_layers", "n_layer", "num_layers"),
    "hidden": ("hidden_size", "n_embd", "d_model"),
    "heads": ("num_attention_heads", "n_head"),
    "vocabulary": ("vocab_size",),
}
# the longest header of a safetensors file, in bytes, as its own library has it
LONGEST_HEADER = 100_000_000
INDEX = "model.safetensors.index.json"


class Shape(NamedTuple):
    """The sizes that decide a model's parameters and memory.

    kv: width of a token's keys in one layer, all heads together; its values are as wide.
    inner: width of the feed-forward layer.
    tied: whether input and output embeddings are one matrix.
    gated: whether a feed-forward layer has three matrices instead of two.
    experts: per layer; 1 for a dense model.
    """

    layers: int
    hidden: int
    kv: int
    inner: int
    vocabulary: int
    tied: bool = False
    gated: bool = True
    experts: int = 1


@cache
def of_spec(text: str) -> Shape | None:
    """Return the shape of the model in a cell's spec, or None when its config.json is not on this machine."""
    model = json.loads(text).get("model")
    # an endpoint serves a model without a repository
    return of_model(model["repo"], model.get("revision")) if model and model.get("repo") else None


@cache
def of_model(repo: str, revision: str | None) -> Shape | None:
    """Return the shape of a model folder, or of a hub model in the local cache; None where neither has its config.json.

    None, too, for a config.json that cannot be read: the job that loads the model says what is wrong with it.
    """
    folder = folder_of(repo, revision)
    try:
        content = json.loads((folder / "config.json").read_text()) if folder else None
        return of_config(content) if isinstance(content, dict) else None
    except (OSError, ValueError, TypeError, ZeroDivisionError):
        return None


def folder_of(repo: str, revision: str | None) -> Path | None:
    """Return the folder of a model, or of its snapshot in the hub's local cache; None where neither has its config.json."""
    hub = Path(os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME", "~/.cache/huggingface"), "hub"))
    snapshots = hub.expanduser() / f"models--{repo.replace('/', '--')}" / "snapshots"
    paths = [Path(repo, "config.json"), *sorted(snapshots.glob(f"{revision or '*'}/config.json"))]
    return next((path.parent for path in paths if os.path.isfile(path)), None)


@cache
def counted(repo: str, revision: str | None) -> float | None:
    """Return the billions of parameters of a model whose files are on this machine; None where they are not.

    They are summed from the headers of its weights. Where these are quantised, of another format or not complete, its
    config.json decides.
    """
    folder = folder_of(repo, revision)
    if folder is None:
        return None
    try:
        if found := _in_files(folder):
            return found / 1e9
    except (OSError, ValueError, TypeError, KeyError, AttributeError, struct.error):
        pass  # the job that loads the weights says what is wrong with them
    shape = of_model(repo, revision)
    return None if shape is None else parameters(shape)


def _in_files(folder: Path) -> int | None:
    """Return the parameters in a folder's safetensors files; None where one is missing, or holds packed integers."""
    names = {path.name for path in folder.glob("*.safetensors")}
    if (folder / INDEX).is_file():
        names &= (listed := {*json.loads((folder / INDEX).read_text())["weight_map"].values()})
        if names != listed:
            return None
    total = 0
    for name in sorted(names):
        for tensor in _header(folder / name).values():
            if tensor["dtype"][0] in "IU" and len(tensor["shape"]) > 1:
                return None
            total += math.prod(tensor["shape"])
    return total or None


def _header(path: Path) -> dict[str, dict]:
    """Return {tensor: its dtype and shape} of a safetensors file, of which only the header is read."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > LONGEST_HEADER:
            raise ValueError(f"{path}: is no safetensors file")
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    return header


def of_config(config: dict) -> Shape | None:
    """Return the shape that a config.json states; None where it uses names that are not in NAMES."""
    config = config.get("text_config") or config
    sizes: dict[str, int] = {}
    for name, keys in NAMES.items():
        value = next((config[key] for key in keys if key in config), None)
        if value is None:
            return None
        sizes[name] = value
    width = config.get("head_dim") or sizes["hidden"] // sizes["heads"]
    inner = config.get("intermediate_size") or config.get("n_inner") or 4 * sizes["hidden"]
    experts = config.get("num_local_experts") or config.get("num_experts") or 1
    return Shape(
        sizes["layers"],
        sizes["hidden"],
        width * (config.get("num_key_value_heads") or sizes["heads"]),
        config.get("moe_intermediate_size") or inner,
        sizes["vocabulary"],
        config.get("tie_word_embeddings", "n_embd" in config),
        "n_embd" not in config,
        experts,
    )


def parameters(shape: Shape) -> float:
    """Return the billions of parameters of a model."""
    attention = 2 * shape.hidden**2 + 2 * shape.hidden * shape.kv
    feed = (3 if shape.gated else 2) * shape.hidden * shape.inner * shape.experts
    embedding = shape.vocabulary * shape.hidden * (1 if shape.tied else 2)
    return (shape.layers * (attention + feed) + embedding) / 1e9


def guessed(billions: float) -> Shape:
    """Return a typical shape for a number of parameters in billions: 8 key-value heads, a vocabulary of 128,000."""
    layers, vocabulary = max(1, round(depth(billions))), 128_000
    # 13 layers hidden^2 + vocabulary hidden = parameters
    hidden = (math.sqrt(vocabulary**2 + 52 * layers * billions * 1e9) - vocabulary) / (26 * layers)
    hidden = max(64, round(hidden / 64) * 64)
    return Shape(layers, hidden, min(1024, max(64, hidden // 4)), 7 * hidden // 2, vocabulary, tied=True)


def depth(billions: float) -> float:
    """Return a typical number of layers. billions: of parameters. 7.6 B -> 38, 70 B -> 75 (published models: 28 to 32, 80)."""
    return 20 * billions**0.31
