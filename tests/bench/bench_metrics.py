"""What metrics and statistics cost: time and memory for many cells of many rows, on files of the real schema.

    python tests/bench/bench_metrics.py --cells 100 --rows 100000 --jobs 2
    python tests/bench/bench_metrics.py --cells 1 --rows 1000000 --lists --all
    python tests/bench/bench_metrics.py --summary 20 100 3

Cells are measured as `metric.py` does, by some processes of which each takes one after the other, with the metrics of the
demo (and --all: by further formulas); then one grid of all cells is summarised as `correlate.py` does. Files are made once
and linked for all cells, since reading them costs the same. Bases x teachers = 5 x cells / 5.
"""

import argparse
import contextlib
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import yaml
from teachergrid.decisions import summary
from teachergrid.metrics import join
from teachergrid.metrics import measure as metrics_measure
from teachergrid.spec import schema
from teachergrid.store import artifacts

ROOT = Path(__file__).parents[2]
BASES, ITEMS, WORDS, TOKENS = 5, 805, 150, 200
FURTHER = "reward_median car_pooled car_each nll_question grape ppl_mean ic_ifd_reverse_loss ifd_power distinct_1 self_similarity"
SHARD = 1024


def entries(further: bool, lists: bool) -> dict:
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())["metrics"]
    found = {name: {**entry, "reward": "rm"} if entry.get("reward") else entry for name, entry in config.items()}
    more = FURTHER.split() * further + ["rsr", "rank_mean"] * lists
    found |= {name: {"formula": name, "reward": "rm"} for name in more}
    return {name: schema.filled(entry, schema.definition("metric")) for name, entry in found.items()}


# --- files


def make(folder: Path, rows: int, lists: bool) -> None:
    """Write one file of each kind, in shards, in another order than that of ids."""
    rng = np.random.default_rng(0)
    ids = np.array([f"{number:016x}" for number in rng.permutation(rows)])
    vocabulary = np.array([f"w{number:x}" for number in range(50_000)])

    def keys(part):
        return {"id": ids[part], "sample": np.zeros(len(ids[part]), np.int32)}

    def responses(part, n):
        words = vocabulary[np.minimum(rng.zipf(1.3, (n, WORDS)) - 1, len(vocabulary) - 1)]
        text = [" ".join(row) for row in words]
        counts = {"prompt_tokens": rng.integers(5, 60, n), "response_tokens": rng.integers(20, 400, n)}
        return {**keys(part), "response": text, "finish_reason": ["stop"] * n, **counts, "seed": [None] * n}

    def rewards(part, n):
        return {**keys(part), "reward": rng.normal(2, 0.5, n), "reason": [None] * n}

    def likelihoods(part, n):
        question, answer = rng.integers(5, 60, n), rng.integers(20, 2 * TOKENS - 20, n)
        sums = {"question": -2.0 * question, "answer_given_question": -rng.normal(1, 0.1, n) * answer}
        sums |= {
            "end_given_question": -rng.random(n),
            "answer": -rng.normal(1.4, 0.1, n) * answer,
            "end": -rng.random(n),
        }
        count = answer + 1 if lists else np.zeros(n, int)
        stop = pa.array(np.r_[0, np.cumsum(count)].astype(np.int32), mask=None if lists else np.ones(n + 1, bool))
        total = int(count.sum())
        tokens = {"token_logprobs": -rng.random(total), "token_ranks": rng.zipf(1.6, total).clip(1, 100)}
        kinds = {"token_logprobs": pa.float32(), "token_ranks": pa.int32()}
        made = {
            name: pa.ListArray.from_arrays(stop, pa.array(values, kinds[name]))
            if lists
            else pa.nulls(n, pa.list_(kinds[name]))
            for name, values in tokens.items()
        }
        counts = {"n_question": question, "n_answer": answer, "n_end": np.ones(n, int)}
        return {**keys(part), **counts, **sums, "truncated": np.zeros(n, bool), **made, "reason": [None] * n}

    def instructions(part, n):
        kinds = np.array(["maths", "code", "advice", "writing", "editing"])[rng.integers(5, size=n)]
        message = [[{"role": "user", "content": "q"}]] * n
        empty = dict.fromkeys(("answer", "parent_id", "operator"), [None] * n)
        return {"id": ids[part], "messages": message, "source": ["x"] * n, "category": kinds, "round": [0] * n, **empty}

    for name, kind in (
        ("responses", artifacts.RESPONSES),
        ("rewards", artifacts.REWARDS),
        ("likelihoods", artifacts.LIKELIHOODS),
        ("instructions", artifacts.INSTRUCTIONS),
    ):
        of = locals()[name]
        with artifacts.pq.ParquetWriter(folder / f"{name}.parquet", kind, compression="zstd") as file:
            for start in range(0, rows, SHARD):
                part = slice(start, min(start + SHARD, rows))
                file.write_table(artifacts.table(pa.table(of(part, part.stop - part.start)), kind))


