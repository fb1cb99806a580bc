"""What Snakemake is doing: its log events as facts, and one line per finished cell with the time left.

python -m teachergrid.progress FACTS LIFELINE [Snakemake's options]: Snakemake, which writes each fact as a JSON line to an
open file descriptor, and ends when another one is closed. `Progress` reads the facts in the process that started it.
"""

import json
import logging
import os
import re
import signal
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

from . import costs
from .units import span

# the plugin's and Snakemake's own words, where there is no event for a fact
SUBMITTED = re.compile(r"Job (?P<job>\d+) has been submitted with SLURM jobid (?P<slurm>\w+)")
AGAIN = re.compile(r"Trying to restart job (?P<job>\d+)\.")
MISSING = re.compile(r"Job (?P<job>\d+) *completed successfully, but some output files are missing")
FAILED = "At least one job did not complete successfully"
DIED = re.compile(r"SLURM-job '(?P<slurm>\w+)' failed.*?SLURM status is: '(?P<state>\w+)")


class Progress:
    """The facts of one Snakemake process. Time left = what each rule has taken so far x its jobs to go / jobs at a time."""

    def __init__(self, say, has_gpus: bool = True):
        """say: tells a line. has_gpus: whether jobs get the GPUs that they ask for; without any they run on the CPU."""
        self.say, self.has_gpus = say, has_gpus
        self.start = self.last = time.monotonic()  # last: when a job last changed its state
        self.begun = time.time()
        self.total = None  # None: Snakemake has not planned yet, or has found nothing to do
        self.waiting = Counter()  # rule -> cells not made yet, without those that failed
        self.jobs = {}  # job -> what Snakemake said of it when it was ready: rule, cell, local, gpus, log, benchmark
        self.running = {}  # job -> when it started
        self.took = defaultdict(list)  # rule -> seconds of each job
        self.done = []  # jobs
        self.failed = {}  # job -> {"logs": paths, "message": Snakemake's words, "slurm": id, "state": SLURM's}
        self.errors = []  # what stopped Snakemake itself

    def take(self, fact: dict) -> None:
        if fact["fact"] != "error":
            self.last = time.monotonic()
        getattr(self, f"on_{fact.pop('fact')}")(**fact)

    def on_plan(self, stats: dict) -> None:
        self.waiting.update({rule: n for rule, n in stats.items() if rule not in ("total", "all")})
        self.total = sum(self.waiting.values())
        self.say(f"{self.total} jobs to do")

    def on_ready(self, job: int, gpus: int = 0, **known) -> None:
        self.jobs[job] = known | {"gpus": gpus if self.has_gpus else 0}

    def on_started(self, jobs: list[int]) -> None:
        self.running.update(dict.fromkeys(jobs, time.monotonic()))

    def on_submitted(self, job: int, slurm: str) -> None:
        self.jobs[job]["slurm"] = slurm

    def on_finished(self, job: int) -> None:
        rule, seconds = self.jobs[job]["rule"], time.monotonic() - self.running.pop(job)
        if rule == "all":
            return
        self.took[rule].append(seconds)
        self.waiting[rule] -= 1
        self.done.append(job)
        now = ", ".join(sorted({self.jobs[other]["rule"] for other in self.running if other in self.jobs}))
        which = f"[{len(self.done)}/{self.total}] {self.name(job)}"
        self.say(f"{which} {seconds:.0f} s; {self.left()}{'; now ' + now if now else ''}")

    def on_failed(self, job: int, logs: list[str], message: str) -> None:
        self.running.pop(job, None)
        self.waiting[self.jobs[job]["rule"]] -= 1
        from . import disk

        died = DIED.search(message)
        # a job cannot write why it died then
        if disk.filled("results"):
            message += "\nNo space left on device: the results' file system is full"
        self.failed[job] = {"logs": logs, "message": message, **(died.groupdict() if died else {})}
        self.say(f"FAILED {self.name(job)}: {self.why(job).line}")

    def on_again(self, job: int) -> None:
        self.waiting[self.jobs[job]["rule"]] += 1
        self.failed.pop(job, None)
        self.say(f"{self.name(job)} is tried again")

    def on_error(self, text: str) -> None:
        self.errors.append(text)
        self.say(text)

    def name(self, job: int) -> str:
        return f"{self.jobs[job]['rule']} {self.jobs[job]['cell']}".strip()

    def why(self, job: int):
        """Return the class of a failure, the line that decided it and the remedy; Snakemake's words count where no log tells."""
        from . import failures

        failed = self.failed[job]
        # a job that never began has left the log of an earlier run where it is; clocks of nodes may differ by a minute
        logs = [path for path in map(Path, failed["logs"]) if path.exists() and path.stat().st_mtime > self.begun - 60]
        found = failures.of(logs, failed.get("state")) if any(path.stat().st_size for path in logs) else None
        if found and found.kind != failures.UNKNOWN:
            return found
        said = failures.classify(failed["message"], failed.get("state"))
        return found if found and said.kind == failures.UNKNOWN else said

    def awaits_cluster(self) -> bool:
        """Whether every job that Snakemake waits for is one of the cluster's, so that some of them must be alive there."""
        return bool(self.running) and not any(self.jobs.get(job, {"local": True})["local"] for job in self.running)

    def left(self) -> str:
        """Return the time left in words; rules not seen yet count as the mean of those seen."""
        seen = [s for times in self.took.values() for s in times]
        mean = {rule: sum(times) / len(times) for rule, times in self.took.items()}
        work = sum(n * mean.get(rule, sum(seen) / len(seen)) for rule, n in self.waiting.items() if n > 0)
        at_a_time = max(1.0, sum(seen) / (time.monotonic() - self.start))
        return f"about {span(work / at_a_time, largest='h')} left"


