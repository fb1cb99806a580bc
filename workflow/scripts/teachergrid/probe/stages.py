"""Run a few rows of one job's real stage, and time them: python -m teachergrid.probe.stages FOLDER. Started by probe/kinds.py.

The folder holds given.json (what to run) and tables of texts. The process writes result.json, and the responses of a teacher
or model to probed.parquet. Rows are timed by the shards that the stage writes (SFT: by its updates). So the model is loaded only
once, and the start and the rows are measured separately.
"""

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..engines.rows import together
from ..errors import BadInput
from ..job import forks, usage
from ..spec import canonical
from ..spec.settings import of_answers, of_likelihoods
from ..training import worker
from .texts import Given

if TYPE_CHECKING:
    import pyarrow as pa

PARTS = 3  # into which the rows are divided: the first is timed together with the start, the others alone
AGAIN = 0.5  # seconds after which the signal that the time is over is repeated
BATCHES, MOST = 4, 512  # where rows are scored, a part has BATCHES batches, but not more than MOST rows
MEMORY = ("OutOfMemoryError", "MemoryError")


class TimeUp(BaseException):
    """The time of the probe is over; what it has done by then counts. Not an Exception, so that no library catches it."""


class Probed(NamedTuple):
    """What a stage did.

    rows: of all parts, counted as in grid.cells.Cells. parts: their number, finished or not.
    ends: when each finished part ended, in seconds since 1970. read, written: mean tokens of a row before its response and in it.
    whole: whether all parts were finished.
    """

    rows: float
    parts: int
    ends: list[float]
    read: float
    written: float
    whole: bool


Stage = Callable[[], Probed]


# --- the stages: each returns a function that runs its rows and times them


