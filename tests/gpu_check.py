"""One check of a machine with one GPU: is what runs there right, how fast is it, and what should a plan expect?

    python tests/gpu_check.py                                            12 minutes at most; writes gpu_check.json
    python tests/gpu_check.py --learn gpu_check.json --results results   plans of these results count on what was measured
    python tests/gpu_check.py --device cpu --small                       all parts on a tiny model, to try the script

It needs torch, transformers, pyarrow and PyYAML; for LoRA also peft, for SFT TRL, for the engine of that name vLLM. A part whose
package is missing says so. Models have random weights of stated sizes, so nothing is downloaded. Each part runs in two processes:
a probe as `plan --probe` runs it (a few rows of the real job, timed), and a comparison. A part that fails does not stop the
others. The exit code is 1 when a part failed or missed a bar, else 0.
"""

import argparse
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PATHS = [str(ROOT / "workflow/scripts"), str(ROOT / "tests/helpers")]
sys.path[:0] = PATHS

import gpu_parts  # noqa: E402

# {part: (rule of its probe, seconds of the probe, seconds of the comparison)}, the most important first
LIMITS = {
    "scorer": ("likelihood", 80, 60),
    "sft": ("finetune", 90, 90),
    "lora": ("finetune", 90, 60),
    "generation": ("generate", 110, 40),
    "armorm": ("reward", 50, 40),
    "vllm": ("generate", 150, 0),
}
NEEDS = {"sft": ("trl", "datasets"), "lora": ("trl", "datasets", "peft"), "vllm": ("vllm",)}
# names in the lines that plans read: of no instructions, teacher or base that a grid has
CELLS = {"generate": "gpu-check__{0}", "likelihood": "{0}/gpu-check__{0}", "reward": "{0}/gpu-check__{0}"}
CELLS["finetune"] = "{0}__gpu-check__{0}__check__s1"
LEAST = 20  # seconds with which no process is started any more
PATIENCE = 3  # times the limits of a tiny model, which is run to try the script, on a machine that may be busy
STARTS = 30  # seconds that a process may take to start and end, beside what it is given
# (part, number, comparison, bar, whether it counts on a tiny model too)
BARS = [
    ("scorer", "ratio", "at least", 0.9, False),
    ("sft", "ratio", "at least", 0.95, False),
    ("generation", "equal", "at least", 1.0, True),
    ("armorm", "largest_difference", "at most", 1e-3, True),
    ("lora", "merged_difference", "at most", 1e-2, True),
]


def main() -> int:
    options = arguments()
    if options.learn:
        return learn(json.loads(Path(options.learn).read_text()), options.results)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=options.work) as place:
        document = check(options, Path(place), began + 60 * options.minutes)
    document["seconds"] = round(time.monotonic() - began, 1)
    Path(options.out).write_text(json.dumps(document, indent=1) + "\n")
    for line in told(document):
        print(line)
    print(
        f"written: {options.out}; python tests/gpu_check.py --learn {options.out} --results results lets plans count on it"
    )
    return int(bool(document["missed"]) or any("failed" in part for part in document["parts"].values()))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--small", action="store_true", help="a tiny model and few rows; speeds are not judged")
    parser.add_argument(
        "--minutes", type=float, default=12, help="after which no part starts, and a running one is ended"
    )
    parser.add_argument("--parts", nargs="+", choices=[*LIMITS], default=[*LIMITS])
    parser.add_argument("--out", default="gpu_check.json")
    parser.add_argument("--work", help="folder for the random models, up to 75 GB; default: that of temporary files")
    parser.add_argument("--learn", metavar="JSON", help="check nothing: add what a file says to --results")
    parser.add_argument("--results", default="results")
    return parser.parse_args()


# --- the check


def check(options: argparse.Namespace, place: Path, end: float) -> dict[str, Any]:
    """Return the document of a check. place: an empty folder. end: by time.monotonic()."""
    from teachergrid.job import usage

    device = "cpu" if options.device == "cpu" else usage.device_type()
    if options.device == "cuda" and device == "cpu":
        sys.exit("no GPU is seen on this machine (nvidia-smi); --device cpu --small tries the script without one")
    shapes = gpu_parts.largest(options.device, options.small, place)
    document: dict[str, Any] = {"version": 1, "machine": machine(device), "parts": {}, "probes": [], "missed": []}
    for part in options.parts:
        print(f"{part}: {shapes[part]}", file=sys.stderr, flush=True)
        found, probe = run(part, shapes[part], options, place, end)
        document["parts"][part] = {"model": shapes[part], **found}
        document["probes"] += [probe] if probe else []
    document["missed"] = missed(document["parts"], options.small)
    return document


