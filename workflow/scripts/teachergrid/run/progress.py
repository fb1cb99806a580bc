"""Follow Snakemake: its log events as JSON lines, and a line of text per finished cell with the time left.

python -m teachergrid.run.progress EVENTS LIFELINE [Snakemake's options] runs Snakemake. It writes each event as a JSON line to
the file descriptor EVENTS, and ends when the other end of LIFELINE is closed. `Progress` reads the events in the parent process.
"""

import json
import logging
import os
import re
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, NotRequired, TextIO, TypedDict

from ..cost import resources
from ..job import attempts, failures
from ..store import disk
from ..store.results import RESULTS
from ..units import span

# messages of the SLURM plugin and of Snakemake, for what Snakemake logs no event of
SUBMITTED = re.compile(r"Job (?P<job>\d+) has been submitted with SLURM jobid (?P<slurm>\w+)")
AGAIN = re.compile(r"Trying to restart job (?P<job>\d+)\.")
MISSING = re.compile(r"Job (?P<job>\d+) *completed successfully, but some output files are missing")
# of slurmstepd about a job that it ends, and of the Snakemake inside a job
NODE = re.compile(r"(?:JOB|STEP) \S+ ON (\S+) CANCELLED|^host: (\S+)", re.MULTILINE)
FAILED = "At least one job did not complete successfully"
OF_JOB = re.compile(r"RuleException:\s+CalledProcessError in file ")


class Job(TypedDict):
    """A job as Snakemake describes it when it is ready. local: it runs on this machine, whatever the executor."""

    rule: str
    cell: str
    local: bool
    gpus: int
    log: list[str]
    outputs: list[str]
    benchmark: str | None
    resources: NotRequired[dict[str, int]]  # that its retries may ask for more of


class Failed(NamedTuple):
    """A job that failed. logs: the paths that Snakemake names. slurm: the id of its SLURM job, None without one."""

    record: failures.Record
    logs: list[str]
    slurm: str | None


