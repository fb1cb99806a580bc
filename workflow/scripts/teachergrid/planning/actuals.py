"""What finished jobs really took: one line a job in `results/.jobs/`, which outlives its outputs and `make clean`.

Written by the job itself at its end (usage.py); `results/.probes/` holds what a few rows of a kind of job took (probe.py). Snakemake's benchmarks go with the results, count the wait for free GPUs, and know
neither rows nor tokens; what both know is only written there.
"""

import json
from typing import NamedTuple

from ..errors import BadInput
from ..jobs import INDEX, PROBES, index_lines
from . import work


class Actual(NamedTuple):
    """One finished job. seconds: from its process' start, without the wait for devices. memory: peak GB of one GPU, and of
    the host. tokens, read: of the responses it made or saw and of their prompts (SFT: those trained on). work.rows: 0 where
    they are not known; None: not known.
    """

    rule: str
    cell: str
    work: work.Work
    device: str
    seconds: float
    cpu_seconds: float
    tokens: int | None
    read: int | None
    gpu_gb: float | None
    host_gb: float


class Probe(NamedTuple):
    """A few rows of one kind of job, in two parts. seconds: from its process' start to the end of the rows of `work`, with
    what it does after its last row; more: the work of the rows after these, which took more_seconds (0 rows where its time
    was over before). cpu_seconds: of all. model: repo@revision. cell: of the grid, or a base that answered in its students' place."""

    rule: str
    cell: str
    model: str
    work: work.Work
    device: str
    seconds: float
    more: work.Work
    more_seconds: float
    cpu_seconds: float
    gpu_gb: float | None
    host_gb: float


# --- read by the plan


class Actuals(NamedTuple):
    """jobs: by rule, oldest first. lengths: (rule, cell) -> (settings, mean tokens of a row before, and in, its response).

    probes: the latest of each kind of job.
    """

    jobs: dict[str, list[Actual]]
    lengths: dict[tuple[str, str], tuple]
    probes: tuple[Probe, ...] = ()


def load(results: str, extra: list[str] = ()) -> Actuals:
    """Return what the finished jobs of a results folder took, and of others (--actuals).

    Raises BadInput for another folder without any. A line that a dying machine cut off says nothing.
    """
    lines = []
    for folder in (*extra, results):
        found = list(index_lines(folder))
        if not found and folder in extra:
            raise BadInput(f"--actuals {folder}: no jobs are recorded in {folder}/{INDEX}; name a results folder")
        lines += found
    lines.sort(key=lambda words: int(words[0]))
    lengths, jobs, known, probes = {}, {}, {}, {}
    told = [(words[1], words[2], json.loads(words[4])) for words in lines if len(words) == 5]
    for rule, cell, said in told:
        said["settings"] = known.setdefault(json.dumps(said["settings"]), tuple(sorted(said["settings"].items())))
        if rule in ("generate", "answer") and said.get("rows") and said.get("tokens") is not None:
            lengths[rule, cell] = (
                said["settings"],
                (said.get("read") or 0) / said["rows"],
                said["tokens"] / said["rows"],
            )
    for rule, cell, said in told:
        jobs.setdefault(rule, []).append(_actual(rule, cell, said, lengths))
    for _, rule, cell, _, said in sorted(index_lines(results, PROBES), key=lambda words: int(words[0])):
        probe = _probe(rule, cell, json.loads(said))
        probes[kind(probe, probe.model)] = probe
    return Actuals(jobs, lengths, tuple(probes.values()))


def kind(job: Actual | Probe, model: str | None = None) -> tuple:
    """Return what jobs of one kind share."""
    return job.rule, model, job.work.settings, job.work.parameters, job.work.gpus, job.device


def _probe(rule: str, cell: str, said: dict) -> Probe:
    found = tuple(sorted(said["settings"].items()))
    done = work.Work(rule, said["rows"], said["read"], said["written"], said["parameters"], said["gpus"], 1, found)
    more = done._replace(rows=said["more_rows"])
    took = [said[name] for name in ("more_seconds", "cpu_seconds", "gpu_gb", "host_gb")]
    return Probe(rule, cell, said["model"], done, said["device"], said["seconds"], more, *took)


def _actual(rule: str, cell: str, said: dict, lengths: dict) -> Actual:
    found = said["settings"]
    read, written = mean_lengths(rule, cell, found, lengths) or (work.PROMPT, work.usual(dict(found)))
    gpus, nodes, parameters = said["gpus"], said["nodes"], said["parameters"]
    done = work.Work(rule, said.get("rows") or 0, read, written, parameters, gpus, nodes, found)
    took = [said.get(name) for name in ("device", "seconds", "cpu_seconds", "tokens", "read", "gpu_gb", "host_gb")]
    return Actual(rule, cell, done, *took)


def mean_lengths(rule: str, cell: str, found: tuple, lengths: dict) -> tuple[float, float] | None:
    """Return the mean tokens of a row before and in its response, where the responses (answers) of this cell were measured."""
    told = lengths.get(work.read_by(rule, cell))
    # other sampling gives other lengths
    if told is None or (rule in ("generate", "answer") and told[0] != found):
        return None
    return told[1:]