def machine(device: str) -> dict[str, Any]:
    """Return what the check ran on."""
    from importlib import metadata

    import torch

    packages = ("torch", "transformers", "accelerate", "peft", "trl", "vllm", "bitsandbytes")
    versions = {name: metadata.version(name) for name in packages if importlib.util.find_spec(name)}
    gpu = torch.cuda.get_device_properties(0) if device != "cpu" else None
    seen = {"name": gpu.name, "memory_gb": round(gpu.total_memory / 1e9, 1)} if gpu else {}
    return {"device": device, **seen, "cpus": os.cpu_count(), "packages": versions}


def run(part: str, shape: str, options: argparse.Namespace, place: Path, end: float) -> tuple[dict, dict | None]:
    """Run a part. Return what it found ("missing", "skipped" or "failed" say why there is nothing), and its line for plans."""
    if lacking := [name for name in NEEDS.get(part, ()) if importlib.util.find_spec(name) is None]:
        return {"missing": ", ".join(lacking)}, None
    rule, probing, comparing = LIMITS[part]
    folder = place / (f"armorm-{shape}" if part == "armorm" else shape)
    if end - time.monotonic() < LEAST:
        return {"skipped": "no time left"}, None
    why = make(folder, shape, options, part == "armorm", end)
    if part == "generation" and not why:
        why = make(place / "parity", "tiny" if options.small else "0.5b", options, False, end)
    if why:
        return {"failed": why}, None
    result, found = None, {}
    for step, limit in (("probe", probing), ("compare", comparing)):
        left = min(limit * (PATIENCE if options.small else 1), end - time.monotonic() - STARTS / 2)
        if limit and left < LEAST:
            found[f"{step}_skipped"] = "no time left"
        elif step == "probe":
            result = probed(rule, gpu_parts.spec(part, folder, shape, options.small), options, place / part, left)
            found |= {"probe": result} if "failed" not in result else result
        elif limit:
            found |= compared(part, folder, shape, options, left)
    if not result or "failed" in result:
        return found, None
    spec = gpu_parts.spec(part, folder, shape, options.small)
    probe = line(part, rule, shape, spec, result, options)
    return found | planned_memory(rule, spec, probe["took"]["device"]), probe


def make(folder: Path, shape: str, options: argparse.Namespace, armorm: bool, end: float) -> str | None:
    """Write a model; return why it could not be. In a process of its own, which gives back the GPU's memory when it ends."""
    given = f"pathlib.Path({str(folder)!r}), {shape!r}, {options.device!r}, {armorm}"
    call = [sys.executable, "-c", f"import gpu_parts, pathlib; gpu_parts.model({given}); print('made')"]
    said = ended(call, options, end - time.monotonic())
    return None if said == "made" else f"its model was not made: {said}"


def environment(options: argparse.Namespace) -> dict[str, str]:
    hidden = {"CUDA_VISIBLE_DEVICES": ""} if options.device == "cpu" else {}
    return {**os.environ, "PYTHONPATH": os.pathsep.join(PATHS), "HF_HUB_OFFLINE": "1", **hidden}


def probed(rule: str, spec: str, options: argparse.Namespace, folder: Path, seconds: float) -> dict[str, Any]:
    """Return what a probe of a job took, as probe.stages writes it; {"failed": why}."""
    folder.mkdir()
    read, written = (20, 10) if options.small else (150, 350)
    task = {
        "rule": rule,
        "spec": spec,
        "rows": 40 if options.small else 100_000,
        "read": read,
        "written": written,
        "threads": 1,
    }
    (folder / "given.json").write_text(json.dumps(task | {"seconds": seconds}))
    call = [sys.executable, "-m", "teachergrid.probe.stages", str(folder)]
    said = ended(call, options, seconds + STARTS)
    result = folder / "result.json"
    found = json.loads(result.read_text()) if result.exists() else {"failed": said}
    shutil.rmtree(folder)
    return found


