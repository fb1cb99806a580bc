"""Instructions, decodings and entries of tiny models for tests of generation."""

from pathlib import Path

import pyarrow as pa
import tiny
from teachergrid.data import files
from teachergrid.store import artifacts

MODEL = {"revision": None, "dtype": "float32", "attention": "sdpa", "trust_remote_code": False}
CHAT = {"template": "own", "template_args": {}, "system": None, "plain": "{question}\n"}
GREEDY = {"temperature": 0, "top_p": 1, "top_k": 0, "max_tokens": 12, "samples": 1, "seed": None}
DRAWN = GREEDY | {"temperature": 1.0, "top_p": 0.95, "top_k": 50, "seed": 7}
TEXTS = ["red", "sort the words apple bear story", "explain 3+4=7." * 6, "list of colour", "sum and answer the reason"]


def instructions(texts) -> pa.Table:
    chats = [[{"role": "user", "content": text}] for text in texts]
    rows = [{"id": files.message_id(m), "messages": m, "source": "test", "round": 0, "category": "c"} for m in chats]
    return artifacts.table(rows, artifacts.INSTRUCTIONS)


TEACHER = {**CHAT, "engine": "transformers", "sampling": DRAWN | {"samples": 2}, "batch": 3, "shard": 4}


def tiny_models(root: Path) -> dict[str, Path]:
    """Return the folders of two tiny models by their architecture."""
    return {name: tiny.make(root / name, name) for name in ("llama", "qwen2")}