class Progress:
    """What one Snakemake process does."""

    def __init__(self, say: Callable[[str], None], has_gpus: bool = True, expected: Mapping[str, float] = {}) -> None:
        """say: prints a line. has_gpus: whether jobs get the GPUs that they request. expected: {rule: seconds of a job, as planned}."""
        self.say, self.has_gpus, self.expected = say, has_gpus, expected
        self.start = self.last = time.monotonic()  # `last`: when the state of a job last changed
        self.begun = time.time()
        self.total: int | None = None  # None: Snakemake has not planned yet, or has found nothing to do
        self.waiting: Counter[str] = Counter()  # {rule: cells not made yet, except failed ones}
        self.jobs: dict[int, Job] = {}
        self.slurm: dict[int, str] = {}  # {job: id of its SLURM job}
        self.running: dict[int, float] = {}  # {job: when it started}
        self.took: dict[str, list[float]] = defaultdict(list)  # {rule: seconds of each finished job}
        self.done: list[int] = []  # finished jobs
        self.failed: dict[int, Failed] = {}
        self.errors: list[str] = []  # errors of Snakemake itself
        self.stopping = False  # whether the run ends its jobs

    def take(self, event: dict) -> None:
        """Process one event of Events.parsed: {"event": name} with the arguments of the method on_{name}."""
        name = event.pop("event")
        if name not in ("error", "note"):
            self.last = time.monotonic()
        getattr(self, f"on_{name}")(**event)

    def on_plan(self, stats: dict) -> None:
        self.waiting.update({rule: n for rule, n in stats.items() if rule not in ("total", "all")})
        self.total = sum(self.waiting.values())
        self.say(f"{self.total} jobs to do")

    def on_ready(self, job: int, known: Job) -> None:
        if not self.jobs and known["rule"] != "all":
            self.say(f"begins with {known['rule']} {known['cell']}; log: {RESULTS}/logs/run.log")
        self.jobs[job] = known if self.has_gpus else {**known, "gpus": 0}

    def on_started(self, jobs: list[int]) -> None:
        self.running.update(dict.fromkeys(jobs, time.monotonic()))

    def on_submitted(self, job: int, slurm: str) -> None:
        self.slurm[job] = slurm

    def on_finished(self, job: int) -> None:
        rule, seconds = self.jobs[job]["rule"], time.monotonic() - self.running.pop(job)
        if rule == "all":
            return
        self.took[rule].append(seconds)
        self.waiting[rule] -= 1
        self.done.append(job)
        now = ", ".join(sorted({self.jobs[other]["rule"] for other in self.running if other in self.jobs}))
        progress = f"[{len(self.done)}/{self.total}] {self.name(job)}"
        self.say(f"{progress} {seconds:.0f} s; {self.left()}{'; now ' + now if now else ''}")

    def on_failed(self, job: int, logs: list[str], message: str) -> None:
        self.running.pop(job, None)
        description = self.jobs[job]
        self.waiting[description["rule"]] -= 1
        # on a full disk a job cannot record why it died
        if disk.filled(RESULTS):
            message += "\nNo space left on device: the results' file system is full"
        died = failures.DIED.search(message)
        slurm = died["slurm"] if died else self.slurm.get(job)
        record = self.record(description, logs, message, died["state"] if died else None)
        asked = record.resources or description.get("resources", {})
        record = replace(record, slurm=record.slurm or slurm, resources=asked)
        if self.stopping and record.kind in (failures.CANCELLED, failures.UNKNOWN):
            self.waiting[record.rule] += 1  # it has not failed: the run has ended it, and the next one continues it
            failures.record_path(RESULTS, record.rule, record.cell).unlink(missing_ok=True)
            return
        self.failed[job] = Failed(record, logs, slurm)
        failures.write(RESULTS, record)
        self.say(f"FAILED {record.job}: {record.line}")

    def record(self, job: Job, logs: list[str], message: str, slurm_state: str | None) -> failures.Record:
        """Return the record of a failed job: its own, unless SLURM ended it. Snakemake's message counts where no log shows the reason."""
        rule, cell = job["rule"], job["cell"]
        path = failures.record_path(RESULTS, rule, cell)
        own = failures.load(path) if self.is_new(path) else None
        if own and own.exception is None:  # written by a run, about an earlier start of the job
            own = None
        # where a job never began, its log is still that of an earlier run
        paths = [path for path in map(Path, logs) if self.is_new(path)]
        failure = failures.classify(failures.text_of(paths), slurm_state, own.failure if own else None)
        if failure.kind == failures.UNKNOWN:
            of_message = failures.classify(message, slurm_state)
            silent = own is None and not any(path.stat().st_size for path in paths)
            if silent or of_message.kind != failures.UNKNOWN:
                failure = of_message
        if own and failure == own.failure:
            return own
        log = failures.log_with(paths, failure.line)
        node = NODE.search(failures.text_of(paths))
        return failures.Record(rule, cell, *failure, job["outputs"], log, node=(node[1] or node[2]) if node else None)

    def is_new(self, path: Path) -> bool:
        """Whether a file was written since this run began; clocks of nodes may differ by a minute."""
        return path.exists() and path.stat().st_mtime > self.begun - 60

    def on_again(self, job: int) -> None:
        description = self.jobs[job]
        self.waiting[description["rule"]] += 1
        self.failed.pop(job, None)
        attempts.keep(RESULTS, description["rule"], description["cell"])
        self.say(f"{self.name(job)} is tried again")

    def on_error(self, text: str) -> None:
        self.errors.append(text)
        self.say(text)

    def on_note(self, text: str) -> None:
        self.say(text)

    def name(self, job: int) -> str:
        return f"{self.jobs[job]['rule']} {self.jobs[job]['cell']}".strip()

    def awaits_cluster(self) -> bool:
        """Whether all jobs that Snakemake waits for run on the cluster, so that some must be alive there."""
        return bool(self.running) and all(job in self.jobs and not self.jobs[job]["local"] for job in self.running)

    def left(self) -> str:
        """Return the time left in words: of each rule (jobs to go x mean seconds), by the jobs at a time.

        A rule's plan counts as one more finished job, at the pace of all so far; of that a tenth of the whole work went as planned.
        """
        took, to_go, now = {rule: sum(self.took[rule]) for rule in self.waiting}, +self.waiting, time.monotonic()
        finished = sum(took.values())
        plan = {rule: self.expected.get(rule, finished / len(self.done)) for rule in took}
        planned = sum(plan[rule] * len(self.took[rule]) for rule in took)
        tenth = 0.1 * (planned + sum(plan[rule] * n for rule, n in to_go.items()))
        pace = (finished + tenth) / (planned + tenth)
        work = sum(n * (took[rule] + plan[rule] * pace) / (len(self.took[rule]) + 1) for rule, n in to_go.items())
        at_a_time = max(1.0, (finished + sum(now - began for began in self.running.values())) / (now - self.start))
        return f"about {span(work / at_a_time, largest='h')} left"


