"""Run a few rows of one job's real stage, and time them: python -m teachergrid.planning.probing FOLDER. Started by probe.py.

The folder holds given.json (what to run) and tables of texts; result.json and probed.parquet (what a teacher or model said)
are left in it. Rows are timed by what the stage itself leaves behind, shard by shard (SFT: update by update), so that the
model is loaded once, and its start and its rows are told apart.
"""

import json
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from .. import canonical, worker
from ..errors import BadInput
from . import actuals
from .probe_texts import Given

# so many parts of the rows are timed: the first with the start, the others without
PARTS = 3
# seconds until the end of the time is told again
AGAIN = 0.5
# rows of a part, where they are scored: batches of it, at most
BATCHES, MOST = 4, 512
MEMORY = ("OutOfMemoryError", "MemoryError")


class TimeUp(BaseException):
    """The time of the probe is over; what is done by then counts. No Exception, so that no library takes it for its own."""


class Probed(NamedTuple):
    """What a stage did. rows: of all parts, counted as grid.Cells counts them; parts: that were to be done; ends: when each
    of those done ended, in seconds since 1970; read, written: mean tokens of a row before and in its response."""

    rows: float
    parts: int
    ends: list[float]
    read: float
    written: float
    whole: bool


# --- the stages


def generate(texts: Given, settings: dict, rows: int, folder: Path) -> Callable:
    from .. import generation

    teacher = settings["teacher"]
    samples = teacher["sampling"]["samples"]
    asked = texts.instructions(-(-min(rows, PARTS * teacher["batch"]) // samples))
    rows = asked.num_rows * samples
    teacher["shard"] = share(rows, teacher["batch"])
    return by_shard(lambda: generation.respond(asked, settings, folder), folder, rows, parts(rows, teacher["shard"]))


def answer(texts: Given, settings: dict, rows: int, folder: Path) -> Callable:
    """Students are not there yet: their base answers in their place."""
    from .. import generation

    tasks = settings["tasks"]
    talk = settings.pop("reference")
    settings |= {"talk": talk, "format": talk["format"]}
    batch = settings["suite"]["batch"]
    share_of_each = -(-min(rows, PARTS * batch) // len(tasks))
    items = {name: texts.instructions(share_of_each, f"task-{name}") for name in tasks}
    counts = [table.num_rows * tasks[name]["sampling"]["samples"] for name, table in items.items()]
    settings["suite"]["shard"] = share(sum(counts), batch)
    number = sum(parts(n, settings["suite"]["shard"]) for n in counts)
    return by_shard(lambda: generation.answer(items, settings, folder), folder, sum(counts), number)


def reward(texts: Given, settings: dict, rows: int, folder: Path) -> Callable:
    from .. import rewards

    rows = min(rows, PARTS * min(MOST, BATCHES * settings["reward"]["batch"]))
    responses, asked = texts.responses(rows)
    size = -(-rows // PARTS)

    def work():
        with patch.object(rewards, "SHARD", size):
            rewards.score(responses, asked, settings, folder)

    return by_shard(work, folder, rows, parts(rows, size), responses)


def judge(texts: Given, settings: dict, rows: int, folder: Path) -> Callable:
    """Both sides are scored, and have other texts: the opponent says what the model said to another prompt."""
    from .. import artifacts, judges, rewards

    rows = min(rows, PARTS * min(MOST, BATCHES * settings["reward"]["batch"]))
    responses, asked = texts.responses(rows // 2)
    task = next(iter(settings["tasks"]))
    said = [
        {"task": task, "id": row["id"], "sample": i, "answer": row["response"], "finish_reason": row["finish_reason"]}
        for i, row in enumerate(responses.to_pylist())
    ]
    other = [
        row | {"answer": f"{last['answer']} {i}"} for i, (row, last) in enumerate(zip(said, said[::-1], strict=True))
    ]
    answers, baseline = (artifacts.table(side, artifacts.ANSWERS) for side in (said, other))
    size = -(-rows // PARTS)

    def work():
        with patch.object(rewards, "SHARD", size):
            judges.compare(answers, baseline, {task: asked}, settings, folder)

    return by_shard(work, folder, rows, parts(rows, size), responses)


def likelihood(texts: Given, settings: dict, rows: int, folder: Path) -> Callable:
    from .. import likelihood as scoring

    options = settings["likelihood"]
    settings["scorer"] = settings.pop("base")
    a_row = texts.read + 2 * texts.written
    rows = min(rows, PARTS * max(8, min(MOST, int(BATCHES * options["batch_tokens"] / a_row))))
    responses, asked = texts.responses(rows)
    options["shard"] = -(-rows // PARTS)
    number = len(options["formats"]) * parts(rows, options["shard"])
    return by_shard(lambda: scoring.score(responses, asked, settings, folder), folder, rows, number, responses)


def finetune(texts: Given, settings: dict, rows: int, folder: Path) -> Callable:
    """A few updates of the recipe, in one epoch."""
    recipe, ends, wanted = settings["recipe"], [], []
    in_row = recipe["max_length"] / (texts.read + texts.written) if recipe["packing"] else 1
    update = recipe["per_device_train_batch_size"] * recipe["gradient_accumulation_steps"] * max(1, in_row)
    epochs, recipe["num_train_epochs"] = recipe["num_train_epochs"], 1
    responses, asked = texts.responses(min(max(2, rows), round((PARTS + 1) * update)))
    messages = dict(zip(asked["id"].to_pylist(), asked["messages"].to_pylist(), strict=True))
    pairs = [(messages[row["id"]], row["response"]) for row in responses.to_pylist()]

    def train() -> None:
        from .. import launch, sft  # their import is part of a job's start

        class Timed(sft.Marks):
            def on_step_end(self, args, state, control, **more):
                ends.append(time.time())
                wanted[:] = [state.max_steps]
                return super().on_step_end(args, state, control, **more)

        with patch.object(sft, "Marks", Timed):
            given = [settings[key] for key in ("base", "model", "recipe", "seed")]
            launch.train(pairs, *given, folder, launch.Team(), "probe")

    def work() -> Probed:
        whole = in_time(train)
        return Probed(len(pairs) / epochs, sum(wanted), ends, *lengths(responses), whole)

    return work


STAGES = {
    "generate": generate,
    "answer": answer,
    "reward": reward,
    "judge": judge,
    "likelihood": likelihood,
    "finetune": finetune,
}


def by_shard(work: Callable, folder: Path, rows: int, number: int, responses=None) -> Callable:
    """Return what does the work and tells its parts by the shards that it leaves. responses: given and not made by it."""

    def timed() -> Probed:
        import pyarrow as pa
        import pyarrow.parquet as pq

        whole = in_time(work)
        found = sorted(folder.rglob("*.parquet"), key=lambda path: path.stat().st_mtime_ns)
        ends = [path.stat().st_mtime for path in found]
        if responses is not None or not found:
            return Probed(rows, number, ends, *(lengths(responses) if found else (0, 0)), whole)
        said = pa.concat_tables([pq.read_table(path) for path in found])
        pq.write_table(said, folder.parent / "probed.parquet")
        return Probed(rows, number, ends, *lengths(said), whole)

    return timed


def share(rows: int, batch: int) -> int:
    """Return the rows of a part: one batch, of few rows fewer."""
    return max(1, min(batch, -(-rows // PARTS)))


def parts(rows: int, size: int) -> int:
    return -(-rows // size)


def lengths(responses) -> tuple[float, float]:
    import pyarrow.compute as pc

    written = "answer_tokens" if "answer_tokens" in responses.column_names else "response_tokens"
    return tuple(pc.mean(responses[name]).as_py() or 0.0 for name in ("prompt_tokens", written))


def limit(seconds: float) -> None:
    """Raise TimeUp when the seconds are over, and again until it is heard: Python ignores what is raised in a __del__."""

    def up(*_):
        raise TimeUp

    signal.signal(signal.SIGALRM, up)
    signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)


def in_time(work: Callable) -> bool:
    """Do something; return whether it ended before the time was up."""
    try:
        work()
        return True
    except TimeUp:
        return False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


# --- one probe


def probed(folder: Path, given: dict) -> dict:
    """Return what a probe measured (actuals.Probe), or {"failed": why}."""
    # what every stage imports is part of a job's start, and making up texts is not
    from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: F401

    settings, work = canonical.load(given["spec"]), folder / "work"
    work.mkdir()
    begun = time.monotonic()
    stage = STAGES[given["rule"]](Given(folder, given, settings["model"]), settings, given["rows"], work)
    prepared = time.monotonic() - begun
    started = time.time() - actuals.age() + prepared
    found = stage()
    if not found.ends:
        return {"failed": f"not one batch was done within {given['seconds']:g} s"}
    beside = time.time() - found.ends[-1] if found.whole else 0.0
    each, used = found.rows / max(found.parts, len(found.ends)), resource.getrusage(resource.RUSAGE_SELF)
    return {
        "rows": each,
        "seconds": round(found.ends[0] - started + beside, 3),
        "more_rows": each * (len(found.ends) - 1),
        "more_seconds": round(found.ends[-1] - found.ends[0], 3),
        "read": round(found.read, 1),
        "written": round(found.written, 1),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
        "gpu_gb": actuals.gpu_gb(),
        "host_gb": round(used.ru_maxrss / 1e6, 2),
    }


def main(folder: Path) -> None:
    worker.tie(os.getppid(), signal.SIGKILL)
    given = json.loads((folder / "given.json").read_text())
    limit(given["seconds"])
    try:
        found = probed(folder, given)
    except TimeUp:
        found = {"failed": f"not ready to start within {given['seconds']:g} s"}
    except Exception as error:
        traceback.print_exc()
        found = {"failed": told(error)}
    signal.setitimer(signal.ITIMER_REAL, 0)
    (folder / "result.json").write_text(json.dumps(found))


def told(error: Exception) -> str:
    """Return an error in a line; that the memory is too small is worth knowing, and not how much was asked for last."""
    first = str(error).strip().split("\n")[0]
    if type(error).__name__ in MEMORY or "allocate memory" in first:
        held = actuals.gpu_gb()
        return f"out of memory{f' at {held:g} GB' if held else ''}"
    return first if isinstance(error, BadInput) else f"{type(error).__name__}: {first}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
