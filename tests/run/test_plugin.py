"""The patches of Snakemake's SLURM plugin, with a SLURM that answers as each test says. A real one: tests/cluster."""

import asyncio
import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.scheduling.job_scheduler import JobScheduler
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from teachergrid.run import plugin
from teachergrid.slurm import scheduler
from teachergrid.slurm.patience import Patience
from teachergrid.store import origin
from workspace import ENV, ROOT

FAILED = (
    "SLURM-job '41' failed, SLURM status is: '{}'. Detailed failure reason unavailable (status command is not 'sacct')."
)
AWAY = (
    "SLURM sbatch failed. The error message was 'sbatch: error: Batch job submission failed: {}'.\n    sbatch call: x"
)


class Job:
    """A job as Snakemake has it: `generate seed__small`, its second of three tries."""

    def __init__(self, output: str = "results/out.json"):
        self.rule, self.name, self.jobid = SimpleNamespace(name="generate"), "generate", 3
        self.wildcards, self.input, self.output = ["seed__small"], [], [output]
        self.params = SimpleNamespace(spec="{}")
        self._attempt, self.restart_times, self.evaluated = 2, 2, []

    @property
    def attempt(self) -> int:
        return self._attempt

    @attempt.setter
    def attempt(self, value: int) -> None:
        self._attempt = value
        self.evaluated.append(value)


class Executor(plugin.Executor):
    """The patched executor without a Snakemake around it. done: what it reported. answers: squeue's answers to the plugin."""

    def __init__(self, answers: list[dict | None]):
        self.patience, self.missed, self.away, self.mute_until = Patience(lost=100, away=0), {}, False, 0.0
        self.wait, self.done, self.answers, self.notes = True, [], answers, []
        self.next_seconds_between_status_checks = 180
        self.slurm_logdir, self.logger = Path("logs"), SimpleNamespace(info=self.notes.append)
        self._job_submission_executor, self._main_event_loop = ThreadPoolExecutor(1), None

    def report_job_success(self, info):
        self.done.append("success")

    def print_job_error(self, info, msg=None, **more):
        self.done.append(msg)

    def report_job_submission(self, info, register_job=True):
        self.done.append(f"submitted {info.external_jobid}")

    def run_job(self, job):
        self.done.append(f"sbatch {plugin.name(job)}")

    @property
    def workflow(self):
        return SimpleNamespace(scheduler=SimpleNamespace(error_callback=lambda job: None))