def linked(folder: Path, base: str, teacher: str) -> SimpleNamespace:
    """Return the inputs of a metric job under the paths that a run has."""
    places = {
        "responses": [("responses.parquet", f"responses/pool__{teacher}.parquet")],
        "rewards": [("rewards.parquet", f"rewards/rm/pool__{teacher}.parquet")],
        **{
            format: [
                ("likelihoods.parquet", f"likelihoods/{scorer}/{format}/pool__{teacher}.parquet")
                for scorer in (base, "bs")
            ]
            for format in ("chat", "plain")
        },
    }
    for pairs in places.values():
        for source, path in pairs:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):  # another cell of this teacher, perhaps in another process
                (folder / path).hardlink_to(folder / source)
    paths = {name: [str(folder / path) for _, path in pairs] for name, pairs in places.items()}
    return SimpleNamespace(**paths, distributions=[])


# --- the work


def measure(folder: Path, cells: list[tuple], chosen: dict) -> dict:
    found, extras = {}, metrics_measure.extras(chosen)
    for base, teacher in cells:
        files = linked(folder, base, teacher)
        rows = join.join_files(files, base, instructions=[folder / "instructions.parquet"], **extras)
        found[base, f"pool__{teacher}"] = artifacts.table(metrics_measure.measure(chosen, rows, 0), artifacts.METRICS)
    return found


def summarised(cells: list[tuple], chosen: dict, measured: dict, seeds: int = 1) -> tuple[int, float]:
    """Make all tables of one grid, with a student of ITEMS scores for each cell and SFT seed.

    Returns: how many metrics a base has, and CPU seconds without those that make the scores.
    """
    rng, scores = np.random.default_rng(1), {}
    label = {"parent": None, "licence": None, "output_terms": None}
    bases, teachers = dict.fromkeys(base for base, _ in cells), dict.fromkeys(teacher for _, teacher in cells)
    students = [
        {
            "student": f"{base}__pool__{teacher}__sft__s{seed}",
            "base": base,
            "corpus": f"pool__{teacher}",
            "instructions": "pool",
            "teacher": teacher,
            "recipe": "sft",
            "seed": seed,
            "self_pair": False,
        }
        for base, teacher in cells
        for seed in range(seeds)
    ]
    models = [student["student"] for student in students] + [f"{base}-raw" for base in bases]
    for model in models:
        rows = [
            {"task": "t", "id": f"q{i}", "sample": 0, "score": float(score), "verdict": "x"}
            for i, score in enumerate(rng.random(ITEMS) < rng.uniform(0.2, 0.8))
        ]
        scores[model, "test", "verify"] = artifacts.table(rows, artifacts.SCORES)
    # values that differ between cells, as files that are linked do not
    measured = {
        key: table.set_column(table.column_names.index("value"), "value", pa.array(rng.normal(size=table.num_rows)))
        for key, table in measured.items()
    }
    settings = {
        "grid": {
            "compare": "teacher",
            "instructions": ["pool"],
            "teachers": list(teachers),
            "corpora": [],
            "recipes": ["sft"],
            "performance": ["test/verify"],
            "primary": "car",
            "bootstrap": 2000,
            "seed": 5,
            "smallest_difference": 2,
            "suites": ["test"],
        },
        "students": students,
        "references": [{"name": f"{base}-raw", "base": base, "role": "untuned", "format": "chat"} for base in bases],
        "pairs": [[base, f"pool__{teacher}"] for base, teacher in cells],
        "metrics": chosen,
        "teachers": {
            teacher: {**label, "family": f"f{number // 4}", "model": teacher, "parameters": 1 + number % 4}
            for number, teacher in enumerate(teachers)
        },
        "bases": {base: {**label, "family": None, "model": base, "parameters": 1} for base in bases},
        "suites": {"test": ["verify"]},
        "gates": {},
    }
    made = {"steps": 1, "examples": 1, "trained_tokens": 1, "weights": {}}
    results = summary.Results(scores, measured, {student["student"]: made for student in students}, {}, {})
    before, _ = used()
    found = summary.summarise(settings, results)
    first = next(iter(bases))
    return sum(row["base"] == first for row in found.correlations), used()[0] - before


