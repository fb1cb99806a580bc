"""Pairs of a good and a bad response to one instruction, as data for preference training (DPO). No model is trained on them here.

AutoIF takes as good what at least half of the verifier functions say yes to, as bad what none does, and up to two of each (arXiv
2406.13542, section 3.3): `pairs: {by: obeys, good: 0.5, bad: 0, most: 2}`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from ..metrics.measure import per_response
from ..metrics.rows import JoinedRows
from ..metrics.variants import Metric
from ..store import artifacts

SUFFIX = ".pairs"  # after the name of the corpus
# one row per pair
_SIDE = (("", pa.string()), ("_teacher", pa.string()), ("_sample", pa.int32()), ("_value", pa.float64()))
_BOTH = [(f"{side}{name}", kind) for side in ("chosen", "rejected") for name, kind in _SIDE]
_PROMPT = artifacts.INSTRUCTIONS.field("messages").type
PAIRS = pa.schema(
    [pa.field(name, kind, nullable=False) for name, kind in [("id", pa.string()), ("prompt", _PROMPT), *_BOTH]]
)


class Response(NamedTuple):
    """A response that may be in a pair."""

    teacher: str
    sample: int
    value: float


class Pair(NamedTuple):
    """A pair: chosen is the good response, rejected the bad one."""

    id: str
    chosen: Response
    rejected: Response


def paired(
    entry: Mapping[str, Any], metrics: Mapping[str, dict], rows_of: Mapping[str, JoinedRows]
) -> list[Pair] | None:
    """Return the pairs of all instructions, in the order of their ids; None for a corpus without `pairs`.

    Args:
        entry: the corpus' settings. Of its `pairs`, `by` is a metric, `good` and `bad` are values of it that a response has to reach,
            in the metric's direction, `most` is how many good and bad ones of an instruction are taken, drawn by a hash.
        rows_of: {teacher: joined rows of its responses}; all teachers' responses are paired with each other.
    """
    settings, seed = entry["pairs"], entry["seed"]
    if settings is None:
        return None
    metric = Metric(metrics[settings["by"]])
    good: dict[str, list[Response]] = {}
    bad: dict[str, list[Response]] = {}
    for teacher, rows in sorted(rows_of.items()):
        values = per_response(metric, rows)[0]
        for id, sample, value, words in zip(
            rows.id.tolist(), rows.sample.tolist(), values.tolist(), rows.words, strict=True
        ):
            if not words or not np.isfinite(value):
                continue
            one = Response(teacher, sample, value)
            if metric.sign * value >= metric.sign * settings["good"]:
                good.setdefault(id, []).append(one)
            elif metric.sign * value <= metric.sign * settings["bad"]:
                bad.setdefault(id, []).append(one)
    return [
        Pair(id, chosen, rejected)
        for id in sorted(good.keys() & bad.keys())
        for chosen, rejected in product(*(_drawn(seed, id, side[id], settings["most"]) for side in (good, bad)))
    ]


def _drawn(seed: int, id: str, responses: Sequence[Response], most: int) -> list[Response]:
    def order(one: Response) -> bytes:
        return hashlib.sha256(f"{seed}/{id}/{one.teacher}/{one.sample}".encode()).digest()

    return sorted(responses, key=order)[:most]


def write(
    corpus: str,
    pairs: Sequence[Pair] | None,
    instructions: Sequence[str],
    responses: Mapping[str, str],
    made_from: dict,
) -> None:
    """Write pairs beside a corpus, as PAIRS; without `pairs` there is no such file.

    Args:
        corpus: path of the corpus. instructions: paths of the sets. responses: {teacher: path}.
    """
    path = Path(f"{corpus}{SUFFIX}")
    if pairs is None:
        path.unlink(missing_ok=True)
        return
    print(f"{len(pairs)} pairs of {len({pair.id for pair in pairs})} instructions")
    artifacts.write(path, table(pairs, instructions, responses), PAIRS, made_from)


def table(pairs: Sequence[Pair], instructions: Sequence[str], responses: Mapping[str, str]) -> pa.Table:
    """Return PAIRS: pairs with their texts.

    Args:
        instructions: paths of the sets. responses: {teacher: path}.
    """
    prompts: dict[str, Any] = {}
    for path in instructions:
        rows = artifacts.read(path, artifacts.INSTRUCTIONS, ["id", "messages"]).to_pylist()
        prompts |= {row["id"]: row["messages"] for row in rows}
    needed = {(pair.id, one.teacher, one.sample) for pair in pairs for one in (pair.chosen, pair.rejected)}
    texts: dict[tuple[str, str, int], str] = {}
    for teacher, path in responses.items():
        for row in artifacts.read(path, artifacts.RESPONSES, ["id", "sample", "response"]).to_pylist():
            if (key := (row["id"], teacher, row["sample"])) in needed:
                texts[key] = row["response"]
    return artifacts.table([_row(pair, prompts, texts) for pair in pairs], PAIRS)


def _row(pair: Pair, prompts: Mapping[str, Any], texts: Mapping[tuple[str, str, int], str]) -> dict:
    row: dict[str, Any] = {"id": pair.id, "prompt": prompts[pair.id]}
    for name, one in (("chosen", pair.chosen), ("rejected", pair.rejected)):
        row |= {
            name: texts[pair.id, one.teacher, one.sample],
            f"{name}_teacher": one.teacher,
            f"{name}_sample": one.sample,
            f"{name}_value": one.value,
        }
    return row