@pytest.fixture
def clock(monkeypatch, tmp_path):
    """A time of day that the test sets, and what the terminal is told."""
    monkeypatch.chdir(tmp_path)
    now, said = [1000.0], []
    monkeypatch.setattr(plugin.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(plugin.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    monkeypatch.setattr(plugin, "note", said.append)
    monkeypatch.setattr(scheduler, "live", lambda folder: [])
    monkeypatch.setattr(scheduler, "end_of", lambda id: None)
    yield SimpleNamespace(now=now, said=said)
    plugin.again_how.clear()


def info(job: Job) -> SubmittedJobInfo:
    return SubmittedJobInfo(job, "41", {"slurm_logfile": Path("41.log")})


def looks(executor: Executor, active: list[SubmittedJobInfo], monkeypatch) -> list[SubmittedJobInfo]:
    """Let the plugin ask once; it yields all jobs, as it does with one that is preempted or that squeue does not show."""

    async def of_plugin(self, active_jobs):
        plugin.Executor.answer = self.answers.pop(0)
        if plugin.Executor.answer is not None:
            for one in active_jobs:
                yield one

    monkeypatch.setattr(plugin.Executor.__bases__[0], "check_active_jobs", of_plugin)

    async def collected():
        return [one async for one in executor.check_active_jobs(active)]

    return asyncio.run(collected())


def handled(job: Job) -> tuple[bool, int]:
    """Let Snakemake's scheduler handle the failure. Return whether the job has failed for good, and its attempt."""
    failed, ready = set(), set()
    dag = SimpleNamespace(_ready_jobs=ready, jobid=lambda job: 3)
    fake = SimpleNamespace(
        workflow=SimpleNamespace(dryrun=True, dag=dag),
        get_executor=lambda job: SimpleNamespace(handle_job_error=lambda job: None),
        running={job},
        failed=failed,
        _free_resources=lambda job: None,
        _errors=False,
    )
    plugin.handle_error(fake, job)
    assert (job in failed) != (job in ready)
    return job in failed, job.attempt


def test_the_patches_are_for_what_is_installed():
    """In the order in which the run's process imports them."""
    text = "from snakemake.cli import main; from teachergrid.run import plugin; assert plugin.patch() is None;"
    text += "from snakemake.scheduling.job_scheduler import JobScheduler as J;"
    text += "from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry as R;"
    text += "print(R().get_plugin('slurm').executor is plugin.Executor, J._handle_error is plugin.handle_error)"
    env = {**ENV, "PYTHONPATH": str(ROOT / "workflow/scripts")}
    done = subprocess.run([sys.executable, "-c", text], env=env, capture_output=True, text=True)
    assert done.stdout == "True True\n", done.stderr


def test_with_other_versions_nothing_is_patched(monkeypatch):
    monkeypatch.setattr(plugin, "VERSIONS", {**plugin.VERSIONS, "snakemake": "1.0"})
    before = JobScheduler._handle_error
    assert "not patched" in plugin.patch() and JobScheduler._handle_error is before


def test_a_job_that_is_preempted_and_not_put_back_is_tried_again_as_it_was(clock, monkeypatch):
    job = Job()
    executor = Executor([{"41": "PREEMPTED"}] * 3)
    assert looks(executor, [info(job)], monkeypatch) and not executor.done
    assert clock.said == [
        "preempted: generate seed__small waits for SLURM to put job 41 back, then for a new submission"
    ]
    clock.now[0] += 99
    assert looks(executor, [info(job)], monkeypatch) and len(clock.said) == 1
    clock.now[0] += 1
    assert looks(executor, [info(job)], monkeypatch) == []
    (message,) = executor.done
    assert message.startswith("SLURM-job '41' failed, SLURM status is: 'PREEMPTED'.")
    assert handled(job) == (False, 2) and job.evaluated[-1] == 2, "no try is counted, and no more memory asked for"


@pytest.mark.parametrize("back", [{"41": "PENDING"}, {"41": "RUNNING"}])
def test_a_job_that_slurm_puts_back_goes_on(clock, monkeypatch, back):
    job = Job()
    executor = Executor([{"41": "PREEMPTED"}, back, {"41": "PREEMPTED"}])
    for _ in range(3):
        assert looks(executor, [info(job)], monkeypatch)
        clock.now[0] += 99
    assert not executor.done


def test_an_old_answer_of_sacct_loses_no_job(clock, monkeypatch):
    """The accounting is away: it shows no new job, and squeue has it. Nor is a job lost while nobody answers."""
    for queue in ([SimpleNamespace(id="41")], None):
        monkeypatch.setattr(scheduler, "live", lambda folder, queue=queue: queue)
        executor = Executor([{}, {}])
        looks(executor, [info(Job())], monkeypatch)
        clock.now[0] += 1000
        assert looks(executor, [info(Job())], monkeypatch) and not executor.done


@pytest.mark.parametrize(
    ("known", "end", "attempt"),
    [
        (None, "GONE", 3),
        ("TIMEOUT", "TIMEOUT", 3),
        ("COMPLETED", "GONE", 3),
        ("RUNNING", "GONE", 3),
        ("FAILED", "FAILED", 3),
        ("PREEMPTED", "PREEMPTED", 2),
        ("NODE_FAIL", "NODE_FAIL", 2),
    ],
)
def test_a_job_that_slurm_no_longer_knows_ends_as_the_accounting_says(clock, monkeypatch, known, end, attempt):
    monkeypatch.setattr(scheduler, "end_of", lambda id: known)
    job = Job()
    executor = Executor([{}, {}])
    looks(executor, [info(job)], monkeypatch)
    clock.now[0] += 100
    assert looks(executor, [info(job)], monkeypatch) == []
    assert f"SLURM status is: '{end}'" in executor.done[0] and handled(job) == (False, attempt)


def test_a_job_that_is_gone_and_has_made_its_output_is_done(clock, monkeypatch):
    Path("results").mkdir()
    for made_from, done in (
        (origin.of("generate", "{}", []), True),
        ({"rule": "generate", "spec": "{}", "inputs": {"x": "sha256:old"}}, False),
    ):
        Path("results/out.json").write_text(json.dumps({"origin": made_from}))
        executor = Executor([{}, {}])
        looks(executor, [info(Job())], monkeypatch)
        clock.now[0] += 100
        looks(executor, [info(Job())], monkeypatch)
        assert (executor.done == ["success"]) is done


def test_a_query_that_failed_forgets_no_job(clock, monkeypatch):
    active = [info(Job())]
    assert looks(Executor([None]), active, monkeypatch) == active


@pytest.mark.parametrize(
    ("found", "states"),
    [(({"41": "CANCELLED by 0", "42": "RUNNING"}, 0.1), {"41": "CANCELLED", "42": "RUNNING"}), ((None, None), None)],
)
def test_the_words_of_sacct_are_those_of_squeue(found, states):
    async def query(command, logger):
        return found

    assert asyncio.run(plugin.remembered(query)("sacct", None)) == (states, found[1])
    assert plugin.Executor.answer == states


# --- cancelled


@pytest.mark.parametrize(
    ("state", "log", "ended", "failed", "attempt"),
    [
        ("CANCELLED", "*** JOB 41 ON a1 CANCELLED AT 2026 ***", "CANCELLED by root", True, 2),
        ("CANCELLED", "", "CANCELLED by root", True, 2),
        ("CANCELLED", "*** JOB 41 CANCELLED AT 2026 DUE TO TIME LIMIT ***", "CANCELLED by root", False, 3),
        ("CANCELLED", "*** JOB 41 CANCELLED AT 2026 DUE TO PREEMPTION ***", "CANCELLED by root", False, 2),
        ("CANCELLED", "slurmstepd: error: Exceeded job memory limit", "CANCELLED by root", False, 3),
        ("TIMEOUT", "*** JOB 41 CANCELLED AT 2026 DUE TO TIME LIMIT ***", "TIMEOUT", False, 3),
        ("OUT_OF_MEMORY", "", "OUT_OF_MEMORY", False, 3),
    ],
)
def test_only_what_a_person_cancels_has_failed_for_good(clock, monkeypatch, state, log, ended, failed, attempt):
    # sacct shows it some seconds late
    known = iter(["RUNNING", "CANCELLED by 0"])
    monkeypatch.setattr(scheduler, "end_of", lambda id: next(known))
    Path("41.log").write_text(log)
    job = Job()
    executor = Executor([])
    executor.report_job_error(info(job), msg=FAILED.format(state), aux_logs=["41.log"])
    assert f"status is: '{ended}'. Detailed" in executor.done[0] and handled(job) == (failed, attempt)


def test_an_accounting_that_is_away_is_asked_once(clock, monkeypatch):
    asked = []
    monkeypatch.setattr(scheduler, "end_of", lambda id: asked.append(id))
    executor = Executor([])
    for _ in range(3):
        executor.report_job_error(info(Job()), msg=FAILED.format("CANCELLED"), aux_logs=[])
    assert asked == ["41"] and all("status is: 'CANCELLED'." in message for message in executor.done)


# --- submission


@pytest.mark.parametrize(
    "message",
    [
        "Unable to contact slurm controller (connect failure)",
        "Socket timed out on send/recv operation",
        "Connection refused",
    ],
)
def test_a_job_waits_for_a_controller_that_is_away(clock, monkeypatch, message):
    queues = iter([None, None, []])
    monkeypatch.setattr(scheduler, "live", lambda folder: next(queues))
    job = Job()
    executor = Executor([])
    executor._report_job_error_threadsafe(SubmittedJobInfo(job), AWAY.format(message))
    executor._job_submission_executor.shutdown(wait=True)
    assert executor.done == ["sbatch generate seed__small"] and job.attempt == 2 and not job.evaluated
    assert len(clock.said) == 2 and "does not answer" in clock.said[0] and "answers again" in clock.said[1]


def test_a_job_that_the_controller_took_before_it_went_away_is_not_submitted_twice(clock, monkeypatch):
    accepted = [SimpleNamespace(id="57", rule="generate", cell="seed__small")]
    monkeypatch.setattr(scheduler, "live", lambda folder: accepted)
    executor = Executor([])
    executor._report_job_error_threadsafe(
        SubmittedJobInfo(Job()), AWAY.format("Socket timed out on send/recv operation")
    )
    assert executor.done == ["submitted 57"]
    assert executor.notes == [
        "Job 3 has been submitted with SLURM jobid 57 (log: logs/rule_generate/seed__small/57.log)."
    ]


def test_a_job_that_sbatch_refuses_has_failed(clock):
    executor = Executor([])
    executor._report_job_error_threadsafe(SubmittedJobInfo(Job()), AWAY.format("Invalid account or account/partition"))
    assert "Invalid account" in executor.done[0]


def test_nothing_is_submitted_after_the_end(clock, monkeypatch):
    executor = Executor([])
    executor.patience = Patience(away=1000)
    executor._job_submission_executor.shutdown()
    executor._report_job_error_threadsafe(SubmittedJobInfo(Job()), AWAY.format("Connection refused"))
    assert "Connection refused" in executor.done[0]


# --- the end


def test_the_end_waits_for_no_sleep_and_no_timer():
    executor = Executor([])
    begin = time.monotonic()
    threading.Timer(0.2, lambda: setattr(executor, "wait", False)).start()
    asyncio.run(executor.sleep())
    assert time.monotonic() - begin < 5, "not the 180 s of the plugin"
    plugin.reevaluate(SimpleNamespace(_open_jobs=threading.Semaphore(0)), 60)
    assert all(timer.daemon for timer in threading.enumerate() if isinstance(timer, threading.Timer))


def test_it_asks_before_the_watchdog_takes_the_run_for_hung(monkeypatch):
    """The plugin's pauses grow to 180 s, and a job may end right after a query."""
    now = [1000.0]
    monkeypatch.setattr(plugin.time, "monotonic", lambda: now[0])

    async def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(plugin.asyncio, "sleep", sleep)
    for hang, pause, slept in ((60, 180, 20), (60, 15, 15), (Patience().hang, 180, 180)):
        executor = Executor([])
        executor.patience, executor.next_seconds_between_status_checks = Patience(hang=hang), pause
        before = now[0]
        asyncio.run(executor.sleep())
        assert now[0] - before == pytest.approx(slept, abs=plugin.STEP_S)


def test_a_scheduler_looks_for_jobs_once_a_second_however_many_jobs_have_ended(monkeypatch):
    """Each look asks for the next one. Snakemake's own timers add up: after 100 jobs it looks 100 times a second."""
    now, timers = [1000.0], []

    class Timer(SimpleNamespace):
        def __init__(self, delay, look):
            super().__init__(at=now[0] + delay, look=look, start=lambda: timers.append(self))

    monkeypatch.setattr(plugin, "threading", SimpleNamespace(Timer=Timer))
    monkeypatch.setattr(plugin, "time", SimpleNamespace(monotonic=lambda: now[0]))
    scheduler, looks = SimpleNamespace(_open_jobs=threading.Semaphore(0)), 0
    for _ in range(100):  # a job ends every tenth of a second
        now[0] = round(now[0] + 0.1, 1)
        due, timers[:] = [t for t in timers if t.at <= now[0]], [t for t in timers if t.at > now[0]]
        for timer in due:
            timer.look()
        looks += len(due)
        for _ in range(1 + len(due)):
            plugin.reevaluate(scheduler, 1)
    assert 9 <= looks <= 10, "in 10 seconds"
    assert all(now[0] < timer.at <= now[0] + 2 for timer in timers) and timers, "the next look follows"