def generate(texts: Given, settings: dict, rows: int, folder: Path) -> Stage:
    from ..data import generate as generation

    teacher = settings["teacher"]
    samples, batch = teacher["sampling"]["samples"], together(teacher)
    asked = texts.instructions(-(-min(rows, PARTS * batch) // samples))
    teacher["shard"] = share(rows := asked.num_rows * samples, batch)
    return by_shard(lambda: generation.respond(asked, settings, folder), folder, rows, parts(rows, teacher["shard"]))


def answer(texts: Given, settings: dict, rows: int, folder: Path) -> Stage:
    """Students do not exist yet, so their base answers in their place."""
    from ..evaluation import answer as answering

    base = of_answers(settings)
    tasks, batch = base["tasks"], together(base["suite"])
    share_of_each = -(-min(rows, PARTS * batch) // len(tasks))
    items = {name: texts.instructions(share_of_each, f"task-{name}") for name in tasks}
    counts = [table.num_rows * tasks[name]["sampling"]["samples"] for name, table in items.items()]
    base["suite"]["shard"] = share(sum(counts), batch)
    number = sum(parts(n, base["suite"]["shard"]) for n in counts)
    return by_shard(lambda: answering.answer(items, base, folder), folder, sum(counts), number)


def reward(texts: Given, settings: dict, rows: int, folder: Path) -> Stage:
    from ..scoring import reward as rewards

    rows = min(rows, PARTS * min(MOST, BATCHES * settings["reward"]["batch"]))
    responses, asked = texts.responses(rows)
    size = settings["reward"]["shard"] = -(-rows // PARTS)
    work = partial(rewards.score, responses, asked, settings, folder)
    return by_shard(work, folder, rows, parts(rows, size), responses)


def judge(texts: Given, settings: dict, rows: int, folder: Path) -> Stage:
    """Both sides are scored and need different texts, so the opponent gets the model's answers to other prompts."""
    from ..evaluation import judge as judging
    from ..store import artifacts

    rows = min(rows, PARTS * min(MOST, BATCHES * settings["reward"]["batch"]))
    responses, asked = texts.responses(-(-rows // 2))
    task = next(iter(settings["tasks"]))
    own = [
        {"task": task, "id": row["id"], "sample": i, "answer": row["response"], "finish_reason": row["finish_reason"]}
        for i, row in enumerate(responses.to_pylist())
    ]
    other = [
        row | {"answer": f"{last['answer']} {i}"} for i, (row, last) in enumerate(zip(own, own[::-1], strict=True))
    ]
    answers, baseline = (artifacts.table(side, artifacts.ANSWERS) for side in (own, other))
    size = settings["reward"]["shard"] = -(-len(own) // 2)  # the sides have shards of their own
    work = partial(judging.compare, answers, baseline, {task: asked}, settings, folder)
    return by_shard(work, folder, 2 * len(own), 2 * parts(len(own), size), responses)


def likelihood(texts: Given, settings: dict, rows: int, folder: Path) -> Stage:
    from ..scoring import likelihood as likelihoods

    scorer = of_likelihoods(settings)
    options = scorer["likelihood"]
    a_row = texts.read + 2 * texts.written
    rows = min(rows, PARTS * max(8, min(MOST, int(BATCHES * options["batch_tokens"] / a_row))))
    responses, asked = texts.responses(rows)
    options["shard"] = -(-rows // PARTS)
    number = len(options["formats"]) * parts(rows, options["shard"])
    return by_shard(lambda: likelihoods.score(responses, asked, scorer, folder), folder, rows, number, responses)


def finetune(texts: Given, settings: dict, rows: int, folder: Path) -> Stage:
    """A few updates of the recipe, in one epoch."""
    recipe = settings["recipe"]
    in_row = recipe["max_length"] / (texts.read + texts.written) if recipe["packing"] else 1
    update = recipe["per_device_train_batch_size"] * recipe["gradient_accumulation_steps"] * max(1, in_row)
    epochs, recipe["num_train_epochs"] = recipe["num_train_epochs"], 1
    responses, asked = texts.responses(min(max(2, rows), round((PARTS + 1) * update)))
    messages = dict(zip(asked["id"].to_pylist(), asked["messages"].to_pylist(), strict=True))
    pairs = [(messages[row["id"]], row["response"]) for row in responses.to_pylist()]

    updates = 0
    ends: list[float] = []

    def train() -> None:
        from transformers import TrainerCallback

        from ..training import launch  # its import is part of a job's start
        from ..training.training import Training

        class Timer(TrainerCallback):
            def on_step_end(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
                nonlocal updates
                updates = state.max_steps
                ends.append(time.time())

        training = Training(pairs, settings["base"], settings["model"], recipe, settings["seed"], folder)
        launch.train(training, launch.Team(), "probe", [Timer()])

    def work() -> Probed:
        whole = in_time(train)
        read, written = lengths(responses)
        return Probed(len(pairs) / epochs, updates, ends, read, written, whole)

    return work


# {rule: function of (texts, settings from the spec, most rows to run, folder for unfinished work)}
STAGES: dict[str, Callable[[Given, dict, int, Path], Stage]] = {
    "generate": generate,
    "answer": answer,
    "reward": reward,
    "judge": judge,
    "likelihood": likelihood,
    "finetune": finetune,
}


def by_shard(
    work: Callable[[], object], folder: Path, rows: int, number: int, responses: "pa.Table | None" = None
) -> Stage:
    """Return a function that does the work and times its `number` parts by their shards (responses, if None is given)."""

    def timed() -> Probed:
        import pyarrow as pa
        import pyarrow.parquet as pq

        whole = in_time(work)
        paths = sorted(folder.rglob("*.parquet"), key=lambda path: path.stat().st_mtime_ns)
        ends = [path.stat().st_mtime for path in paths]
        if not paths:
            return Probed(rows, number, [], 0, 0, whole)
        if (texts := responses) is None:
            texts = pa.concat_tables([pq.read_table(path) for path in paths])
            pq.write_table(texts, folder.parent / "probed.parquet")
        read, written = lengths(texts)
        return Probed(rows, number, ends, read, written, whole)

    return timed


def share(rows: int, batch: int) -> int:
    """Return the rows of a part: one batch, or fewer where there are few rows."""
    return max(1, min(batch, -(-rows // PARTS)))


def parts(rows: int, size: int) -> int:
    """Return the number of parts of so many rows."""
    return -(-rows // size)


def lengths(responses: "pa.Table") -> tuple[float, float]:
    """Return the mean tokens of a row before its response, and in it."""
    import pyarrow.compute as pc

    written = "answer_tokens" if "answer_tokens" in responses.column_names else "response_tokens"
    read, of_response = (pc.mean(responses[name]).as_py() or 0.0 for name in ("prompt_tokens", written))
    return read, of_response


def limit(seconds: float) -> None:
    """Raise TimeUp after so many seconds, and repeatedly: Python ignores an exception that is raised in a __del__."""

    def up(*_: object) -> None:
        raise TimeUp

    signal.signal(signal.SIGALRM, up)
    signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)


def in_time(work: Callable[[], object]) -> bool:
    """Call `work`. Return whether it ended before the time was over."""
    try:
        work()
        return True
    except TimeUp:
        return False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


# --- one probe


def probed(folder: Path, task: dict[str, Any]) -> dict[str, Any]:
    """Return what a probe measured (actuals.Probe), or {"failed": why}. task: the content of given.json."""
    # imports are no part of a job's start where jobs are forks of a process that has done them; nor is making up texts, anywhere
    imported = (usage.age(), usage.cpu_seconds()) if task["threads"] == 1 and forks.possible() else (0.0, 0.0)
    settings, work = canonical.load(task["spec"]), folder / "work"
    work.mkdir()
    begun = time.monotonic()
    stage = STAGES[task["rule"]](Given(folder, task, settings["model"]), settings, task["rows"], work)
    prepared = time.monotonic() - begun
    started = time.time() - usage.age() + imported[0] + prepared
    outcome = stage()
    if not outcome.ends:
        return {"failed": f"not one batch was done within {task['seconds']:g} s"}
    after = time.time() - outcome.ends[-1] if outcome.whole else 0.0
    each = outcome.rows / max(outcome.parts, len(outcome.ends))
    return {
        "rows": each,
        "seconds": round(outcome.ends[0] - started + after, 3),
        "more_rows": each * (len(outcome.ends) - 1),
        "more_seconds": round(outcome.ends[-1] - outcome.ends[0], 3),
        "read": round(outcome.read, 1),
        "written": round(outcome.written, 1),
        "cpu_seconds": round(usage.cpu_seconds() - imported[1], 2),
        "gpu_gb": usage.gpu_gb(),
        "host_gb": usage.host_gb(),
    }


def main(folder: Path) -> None:
    """Run the probe of a folder, and write its result there."""
    worker.attach_to_parent(os.getppid(), signal.SIGKILL)
    task = json.loads((folder / "given.json").read_text())
    limit(task["seconds"])
    try:
        from ..models import preload  # noqa: F401  # what every job imports

        result = probed(folder, task)
    except TimeUp:
        result = {"failed": f"not ready to start within {task['seconds']:g} s"}
    except Exception as error:
        traceback.print_exc()
        result = {"failed": in_words(error)}
    signal.setitimer(signal.ITIMER_REAL, 0)
    (folder / "result.json").write_text(json.dumps(result))


def in_words(error: Exception) -> str:
    """Return an error as a line of text. For a lack of memory: the peak memory, not the request that failed."""
    first = str(error).strip().split("\n")[0]
    if type(error).__name__ in MEMORY or "allocate memory" in first:
        held = usage.gpu_gb()
        return f"out of memory{f' at {held:g} GB' if held else ''}"
    return first if isinstance(error, BadInput) else f"{type(error).__name__}: {first}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
