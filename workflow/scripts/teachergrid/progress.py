"""Snakemake with one line per finished cell: done of all, time left, what runs now.

python -m teachergrid.progress [Snakemake's options]
"""

import logging
import sys
import time
from collections import defaultdict


class Progress(logging.Handler):
    """Listens to Snakemake's events. Time left = what each rule has taken so far x its jobs to go / jobs at a time."""

    def __init__(self, out=sys.stderr):
        super().__init__()
        self.out = out
        self.start = time.monotonic()
        self.waiting = defaultdict(int)  # rule -> jobs to go
        self.running = {}  # job id -> (rule, name, start)
        self.names = {}
        self.took = defaultdict(list)
        self.done = self.total = 0

    def emit(self, record) -> None:
        event = str(getattr(record, "event", None) or "").rsplit(".", 1)[-1]
        handle = getattr(self, f"on_{event}", None)
        if handle:
            handle(record)

    def on_run_info(self, record) -> None:
        self.waiting.update({rule: n for rule, n in record.stats.items() if rule not in ("total", "all")})
        self.total = sum(self.waiting.values())
        self.say(f"{self.total} jobs to do")

    def on_job_info(self, record) -> None:
        self.names[record.jobid] = (record.rule_name, "/".join(map(str, record.wildcards.values())))

    def on_job_started(self, record) -> None:
        for job in record.jobs if isinstance(record.jobs, list) else [record.jobs]:
            self.running[job] = time.monotonic()

    def on_job_finished(self, record) -> None:
        rule, name = self.names.get(record.job_id, ("all", ""))
        seconds = time.monotonic() - self.running.pop(record.job_id, time.monotonic())
        if rule == "all":
            return
        self.took[rule].append(seconds)
        self.waiting[rule] -= 1
        self.done += 1
        now = ", ".join(sorted({self.names[job][0] for job in self.running if job in self.names}))
        self.say(
            f"[{self.done}/{self.total}] {rule} {name} {seconds:.0f} s; {self.left()}{'; now ' + now if now else ''}"
        )

    def on_job_error(self, record) -> None:
        rule, name = self.names.get(record.jobid, (getattr(record, "rule_name", "job"), ""))
        self.running.pop(record.jobid, None)
        for log in getattr(record, "log", None) or [None]:
            from .report.collect import failure

            why = failure(log) if log else None
            self.say(
                f"FAILED {rule} {name}: {why or 'its process ended without a word'}" + (f" (see {log})" if log else "")
            )

    def left(self) -> str:
        """Return the time left in words; rules not seen yet count as the mean of those seen."""
        seen = [s for times in self.took.values() for s in times]
        mean = {rule: sum(times) / len(times) for rule, times in self.took.items()}
        work = sum(n * mean.get(rule, sum(seen) / len(seen)) for rule, n in self.waiting.items() if n > 0)
        elapsed = time.monotonic() - self.start
        at_a_time = max(1.0, sum(seen) / elapsed)
        return f"about {duration(work / at_a_time)} left"

    def say(self, text: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {text}", file=self.out, flush=True)


def duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def main(argv: list[str]) -> None:
    from snakemake.cli import main as snakemake

    # the parent logger: Snakemake clears the handlers of its own
    logger = logging.getLogger("snakemake")
    logger.setLevel(logging.INFO)
    progress = Progress()
    logger.addHandler(progress)
    try:
        snakemake(argv)
    except SystemExit as end:
        if not end.code and not progress.total:
            progress.say("nothing to do: every result is up to date")
        raise


if __name__ == "__main__":
    main(sys.argv[1:])
