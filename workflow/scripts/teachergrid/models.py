"""Load tokenizers and models the same way everywhere, and name a model folder by what is in it."""

import hashlib
import math
import os
import re
from pathlib import Path

from .errors import BadInput

# read when the libraries are imported; one thread unless said otherwise, since threads move the last bits
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what deterministic matrix products need on a GPU

_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
# what decides a model's output; read-me files and training states do not
_DECISIVE = (
    "*.safetensors *.safetensors.index.json pytorch_model*.bin pytorch_model.bin.index.json config.json "
    "generation_config.json tokenizer* *.model vocab.* merges.txt added_tokens.json special_tokens_map.json "
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


def load_model(model: dict, kind: str = "causal", folder=None, dtype: str | None = None):
    """Return the model of an entry in eval mode: on the GPU (spread over all that are visible) if there is one.

    kind: `causal`, or `reward` (a sequence classifier with one output). folder, dtype: in place of the entry's own.
    Raises BadInput for a missing folder, a wrong digest, missing weights, and weights that do not cover the model.
    """
    _quiet()
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    place, options = _place(model, folder)
    loader = {"causal": AutoModelForCausalLM, "reward": AutoModelForSequenceClassification}[kind]
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # costs time, and nothing here reads such memory
    try:
        loaded, found = loader.from_pretrained(
            place,
            dtype=dtype or model["dtype"],
            attn_implementation=model["attention"],
            device_map={0: None, 1: "cuda"}.get(torch.cuda.device_count(), "auto"),
            output_loading_info=True,
            **options,
        )
    except (OSError, ValueError, ImportError, SafetensorError) as error:
        raise BadInput(f"{place}: no model could be loaded: {_first_line(error)}") from error
    if found["missing_keys"]:
        # they would be random numbers, such as the score head of a model that was never a reward model
        raise BadInput(f"{place}: no {kind} model, its weights lack {', '.join(sorted(found['missing_keys'])[:3])}")
    if kind == "reward" and loaded.config.num_labels != 1:
        raise BadInput(f"{place}: a reward model has one output, this one has {loaded.config.num_labels}")
    return loaded.eval()


def context(model) -> float:
    """Return how many tokens a loaded model can see; infinity where its config does not say."""
    return getattr(model.config.get_text_config(), "max_position_embeddings", None) or math.inf


def digest(folder) -> str:
    """Return `sha256-` and 64 hex digits over names and bytes of weights, config, tokenizer and template files."""
    files = sorted({path for pattern in _DECISIVE.split() for path in Path(folder).glob(pattern)})
    total = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            total.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return f"sha256-{total.hexdigest()}"


def check_revision(model: dict) -> None:
    """Raise BadInput unless a folder with a revision has this digest, and a hub model none in place of a commit."""
    repo, revision = model["repo"], model["revision"]
    if Path(repo).is_dir():
        if revision is not None and revision != (actual := digest(repo)):
            raise BadInput(f"{repo}: the folder's revision is {actual}, the config says {revision}; mend `revision`")
    elif not _HUB_ID.fullmatch(repo):
        raise BadInput(f"{repo}: no such folder (taken from where the workflow runs), and no hub id such as org/name")
    elif (revision or "").startswith("sha256-"):
        raise BadInput(f"{repo}: no such folder, and `revision` of a hub model is a commit, not {revision[:15]}...")


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
    revision = {} if Path(model["repo"]).is_dir() or model["revision"] is None else {"revision": model["revision"]}
    return model["repo"], options | revision


def _quiet() -> None:
    from transformers.utils import logging

    logging.disable_progress_bar()


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