def compared(part: str, folder: Path, shape: str, options: argparse.Namespace, seconds: float) -> dict[str, Any]:
    """Return the numbers of a part's comparison; {"failed": why}."""
    size = "small" if options.small else "whole"
    said = ended(
        [sys.executable, str(ROOT / "tests/helpers/gpu_parts.py"), part, str(folder), shape, size], options, seconds
    )
    try:
        return {name: float(f"{value:.4g}") for name, value in json.loads(said).items()}
    except ValueError:
        return {"failed": said}


def ended(call: list[str], options: argparse.Namespace, seconds: float) -> str:
    """Run a program, and return the last line that it printed, of its errors where it failed. What it started ends with its time."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    with subprocess.Popen(call, env=environment(options), **pipes) as program:
        try:
            printed, errors = program.communicate(timeout=max(seconds, 1))
        except subprocess.TimeoutExpired:
            os.killpg(program.pid, signal.SIGKILL)
            return f"ended after {seconds:.0f} s"
    said = printed if program.returncode == 0 else errors or f"exit code {program.returncode}"
    return (said.strip().splitlines() or ["it printed nothing"])[-1]


def line(part: str, rule: str, shape: str, spec: str, result: dict, options: argparse.Namespace) -> dict[str, Any]:
    """Return a probe as plans read it: with the kind of job that it was, beside what it took."""
    from teachergrid.cost import workload
    from teachergrid.job import usage

    device = "cpu" if options.device == "cpu" else usage.device_type()
    kind = {"model": f"gpu-check/{part}-{shape}", "device": device, "gpus": int(device != "cpu")}
    kind |= {"parameters": workload.parameters({"spec": spec, "parameters": None})}
    kind |= {"settings": dict(workload.settings(rule, spec))}
    return {"rule": rule, "cell": CELLS[rule].format(f"{part}-{shape}"), "took": result | kind}


def planned_memory(rule: str, spec: str, device: str) -> dict[str, float]:
    """Return what a plan thinks that a job needs of a GPU, to be compared with what its probe took."""
    from teachergrid.cost import machines, memory, workload

    known = machines.read().gpus
    if device not in known:
        return {}
    row = {"spec": spec, "parameters": None, "gpus": 1}
    job = workload.of_row(rule, row)
    return {"planned_gb": round(memory.memory(job, memory.shape(row, job.parameters), known[device]), 1)}


def missed(parts: dict[str, dict], small: bool) -> list[str]:
    """Return a sentence for each bar that a part missed."""
    wrong = []
    for part, name, how, bar, always in BARS:
        value = parts.get(part, {}).get(name)
        if value is not None and (always or not small) and (value < bar if how == "at least" else value > bar):
            wrong.append(f"{part}: {name} is {value:g}, {how} {bar:g} is right")
    return wrong


def told(document: dict[str, Any]) -> list[str]:
    """Return the document in words, a line for each part."""
    lines = [f"{document['machine'].get('name', document['machine']['device'])}, {document['seconds']:.0f} s"]
    for name, part in document["parts"].items():
        values = {key: value for key, value in part.items() if key not in ("model", "probe")}
        if probe := part.get("probe"):
            rate = probe["more_rows"] / probe["more_seconds"] if probe["more_seconds"] else 0
            values["probe"] = f"{rate:.3g} rows/s after the first {probe['rows']:.3g}"
            values["peak_gb"] = probe["gpu_gb"] or probe["host_gb"]
        lines.append(f"{name} ({part['model']}): {', '.join(f'{key} {value}' for key, value in values.items())}")
    return lines + [f"MISSED {sentence}" for sentence in document["missed"]]


# --- what plans learn


def learn(document: dict[str, Any], results: str) -> int:
    """Add the probes of a check to a folder of results, where plans read them. Twice is once: the latest of a kind counts."""
    from teachergrid.job import fingerprint
    from teachergrid.store.job_index import PROBES, remember

    for probe in document["probes"]:
        remember(results, probe["rule"], probe["cell"], fingerprint.fingerprint(probe["rule"]), probe["took"], PROBES)
    print(f"{len(document['probes'])} measurements on {document['machine']['device']} added to {results}/{PROBES}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
