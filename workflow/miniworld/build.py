"""Build the mini world: data files, tokenizer, two bases, six teachers, two rewriters and the reward model.

    python workflow/miniworld/build.py --out DIR
    python workflow/miniworld/build.py --out DIR --only bs --steps-scale 0.1

Seeds and steps are fixed. Two models are trained at a time, each on one core. A second run continues where the first one
stopped: a model with a folder and a row in models.json is finished; delete its folder to train it again.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import time
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from pathlib import Path

from plan import RECIPES, Places, pending
from world import POOL, TEST, distinct

PROCESSES = 2
REPORT_SECONDS = 20


def write(path: Path, text: str) -> None:
    """Write a file under another name first, so that a stop leaves no half file."""
    part = path.with_name(path.name + ".part")
    part.write_text(text)
    part.rename(path)


def clock(seconds: float) -> str:
    """Return minutes and seconds, such as 2:05."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


class Progress:
    """Prints how far a model is, called with the loss after every step."""

    def __init__(self, name: str, steps: int):
        self.name, self.steps, self.step = name, steps, 0
        self.start = self.last = time.monotonic()

    def __call__(self, loss: float) -> None:
        self.step += 1
        now = time.monotonic()
        if now - self.last > REPORT_SECONDS or self.step == self.steps:
            self.last = now
            left = clock((now - self.start) / self.step * (self.steps - self.step))
            print(f"  {self.name}: step {self.step} of {self.steps}, loss {loss:.3f}, {left} left", flush=True)


def build_model(name: str, out: Path, scale: float) -> dict:
    """Train, save and measure one model in this process. Return its row of models.json."""
    import torch
    from corpora import Guard
    from networks import SHAPES, n_parameters, save
    from recipes import make_model, measure, reward_prompts, sample_teacher, scaled
    from tokenizer import build_tokenizer
    from transformers.utils import logging

    torch.set_num_threads(1)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    recipe, places, tokenizer = RECIPES[name], Places(out), build_tokenizer()
    steps = scaled(recipe.steps, scale)
    model, losses, guard = make_model(recipe, places, tokenizer, scale, Progress(name, steps))
    cpu_seconds = round(time.process_time())  # with the start of the process
    save(model, tokenizer, places.model(name))
    measures = measure(recipe, places, tokenizer)
    if recipe.kind == "teacher":  # here and not for the reward model, because two teachers are built at a time
        sample_teacher(name, places, tokenizer, reward_prompts(Guard()))
    return {
        "name": name,
        "kind": recipe.kind,
        "architecture": str(SHAPES[recipe.size]),
        "parameters": n_parameters(model),
        "parent": recipe.parent,
        "style": recipe.style,
        "steps": steps,
        "cpu_seconds": cpu_seconds,
        "final_loss": round(sum(losses[-50:]) / len(losses[-50:]), 3),
        "items_drawn": guard.drawn,
        "problems_drawn": len(guard.problems),
        **{key: round(value, 3) for key, value in measures.items()},
    }


def write_data(places: Places) -> None:
    """Write the pool of instructions and the tests, one JSON object a line."""
    for split in (POOL, TEST):
        lines = [json.dumps(item.row()) for item in distinct(*split)]
        write(places.out / "data" / f"{split[0]}.jsonl", "\n".join(lines) + "\n")


def write_checksums(places: Places) -> None:
    """Write SHA256SUMS of all shipped files, in order of their paths."""
    files = [path for folder in ("data", "models") for path in (places.out / folder).rglob("*") if path.is_file()]
    names = sorted(path.relative_to(places.out).as_posix() for path in [*files, *places.out.glob("models.json")])
    complete = [name for name in names if ".part" not in name]
    lines = [f"{hashlib.sha256((places.out / name).read_bytes()).hexdigest()}  {name}" for name in complete]
    write(places.out / "SHA256SUMS", "\n".join(lines) + "\n")


def write_row(places: Places, row: dict) -> None:
    """Put a finished model's row into models.json, in the order of the recipes."""
    rows = places.rows() | {row["name"]: row}
    lines = [json.dumps(rows[name]) for name in RECIPES if name in rows]
    write(places.out / "models.json", "[\n" + ",\n".join(lines) + "\n]\n")


def build_models(names: list[str], places: Places, scale: float) -> None:
    """Train the models, parents first, two at a time."""
    waiting, running, start = list(names), {}, time.monotonic()
    work = sum(RECIPES[name].cpu_seconds for name in names)
    # spawn: a forked torch may hang; one task per process: CPU time and memory of a model are its own
    with ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as processes:
        while waiting or running:
            unfinished = {*waiting, *running.values()}
            ready = [name for name in waiting if unfinished.isdisjoint(RECIPES[name].needs)]
            for name in ready[: PROCESSES - len(running)]:
                waiting.remove(name)
                running[processes.submit(build_model, name, places.out, scale)] = name
                print(f"{name}: started", flush=True)
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                name, row = running.pop(future), future.result()
                write_row(places, row)
                write_checksums(places)
                remaining = sum(RECIPES[name].cpu_seconds for name in [*waiting, *running.values()])
                left = clock((time.monotonic() - start) / (work - remaining) * remaining)
                done = len(names) - len(waiting) - len(running)
                print(f"{name}: {json.dumps(row)}\n{done} of {len(names)} models, about {left} left", flush=True)


def main() -> None:
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=here, help="folder to build in; default: where this file is")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=RECIPES, help="build these and what they need")
    parser.add_argument("--steps-scale", type=float, default=1.0, metavar="X", help="multiply all steps, for trials")
    options = parser.parse_args()
    if options.steps_scale != 1 and options.out.resolve() == here:
        parser.error("--steps-scale makes other models than the shipped ones: give it an --out of its own")
    os.environ["OMP_NUM_THREADS"] = "1"  # for the child processes: two threads on one small model are slower than one
    places = Places(options.out.resolve())
    places.make_folders()
    write_data(places)
    shipped = [name for name, recipe in RECIPES.items() if recipe.shipped]
    names = pending(options.only or shipped, places)
    print(f"to build: {' '.join(names) or 'nothing'}", flush=True)
    build_models(names, places, options.steps_scale)
    write_checksums(places)


if __name__ == "__main__":
    main()
