"""What sbatch is told, by the plugin's own function."""

import subprocess
from types import SimpleNamespace

import pytest
from snakemake_executor_plugin_slurm.submit_string import get_submit_command
from teachergrid.run import submission

PARAMS = {
    "run_uuid": "teachergrid_1234",
    "slurm_logfile": "l.log",
    "comment_str": "c",
    "account": "",
    "partition": "",
    "workdir": "/w",
}


class Resources(dict):
    def __getattr__(self, name: str):
        return self[name]


def sbatch(rule: str, *wildcards: str, status: str = "squeue") -> list[str]:
    """Return the words of the command that submits a job."""
    job = SimpleNamespace(
        name=rule, rule=SimpleNamespace(name=rule), wildcards=wildcards, resources=Resources(mem_mb=9), threads=1
    )
    settings = SimpleNamespace(status_command=status, requeue=True, qos=None, reservation=None)
    return submission.submitted(get_submit_command)(job, PARAMS, settings=settings, failed_nodes=set()).split()


@pytest.mark.parametrize(
    ("job", "name"),
    [
        (["generate", "seed__small"], "generate:seed__small"),
        (["judge", "bs", "math"], "judge:bs/math"),
        (["verify_all"], "verify_all"),
    ],
)
def test_a_job_is_called_what_it_is(job, name):
    words = sbatch(*job)
    assert words[words.index("--job-name") + 1] == name
    # sacct is asked by the name of the run
    words = sbatch(*job, status="sacct")
    assert words[words.index("--job-name") + 1] == "teachergrid_1234"


def test_what_saves_its_work_gets_a_signal_before_the_limit():
    assert "--signal=USR1@300" in sbatch("finetune", "s")
    assert not [word for word in sbatch("generate", "s") if "signal" in word]


def test_the_sites_lines_run_first(tmp_path):
    folder = tmp_path / "my profile's"
    folder.mkdir()
    partitions, lines = folder / "partitions.yaml", folder / "setup.sh"
    assert submission.setup(str(partitions)) == ""

    def job() -> subprocess.CompletedProcess:
        command = f"{submission.setup(str(partitions))} && echo work of $WHOM"
        return subprocess.run(command, shell=True, capture_output=True, text=True)

    lines.write_text("export WHOM=nobody\n# the last line is a comment\n")
    assert job().stdout == "work of nobody\n"
    lines.write_text("module load no-such-thing\n")
    failed = job()
    assert failed.returncode == 1 and failed.stdout == ""
    assert failed.stderr.endswith(f"{lines}: its last command failed\n")
