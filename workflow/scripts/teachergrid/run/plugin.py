"""Patches of Snakemake's SLURM plugin, inside the Snakemake process that a run supervises (`patch`).

| fault | patched |
|---|---|
| a job that is preempted and not put back, or is gone, is waited for for ever | it has failed after `Patience.lost`, and is tried again |
| a job that somebody cancelled is waited for for ever (by sacct) or tried again, with twice the memory and time | it has failed, for good |
| a preempted job asks for more memory and time, and its tries are used up | it is tried again as it was |
| sbatch that cannot reach the controller uses up the tries of a job within a minute | the job waits, and is submitted later |
| a failed query of the status makes the plugin forget its jobs | it keeps them |
| at the end the process sleeps until its next query (180 s) and until a timer is over (60 s) | it ends at once |
| each ended job adds a look for jobs that repeats for ever, every second without a cluster: 100 a second after 100 jobs | one a second |
| each job asks the controller for its whole configuration, from the compute node, twice | it does not: `slurm.inside` |
| all jobs have the name of the run | a job is called rule:cell |
| nothing of a site runs in a job | its `setup.sh` does, beside the file of partitions |

The patches are for the versions in VERSIONS. With others nothing is patched, and the watchdog of `supervise` ends what hangs.
"""

import asyncio
import math
import pwd
import re
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import snakemake_executor_plugin_slurm as slurm
from snakemake.logging import logger
from snakemake.scheduling.job_scheduler import JobScheduler
from snakemake_executor_plugin_slurm.utils import get_job_wildcards
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

from ..job import failures
from ..slurm import inside, scheduler
from ..slurm.patience import Patience
from ..store import origin
from . import submission

VERSIONS = {"snakemake": "9.27.1", "snakemake-executor-plugin-slurm": "2.8.0"}
# what sbatch says where the controller does not answer; a job that it refuses has another message
UNREACHABLE = re.compile(
    r"Unable to contact slurm controller|Socket timed out|Connection (refused|timed out|reset)|No route to host"
    r"|Unable to establish control(ler)? machine|Zero Bytes were transmitted|Transport endpoint is not connected"
    r"|controller is in standby|temporarily unable to accept job",
    re.IGNORECASE,
)
GONE = "GONE"  # the state of a job that SLURM no longer knows
# how a failed job is tried again; without a word, with the next attempt's resources
AS_IT_WAS, NEVER = "as it was", "never"
FREE = (failures.PREEMPTED, failures.NODE)  # classes of failures that a job cannot help
BY = re.compile(r"CANCELLED by (\d+)")
STEP_S = 0.5  # between two looks whether a sleep is over
SACCT_LATE_S = (2, 2)  # pauses, because sacct shows a change one or two seconds late
MUTE_S = 300  # for which an accounting that did not answer is not asked again

again_how: dict[Any, str] = {}  # {job: how it is tried again}, from its failure until Snakemake handles that
_handle_error = JobScheduler._handle_error


def patch() -> str | None:
    """Patch the plugin. Return why it is not patched, else None."""
    found = {name: metadata.version(name) for name in VERSIONS}
    if found != VERSIONS:
        return f"the SLURM plugin is not patched: {found} instead of {VERSIONS}"
    slurm.query_job_status = remembered(slurm.query_job_status)
    slurm.query_job_status_squeue = submission.query_mine
    slurm.get_submit_command = submission.submitted(slurm.get_submit_command)
    # Snakemake has looked for its plugins when it was imported
    ExecutorPluginRegistry().get_plugin("slurm").executor = Executor
    JobScheduler._handle_error = handle_error
    JobScheduler._schedule_reevalutation = reevaluate
    return None


def note(text: str) -> None:
    """Say something on the terminal of the run."""
    logger.info(text, extra={"teachergrid": text})


# --- Snakemake's scheduler


def handle_error(self: JobScheduler, job: Any, postprocess_job: bool = True) -> None:
    """Handle a failed job. What SLURM did to it costs no try and asks for nothing more; what a person cancelled has failed."""
    again, attempt = again_how.pop(job, None), job.attempt
    # not by the property: it would evaluate the resources for an attempt that never is
    if again == AS_IT_WAS:
        job._attempt = 0
    elif again == NEVER:
        job._attempt = job.restart_times + 1
    _handle_error(self, job, postprocess_job)
    if again:
        job.attempt = attempt


