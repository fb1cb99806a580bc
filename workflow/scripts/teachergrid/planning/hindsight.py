"""What each job was expected to take when its run began, held against what it took.

`teachergrid run` notes its estimates before Snakemake starts, one file a start in `results/.estimates/`. They come from the
table of cells alone: no graph is built, so they hold every cell of the grid, whether it is made already or not.
"""

import gzip
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from .. import disk
from ..errors import BadInput
from ..jobs import index_lines
from .estimate import Estimate, estimate

FOLDER = ".estimates"
MOST = 20  # starts that are kept
BOUNDS = ("low", "expected", "high")


# --- before a run


def note(cells, asked, results: str, say) -> None:
    """Keep what each cell may take. cells: grid.Cells; asked: options.Options. What cannot be estimated is said, and stops nothing."""
    from .document import Setting

    try:
        found = expected(cells, Setting.of(asked.plan))
    except BadInput as error:
        say(f"no estimates are noted: {error}")
        return
    with disk.spared():
        keep(found, results)


def expected(cells, setting) -> dict[str, dict[str, list[Estimate]]]:
    """Return rule -> cell -> one estimate for each device type that the job may get, the likeliest first.

    cells: grid.Cells; setting: document.Setting. Raises BadInput for a GPU type that the machines do not know.
    """
    from .forecast import fitting, pools_of

    def devices(rule: str, row: dict) -> Iterable[str]:
        pools = pools_of(row, setting.cluster, setting.gpu)
        return dict.fromkeys(fitting({"rule": rule, "row": row}, pools, setting.machines).values())

    found = {}
    for rule, rows in cells.rows.items():
        gpus = of_profile(setting.args, rule)
        found[rule] = {}
        for cell, row in rows.items():
            row = row if gpus is None else row | {"gpus": gpus}
            offered = [
                estimate(rule, row, kind, setting.actuals, setting.machines, cell) for kind in devices(rule, row)
            ]
            found[rule][cell] = [one._replace(**{b: round(getattr(one, b), 3) for b in BOUNDS}) for one in offered]
    return found


def of_profile(args, rule: str) -> int | None:
    """Return the GPUs that Snakemake's options give each job of a rule, whatever the config says; None where they do not, or
    by an expression, which only a job has the values for."""
    asked = ((args.set_resources or {}).get(rule) or {}).get("gpu")
    return None if asked is None or asked.is_evaluable() else asked.value


def keep(found: dict, results: str, now_ns: int | None = None) -> None:
    """Keep the estimates of one start; the oldest beyond MOST go. Those that are already the last ones are not kept twice."""
    text = json.dumps(found, separators=(",", ":")).encode()
    before = kept(results)
    if before and gzip.decompress(before[-1].read_bytes()) == text:
        return
    path = Path(results, FOLDER, f"{now_ns or time.time_ns()}.json.gz")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(gzip.compress(text, compresslevel=1))
    part.replace(path)
    for old in [*before, path][:-MOST]:
        old.unlink()


def kept(results: str) -> list[Path]:
    """Return the files of the starts, oldest first; each is named by its time in ns."""
    return sorted(Path(results, FOLDER).glob("*.json.gz"), key=_time_ns)


def _time_ns(path: Path) -> int:
    return int(path.name.split(".")[0])


# --- after it


class Finished(NamedTuple):
    """A job. began: seconds since 1970; seconds, device, gpus: as its line says (planning.actuals)."""

    rule: str
    cell: str
    began: float
    seconds: float
    device: str
    gpus: int


def finished(results: str, cells: Iterable[tuple[str, str]]) -> list[Finished | None]:
    """Return the last job of each cell that a job has finished here; None for one that ended what a killed job had begun.

    The seconds of such a one are not those of the whole job, and its line has none.
    """
    last = {(words[1], words[2]): words for words in sorted(index_lines(results), key=lambda words: int(words[0]))}
    return [_finished(*last[key]) for key in cells if key in last]


def _finished(time_ns: str, rule: str, cell: str, _, *told: str) -> Finished | None:
    if not told:
        return None
    took = json.loads(told[0])
    return Finished(rule, cell, int(time_ns) / 1e9 - took["seconds"], *(took[k] for k in ("seconds", "device", "gpus")))


def paired(jobs: Iterable[Finished], noted: list[tuple[float, dict]]) -> list[tuple[Finished, Estimate | None]]:
    """Return each job with the last estimate that was made before it began, None where there is none.

    noted: (seconds since 1970, estimates as `expected` gives them, or as JSON), oldest first. Of several device types the
    job's own counts, else the likeliest.
    """
    return [(job, _chosen(_before(job, noted), job.device)) for job in jobs]


def _before(job: Finished, noted: list[tuple[float, dict]]) -> list:
    for made, estimates in reversed(noted):
        if made <= job.began and (offered := estimates.get(job.rule, {}).get(job.cell)):
            return offered
    return []


def _chosen(offered: list, device: str) -> Estimate | None:
    known = [Estimate(*one) for one in offered]
    return next((one for one in known if one.device == device), known[0] if known else None)


def by_stage(pairs: Iterable[tuple[Finished, Estimate]]) -> list[dict]:
    """Return one row a rule, and apart for its jobs on GPUs and on CPUs.

    Keys: rule, on_gpus, jobs, estimated_s and actual_s (seconds, GPU-seconds on GPUs; what ran on another type of device than
    estimated counts the GPUs that it had), inside (jobs that took between low and high).
    """
    rows = {}
    for job, guess in pairs:
        sums = dict.fromkeys(("jobs", "estimated_s", "actual_s", "inside"), 0)
        row = rows.setdefault((job.rule, job.gpus > 0), {"rule": job.rule, "on_gpus": job.gpus > 0, **sums})
        row["jobs"] += 1
        row["estimated_s"] += guess.expected * max(1, job.gpus)
        row["actual_s"] += job.seconds * max(1, job.gpus)
        row["inside"] += guess.low <= job.seconds <= guess.high
    return list(rows.values())


def compared(results: str, cells: Iterable[tuple[str, str]]) -> dict:
    """Return {"stages": by_stage, and how many jobs are not among them or not what was planned: "unplanned": began without
    an estimate, "resumed": went on from a killed job, "elsewhere": counted, but on another type of device}.

    cells: the (rule, cell) to look at, in the order of the stages; those that no job has finished here do not count.
    """
    jobs = finished(results, cells)
    noted = [(_time_ns(path) / 1e9, json.loads(gzip.decompress(path.read_bytes()))) for path in kept(results)]
    pairs = paired(filter(None, jobs), noted)
    known = [(job, guess) for job, guess in pairs if guess]
    return {
        "stages": by_stage(known),
        "unplanned": len(pairs) - len(known),
        "resumed": jobs.count(None),
        "elsewhere": sum(job.device != guess.device for job, guess in known),
    }