def measured_alone(*asked) -> tuple[dict, tuple[float, float]]:
    """Do what `measure` does in a process of its own, and return what that used too."""
    return measure(*asked), used()


def used() -> tuple[float, float]:
    """Return the CPU seconds of this process and the most memory it had, in GiB."""
    mine = resource.getrusage(resource.RUSAGE_SELF)
    return mine.ru_utime + mine.ru_stime, mine.ru_maxrss / 2**20


def time_summary(bases: int, teachers: int, seeds: int, variants: bool) -> None:
    """Print what the summary of a grid costs: all cells have the metrics of one small cell, with other values in each."""
    chosen = entries(False, False)
    cells = [(f"b{base}", f"t{teacher}") for base in range(bases) for teacher in range(teachers)]
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), 256, False)
        (table,) = measure(Path(folder), cells[:1], chosen).values()
    if not variants:
        table = table.filter(table["own"])
    measured = {(base, f"pool__{teacher}"): table for base, teacher in cells}
    metrics, seconds = summarised(cells, chosen, measured, seeds)
    print(f"{bases} bases x {teachers} teachers x {seeds} seeds x {ITEMS} items, {metrics} metrics a base")
    print(f"statistics  {seconds:8.1f} CPU s in one process")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cells", type=int, default=100)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--lists", action="store_true", help="per-token lists in the likelihoods, and metrics of ranks")
    parser.add_argument(
        "--all", action="store_true", help="metrics by further formulas; of a summary: all variants of sweeps, too"
    )
    parser.add_argument(
        "--summary",
        metavar=("BASES", "TEACHERS", "SEEDS"),
        nargs=3,
        type=int,
        help="time the summary of such a grid alone",
    )
    parser.add_argument("--make", metavar="FOLDER", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.make:
        return make(Path(asked.make), asked.rows, asked.lists)
    if asked.summary:
        return time_summary(*asked.summary, asked.all)
    chosen = entries(asked.all, asked.lists)
    teachers = -(-asked.cells // BASES)
    cells = [(f"b{i % BASES}", f"t{i // BASES}") for i in range(asked.cells)]
    with tempfile.TemporaryDirectory() as folder:
        # in a process of its own, whose memory is not counted
        lists = ["--lists"] * asked.lists
        subprocess.run([sys.executable, __file__, "--make", folder, "--rows", str(asked.rows), *lists], check=True)
        begun = time.monotonic()
        shares = [cells[i :: asked.jobs] for i in range(asked.jobs)]
        with ProcessPoolExecutor(asked.jobs, get_context("spawn")) as pool:
            parts = list(pool.map(measured_alone, repeat(Path(folder)), shares, repeat(chosen)))
        wall, (before, _) = time.monotonic() - begun, used()
        measured = {key: table for part, _ in parts for key, table in part.items()}
        summarised(cells, chosen, measured)
        (after, memory), wall_all = used(), time.monotonic() - begun
    rows, cpu = next(iter(measured.values())).num_rows, sum(seconds for _, (seconds, _) in parts)
    most = max(peak for _, (_, peak) in parts)
    print(f"{asked.cells} cells ({teachers} teachers) x {asked.rows} rows, {len(chosen)} metrics, {rows} values a cell")
    print(f"metrics     {cpu:8.1f} CPU s {wall:8.1f} s   {cpu / asked.cells:.2f} CPU s a cell")
    print(f"statistics  {after - before:8.1f} CPU s {wall_all - wall:8.1f} s")
    print(f"together    {cpu + after - before:8.1f} CPU s {wall_all:8.1f} s in {asked.jobs} processes")
    print(f"peak memory {max(most, memory):8.2f} GiB of a process ({most:.2f} of metrics)")


if __name__ == "__main__":
    main()
