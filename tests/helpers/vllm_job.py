"""Jobs of the demo's teachers under both engines, also as a program that can be killed: python vllm_job.py WHAT FOLDER [OPTIONS]"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
ROWS = 160
CONFIG = yaml.safe_load((ROOT / "config/config.yaml").read_text())
# {temperature: a teacher of the demo}, all of one model
_DRAWS = {name: entry for name, entry in CONFIG["teachers"].items() if entry["sampling"].get("temperature")}
_MODEL = next(iter(_DRAWS.values()))["model"]
TEACHERS = {
    entry["sampling"].get("temperature", 0): name
    for name, entry in CONFIG["teachers"].items()
    if entry["model"] == _MODEL
}
PATH = [ROOT / "workflow/scripts", ROOT / "tests/helpers"]
ENV = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, PATH)), "OMP_NUM_THREADS": "1"}


def checked() -> dict:
    from teachergrid.grid import config

    os.chdir(ROOT)
    return config.checked(CONFIG)


def asked(full: dict, name: str):
    from teachergrid.data import loading

    entry = full["instructions"][name]
    return loading.load(entry["source"], entry, name).slice(0, ROWS)


def sha256(
    name: str, engine: str, folder: Path, shard: int = 1024, backwards: bool = False, shared: int | None = None
) -> str:
    """Write a teacher's responses to `responses.parquet` in the folder, without an origin, and return the file's sha256."""
    from teachergrid.data import generate
    from teachergrid.store import artifacts

    full = checked()
    given = asked(full, next(iter(full["instructions"])))
    order = list(range(len(given)))[:: -1 if backwards else 1]
    teacher = full["teachers"][name] | {"engine": engine, "shard": shard}
    settings = {"teacher": teacher, "model": full["models"][teacher["model"]] | {"tensor_parallel": shared}}
    rows, groups, _ = generate.respond(given.take(order), settings, folder / "work")
    path = folder / "responses.parquet"
    artifacts.write(path, rows.take(order), artifacts.RESPONSES, None, row_groups=groups)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def suite() -> tuple[dict, dict]:
    """Return the settings of answers to a suite of two tasks, greedy and drawn, and the tasks' prompts."""
    from teachergrid.data import loading

    full = checked()
    [reference, *_] = [entry for entry in full["references"].values() if entry["format"] == "chat"]
    [(name, task), *_] = full["tasks"].items()
    tasks = {name: task, "drawn": task | {"sampling": task["sampling"] | {"temperature": 1.0, "seed": 5}}}
    items = loading.load_tasks(tasks, [entry["prompts"] for entry in tasks.values()])
    settings = {
        "model": full["models"][reference["model"]],
        "chat": reference,
        "format": "chat",
        "tasks": tasks,
        "suite": {"engine": "transformers", "batch": 64, "shard": 1024},
    }
    return settings, {name: table.slice(0, 40) for name, table in items.items()}


def other_weights() -> Path:
    """Return a folder of weights that a student could have: of the same shape as the model of `suite`."""
    settings, _ = suite()
    full = checked()
    shape = json.loads(Path(settings["model"]["repo"], "config.json").read_text())
    for entry in full["models"].values():
        own = json.loads(Path(entry["repo"], "config.json").read_text())
        if own["architectures"] == shape["architectures"] and entry["repo"] != settings["model"]["repo"]:
            return Path(entry["repo"])
    raise LookupError("no other model of this kind")


def start(name: str, folder: Path, **options) -> subprocess.Popen:
    """Start `sha256` of a teacher under vLLM in a process of its own."""
    argv = [sys.executable, "-u", __file__, name, str(folder), json.dumps(options)]
    return subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ENV, errors="replace"
    )


def matches(pattern: str, text: str) -> bool:
    return bool(re.search(pattern, text))


