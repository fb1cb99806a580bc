"""Run the workflow to its end: free a dead run's lock, go on when a cell dies, report over what exists.

teachergrid run [Snakemake's options]

Exit code 0: all done; 1: some cells failed, the report says which; 2: not started; 130: stopped by Ctrl-C.
"""

import subprocess
import sys
from pathlib import Path

import yaml

from . import lock
from .errors import BadInput

RESULTS = "results"


def main(argv: list[str]) -> int:
    try:
        free_dead_lock()
        lock.take(RESULTS)
    except BadInput as error:
        print(f"not started: {error}", file=sys.stderr)
        return 2
    try:
        failed = snakemake(argv) != 0
        if failed and any_made():
            print("some cells failed; the report is made over what exists", file=sys.stderr, flush=True)
            snakemake(with_config(argv, "partial=True"))
    except KeyboardInterrupt:
        print("stopped; what is finished is kept, run again to go on", file=sys.stderr)
        return 130
    finally:
        lock.release(RESULTS)
    show_reports()
    return int(failed)


def snakemake(argv: list[str]) -> int:
    """Run Snakemake in a process of its own, with our progress lines instead of its job descriptions.

    Raises KeyboardInterrupt after Ctrl-C, when Snakemake, which gets it too, has ended its jobs and freed its lock.
    """
    quiet = [] if any(arg in ("--quiet", "-q", "-n", "--dry-run") for arg in argv) else ["--quiet", "all"]
    process = subprocess.Popen([sys.executable, "-m", "teachergrid.progress", *argv, *quiet])
    interrupted = None
    while process.returncode is None:
        try:
            process.wait()
        except KeyboardInterrupt as interrupt:
            interrupted = interrupt
    if interrupted:
        raise interrupted
    return process.returncode


def free_dead_lock() -> None:
    """Free the locks of a run that is proven dead. Raises BadInput when it lives, or its jobs do."""
    owner = lock.refuse_if_held(RESULTS)
    if owner is not None:
        print(
            f"the run of process {owner['pid']} died; its lock is freed, and its work goes on",
            file=sys.stderr,
            flush=True,
        )
        subprocess.call([sys.executable, "-m", "snakemake", "--unlock", "--quiet", "all"])


def with_config(argv: list[str], setting: str) -> list[str]:
    """Add a setting to Snakemake's options; a second --config would replace the first."""
    for flag in ("--config", "-C"):
        if flag in argv:
            at = argv.index(flag) + 1
            return [*argv[:at], setting, *argv[at:]]
    return [*argv, "--config", setting]


def any_made() -> bool:
    return any(Path(RESULTS).glob("scores/*/*/*.parquet"))


def show_reports() -> None:
    """Print the answer of each grid, and where its report is."""
    for path in sorted(Path(RESULTS).glob("grids/*/recommendation.yaml")):
        found = yaml.safe_load(path.read_text()) or {}
        for base, answer in (found.get("bases") or {}).items():
            if answer.get("best") is not None:
                tied = [unit for unit in answer.get("tied") or [] if unit != answer["best"]]
                beside = f"; not distinguishable from {', '.join(tied)}" if tied else ""
                print(
                    f"{path.parent.name}: for {base} take {answer['best']}: {answer['value']:.1f} "
                    f"[{answer['low']:.1f}, {answer['high']:.1f}]{beside}"
                )
        print(f"report: {path.parent / 'report.html'}")