class Events(logging.Handler):
    """Writes what Snakemake logs as JSON lines, with the names and arguments of Progress.on_*."""

    def __init__(self, out: TextIO) -> None:
        super().__init__()
        self.out = out

    def emit(self, record: logging.LogRecord) -> None:
        for name, arguments in self.parsed(record):
            print(json.dumps({"event": name, **arguments}), file=self.out, flush=True)

    def parsed(self, record: Any) -> Iterator[tuple[str, dict]]:
        """Yield the event in a log record, if there is one: (name, arguments).

        Snakemake gives each kind of record its own attributes.
        """
        if note := getattr(record, "teachergrid", None):  # of run.plugin
            yield "note", {"text": note}
            return
        event = str(getattr(record, "event", None) or "").rsplit(".", 1)[-1]
        if event == "run_info":
            yield "plan", {"stats": record.stats}
        elif event == "job_info":
            yield "ready", {"job": record.jobid, "known": described(record)}
        elif event == "job_started":
            yield "started", {"jobs": record.jobs if isinstance(record.jobs, list) else [record.jobs]}
        elif event == "job_finished":
            yield "finished", {"job": record.job_id}
        elif event == "job_error":
            yield "failed", {"job": record.jobid, "logs": list(record.log), "message": record.rule_msg or ""}
        elif event == "error":
            yield from of_error(record.getMessage())
        elif match := SUBMITTED.match(str(record.msg)):
            yield "submitted", {"job": int(match["job"]), "slurm": match["slurm"]}
        elif match := AGAIN.match(str(record.msg)):
            yield "again", {"job": int(match["job"])}


def described(record: Any) -> Job:
    """Return the job that a log record of Snakemake describes."""
    return {
        "rule": record.rule_name,
        "cell": "/".join(map(str, record.wildcards.values())),
        "local": record.local or record.rule_name == "all",
        "gpus": resources.gpus(record.resources),
        "log": list(record.log),
        "outputs": list(record.output),
        "benchmark": record.benchmark,
        "resources": failures.asked(record.resources),
    }


def of_error(message: str) -> Iterator[tuple[str, dict]]:
    """Yield the event in an error message of Snakemake, if there is one."""
    if match := MISSING.search(message):
        yield "failed", {"job": int(match["job"]), "logs": [], "message": message}
    # both only say that jobs failed, which have events of their own
    elif FAILED not in message and not OF_JOB.match(message):
        yield "error", {"text": message}


def die_with(lifeline: int) -> None:
    """End this process and its local jobs when the parent closes the other end of a pipe, or dies.

    Otherwise they would go on unnoticed, at the same time as the jobs of the next run. A forked process does the waiting.
    """
    if os.fork():
        os.close(lifeline)
        return
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.read(lifeline, 1)
    os.killpg(0, signal.SIGKILL)


def main(events: int, lifeline: int, argv: list[str]) -> None:
    """Run Snakemake. events, lifeline: file descriptors (see above). argv: Snakemake's options.

    Standard input is empty, or a file of supervise.input_of.
    """
    die_with(lifeline)
    from snakemake import cli

    text = sys.stdin.read()
    # the jobs that Snakemake starts must not read from here
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)

    from teachergrid.run import plugin

    if unpatched := plugin.patch():
        print(unpatched)
    # the parent logger: Snakemake clears the handlers of its own
    logger = logging.getLogger("snakemake")
    logger.setLevel(logging.INFO)
    logger.addHandler(Events(os.fdopen(events, "w")))
    if not text:
        cli.main(argv)
    try:
        parser, args = cli.parse_args(argv)
        args.force, args.forceall, args.forcerun = False, False, set(json.loads(text))
        success = cli.args_to_api(args, parser)
    except Exception as error:
        cli.print_exception(error)
        sys.exit(1)
    sys.exit(0 if success else 1)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