class Facts(logging.Handler):
    """Writes what Snakemake logs as facts: one JSON line each, the names and keys being those of Progress.on_*."""

    def __init__(self, out):
        super().__init__()
        self.out = out

    def emit(self, record) -> None:
        for fact, known in self.facts(record):
            self.out.write(json.dumps({"fact": fact, **known}) + "\n")
            self.out.flush()

    def facts(self, record):
        event = str(getattr(record, "event", None) or "").rsplit(".", 1)[-1]
        if event == "run_info":
            yield "plan", {"stats": record.stats}
        elif event == "job_info":
            known = {"rule": record.rule_name, "cell": "/".join(map(str, record.wildcards.values()))}
            known |= {"local": record.local or record.rule_name == "all", "log": list(record.log)}
            known |= {"gpus": costs.gpus(record.resources), "benchmark": record.benchmark}
            yield "ready", {"job": record.jobid, **known}
        elif event == "job_started":
            yield "started", {"jobs": record.jobs if isinstance(record.jobs, list) else [record.jobs]}
        elif event == "job_finished":
            yield "finished", {"job": record.job_id}
        elif event == "job_error":
            yield "failed", {"job": record.jobid, "logs": list(record.log), "message": record.rule_msg or ""}
        elif event == "error" and (found := MISSING.search(record.getMessage())):
            yield "failed", {"job": int(found["job"]), "logs": [], "message": record.getMessage()}
        elif event == "error" and FAILED not in record.getMessage():  # each of them has been said
            yield "error", {"text": record.getMessage()}
        elif found := SUBMITTED.match(str(record.msg)):
            yield "submitted", {"job": int(found["job"]), "slurm": found["slurm"]}
        elif found := AGAIN.match(str(record.msg)):
            yield "again", {"job": int(found["job"])}


def die_with(lifeline: int) -> None:
    """End this process and its local jobs as soon as the other end of a pipe is closed: by the parent, or by its death.

    Nothing else would know of them then, and the next run would work beside them.
    """
    if os.fork():
        os.close(lifeline)
        return
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.read(lifeline, 1)
    os.killpg(0, signal.SIGKILL)


def main(facts: int, lifeline: int, argv: list[str]) -> None:
    die_with(lifeline)
    from snakemake.cli import main as snakemake

    # the parent logger: Snakemake clears the handlers of its own
    logger = logging.getLogger("snakemake")
    logger.setLevel(logging.INFO)
    logger.addHandler(Facts(os.fdopen(facts, "w")))
    snakemake(argv)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