def nan(folder: Path) -> None:
    """Let a model whose weights are not numbers generate."""
    import torch
    from safetensors.torch import load_file, save_file
    from teachergrid.data import generate

    full = checked()
    teacher = full["teachers"][TEACHERS[0]] | {"engine": "vllm"}
    copy = shutil.copytree(full["models"][teacher["model"]]["repo"], folder / "model")
    weights = load_file(copy / "model.safetensors")
    weights = {name: torch.full_like(weight, torch.nan) for name, weight in weights.items()}
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    model = full["models"][teacher["model"]] | {"repo": str(copy), "revision": None}
    generate.respond(
        asked(full, next(iter(full["instructions"]))), {"teacher": teacher, "model": model}, folder / "work"
    )


def speed(folder: Path) -> None:
    """Print tokens a CPU-second: of LLM.generate, and of our engine greedy and drawn, each with a load of its own."""
    from teachergrid.data import loading
    from teachergrid.engines import vllm, vllm_copy
    from teachergrid.engines.prompts import Reader
    from teachergrid.engines.requests import Setup, requests_of

    full = checked()
    greedy, drawn = (full["teachers"][TEACHERS[temperature]] for temperature in (0, 1.5))
    name, entry = next(iter(full["instructions"].items()))
    table = loading.load(entry["source"], entry | {"sample": None}, name)
    of = {name: requests_of(table, t["sampling"]) for name, t in (("greedy", greedy), ("drawn", drawn))}
    setup = Setup(full["models"][greedy["model"]], greedy, requests=of["greedy"], work=folder)
    reader = Reader.of(setup)
    options = vllm.options_of(setup, reader)
    begun, cpu = time.time(), time.process_time()
    copy = vllm_copy.Copy(options, [""])
    start, start_cpu = time.time() - begun, time.process_time() - cpu
    from vllm import LLM
    from vllm.inputs import tokens_input

    llm = LLM(**{**options, "logits_processors": None}, enforce_eager=True)
    prompts = reader.ids(of["greedy"])

    def own() -> int:
        asked = [vllm_copy.Asked(i, prompt, greedy["sampling"]["max_tokens"], None) for i, prompt in enumerate(prompts)]
        params = [vllm_copy.params_of(one, reader.stops) for one in asked]
        done = llm.generate([tokens_input(list(one.prompt)) for one in asked], params, use_tqdm=False)
        return sum(len(one.outputs[0].token_ids) for one in done)

    def ours(name: str) -> int:
        asked = [
            vllm_copy.Asked(i, prompt, request.sampling["max_tokens"], vllm.draw_of(request))
            for i, (request, prompt) in enumerate(zip(of[name], prompts, strict=True))
        ]
        return sum(len(done.ids) for done in copy.stream(sorted(asked, key=vllm.order_of), reader.stops))

    found: dict[str, list[float]] = {name: [] for name in ("own", "greedy", "drawn")}
    for _ in range(6):
        for name in found:
            # all begin without the prefixes of the round before
            for one in (copy._engine, llm.llm_engine):
                one.reset_prefix_cache()
            cpu = time.process_time()
            tokens = own() if name == "own" else ours(name)
            found[name].append(tokens / (time.process_time() - cpu))
    # the first round warms up; the best is what other work on the machine disturbs least
    best = {name: max(rates[1:]) for name, rates in found.items()}
    print(
        "SPEED",
        *(f"{name}={rate:.0f}" for name, rate in best.items()),
        f"start={start:.1f}",
        f"cpu={start_cpu:.1f}",
        flush=True,
    )


def main(what: str, folder: Path, options: str = "{}") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    given = json.loads(options)
    if several := given.pop("copies", None):
        from teachergrid.engines import vllm

        vllm.devices_of = lambda setup: [[""]] * several
    if what == "heads":
        name = TEACHERS[0]
        sha256(name, "vllm", folder, shared=next(n for n in (2, 3) if heads(name) % n))
    elif what in ("nan", "speed"):
        {"nan": nan, "speed": speed}[what](folder)
    else:
        print("sha256", sha256(what, "vllm", folder, **given), flush=True)


def heads(teacher: str) -> int:
    """Return the number of attention heads of a teacher's model: several processes share it if they divide that."""
    folder = Path(ROOT, CONFIG["models"][CONFIG["teachers"][teacher]["model"]]["repo"])
    return json.loads((folder / "config.json").read_text())["num_attention_heads"]


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