def reevaluate(self: JobScheduler, delay: int) -> None:
    """Look for jobs to start after `delay` seconds, at most once in each second. The end of the process does not wait for it."""
    at = math.ceil(time.monotonic() + delay)
    if at == vars(self).get("looks_at"):
        return
    self.looks_at = at
    timer = threading.Timer(at - time.monotonic(), self._open_jobs.release)
    timer.daemon = True
    timer.start()


# --- the plugin


def remembered(query: Callable[..., Awaitable[tuple]]) -> Callable[..., Awaitable[tuple]]:
    """Return the plugin's query of the status, so that Executor.answer is what it answered last.

    sacct says "CANCELLED by 0", which the plugin takes for a job that runs: only the first word is passed on.
    """

    async def asked(*args: Any) -> tuple:
        states, seconds = await query(*args)
        if states is not None:
            states = {id: failures.state_of(state) for id, state in states.items()}
        Executor.answer = states
        return states, seconds

    return asked


class Executor(slurm.Executor):
    """The plugin's executor, patched (see above).

    answer: {SLURM id: state} as last queried, None where that failed. missed: {SLURM id: when it was first seen preempted or gone}.
    away: whether the controller did not answer the last submission. mute_until: until then the accounting is not asked.
    """

    answer: dict[str, str] | None = None

    def __init__(self, *args: Any) -> None:
        self.patience = Patience.of_environment()
        self.missed: dict[str, float] = {}
        self.away = False
        self.mute_until = 0.0
        super().__init__(*args)

    async def sleep(self) -> None:
        """Sleep until the next query or the end; not long while a job may be lost, nor until the watchdog ends the run."""
        pause = min(self.next_seconds_between_status_checks, self.patience.hang / 3)
        end = time.monotonic() + (min(pause, self.patience.lost / 2) if self.missed else pause)
        while self.wait and (left := end - time.monotonic()) > 0:
            await asyncio.sleep(min(left, STEP_S))

    async def check_active_jobs(self, active_jobs: list[SubmittedJobInfo]) -> AsyncIterator[SubmittedJobInfo]:
        """Yield the jobs that go on, and report those that are lost."""
        ids = {info.external_jobid for info in active_jobs}
        self.missed = {id: since for id, since in self.missed.items() if id in ids}
        async for info in super().check_active_jobs(active_jobs):
            if not self.is_lost(info):
                yield info
        if self.answer is None:
            for info in active_jobs:
                yield info

    def is_lost(self, info: SubmittedJobInfo) -> bool:
        """Report a job that SLURM has dropped and not put back. Return whether it was reported."""
        id = info.external_jobid
        state = (self.answer or {}).get(id, GONE)
        if state not in ("PREEMPTED", GONE):
            self.missed.pop(id, None)
            return False
        if id not in self.missed:
            self.missed[id] = time.monotonic()
            if state != GONE:  # a new job may not be in the queue yet
                note(f"preempted: {name(info.job)} waits for SLURM to put job {id} back, then for a new submission")
        if time.monotonic() - self.missed[id] < self.patience.lost:
            return False
        # asked once more, since the answer of sacct may be old
        live = scheduler.live(Path.cwd())
        if live is None or any(job.id == id for job in live):
            return False
        del self.missed[id]
        self.report_lost(info, state)
        return True

    def report_lost(self, info: SubmittedJobInfo, state: str) -> None:
        """Report a job that is no longer in the queue. state: PREEMPTED or GONE, as squeue showed it last."""
        if is_made(info.job):
            self.report_job_success(info)
            return
        known = scheduler.end_of(info.external_jobid) or ""
        if failures.state_of(known) in (*failures.STATES, "FAILED"):  # else sacct is late, or the output was lost since
            state = known
        message = f"SLURM-job '{info.external_jobid}' failed, SLURM status is: '{state}'. "
        message += "It is not in the queue any more, and its output is not there"
        self.report_job_error(info, msg=message, aux_logs=[str(info.aux["slurm_logfile"])])

    def report_job_error(self, info: SubmittedJobInfo, msg: str | None = None, **more: Any) -> None:
        """Report a failed job; of one that SLURM ended, say who cancelled it, and decide how it is tried again."""
        if msg and (died := failures.DIED.search(msg)):
            state = died["state"]
            if failures.state_of(state) == "CANCELLED":
                state = self.with_who(info.external_jobid, state)
                msg = msg[: died.start("state")] + state + msg[died.end("state") :]
            kind = failures.classify(failures.text_of(more.get("aux_logs") or []), state).kind
            if kind == failures.CANCELLED:
                again_how[info.job] = NEVER
            elif kind in FREE:
                again_how[info.job] = AS_IT_WAS
        super().report_job_error(info, msg=msg, **more)

    def with_who(self, id: str, state: str) -> str:
        """Return CANCELLED with who did it, as "CANCELLED by alice", where the accounting knows it."""
        for pause in (0, *SACCT_LATE_S):
            if time.monotonic() < self.mute_until:
                break
            time.sleep(pause)
            known = scheduler.end_of(id)
            if known is None:  # no accounting, or it does not answer: do not wait for it for each of many jobs
                self.mute_until = time.monotonic() + MUTE_S
            elif found := BY.fullmatch(known):
                return f"CANCELLED by {user(int(found[1]))}"
        return state

    # --- submission

    def get_job_exec_prefix(self, job: Any) -> str:  # noqa: ARG002 (the plugin's signature)
        """Return the shell command that runs the site's own lines in a job; "" where there are none."""
        return submission.setup(self.workflow.executor_settings.partition_config)

    def format_job_exec(self, job: Any) -> str:
        """Return the shell command of a job."""
        return inside.command(super().format_job_exec(job))

    def _report_job_error_threadsafe(self, info: SubmittedJobInfo, msg: str) -> None:
        """Report a job that was not submitted; but where only the controller did not answer, submit it when it does."""
        if not UNREACHABLE.search(msg):
            super()._report_job_error_threadsafe(info, msg)
        elif (queue := self.when_it_answers()) is not None:
            self.submit_again(info.job, queue)
        else:
            super()._report_job_error_threadsafe(info, msg)

    def when_it_answers(self) -> list[scheduler.Job] | None:
        """Wait until SLURM's controller answers. Return our jobs in the queue; None when the executor is shut down meanwhile."""
        if not self.away:
            self.away = True
            note("SLURM's controller does not answer: jobs are submitted when it does, and no try is counted")
        queue = None
        while queue is None:
            end = time.monotonic() + self.patience.away
            while time.monotonic() < end:
                if self._job_submission_executor._shutdown:
                    return None
                time.sleep(STEP_S)
            queue = scheduler.live(Path.cwd())
        if self.away:
            self.away = False
            note("SLURM's controller answers again")
        return queue

    def submit_again(self, job: Any, queue: list[scheduler.Job]) -> None:
        """Submit a job, or take over the job that the controller had accepted before its answer was lost."""
        accepted = [other.id for other in queue if f"{other.rule} {other.cell}".strip() == name(job)]
        if not accepted:
            self._job_submission_executor.submit(self.run_job, job)
            return
        log = self.slurm_logdir / f"rule_{job.name}" / get_job_wildcards(job) / f"{accepted[-1]}.log"
        self.logger.info(f"Job {job.jobid} has been submitted with SLURM jobid {accepted[-1]} (log: {log}).")
        self._report_job_submission_threadsafe(
            SubmittedJobInfo(job, external_jobid=accepted[-1], aux={"slurm_logfile": log})
        )


# --- jobs


def name(job: Any) -> str:
    """Return "rule wildcard/wildcard" of a job of Snakemake."""
    return f"{job.rule.name} {'/'.join(map(str, job.wildcards))}".strip()


def is_made(job: Any) -> bool:
    """Whether all outputs of a job exist and were made from its settings and inputs, as their origins say."""
    try:
        made_from = origin.of(job.rule.name, job.params.spec, job.input)
        # model folders are compared when the next run starts
        return all(
            {**(origin.read(path) or {}), "folders": None} == {**made_from, "folders": None} for path in job.output
        )
    except (OSError, ValueError, AttributeError):
        return False


def user(uid: int) -> str:
    """Return the name of a user, or the number where it has none here."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
