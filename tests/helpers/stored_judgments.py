"""Judgments of official benchmarks with published results, read from the folder of shared data where it is there."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from teachergrid.stats.length_control import Anchor, Benchmark, Judged

DATA = Path(__file__).parents[3] / "shared/data"
ALPACA, ARENA, FOLLOWBENCH = DATA / "alpaca_eval", DATA / "arena_hard", DATA / "followbench"
MODELS = ("vicuna-7b-v1.5", "claude-2", "alpaca-7b", "wizardlm-13b", "gemma-7b-it", "FuseChat-Llama-3.2-1B-Instruct")
needs_alpaca = pytest.mark.skipif(not ALPACA.is_dir(), reason=f"needs the stored judgments in {ALPACA}")
needs_arena = pytest.mark.skipif(not ARENA.is_dir(), reason=f"needs the stored battles in {ARENA}")
needs_followbench = pytest.mark.skipif(not FOLLOWBENCH.is_dir(), reason=f"needs the benchmark's rows in {FOLLOWBENCH}")


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().split("\n") if line]


def column(table: pyarrow.Table, name: str) -> np.ndarray:
    return table[name].to_numpy(zero_copy_only=False)


@cache
def expected() -> dict[str, dict]:
    return json.loads((ALPACA / "expected.json").read_text())


@cache
def benchmark() -> Benchmark:
    order = [row["instruction"] for row in json.loads((ALPACA / "instructions_805.json").read_text())]
    difficulty = pyarrow.csv.read_csv(ALPACA / "instruction_difficulty_recovered.csv")
    by_place = dict(zip(*(difficulty[name].to_pylist() for name in ("index", "instruction_difficulty")), strict=True))
    opponent = pq.read_table(ALPACA / "reference_gpt4_1106_preview.parquet").to_pylist()
    gamed = pyarrow.csv.read_csv(ALPACA / "df_gamed_reconstructed.csv")
    return Benchmark(
        {text: by_place[place] for place, text in enumerate(order)},
        {row["instruction"]: len(row["output"]) for row in opponent},
        Anchor(*(column(gamed, name) for name in ("std_delta_len", "instruction_difficulty", "preference"))),
    )


@cache
def annotations(model: str) -> list[dict]:
    return pq.read_table(ALPACA / f"annotations_{model}.parquet").to_pylist()


@cache
def judged(model: str) -> list[Judged]:
    return [
        Judged(row["instruction"], (row["preference"] or 1.5) - 1, len(row["output"])) for row in annotations(model)
    ]
