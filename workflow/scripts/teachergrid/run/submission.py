"""How a job is submitted to SLURM, where the plugin does it in another way (`plugin` puts these in): its name, signal and first lines."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..slurm import inside

SAVES = ("finetune",)  # rules whose jobs save their work when SLURM sends a signal
WARN_S = 300  # before the time limit; a checkpoint of a large model takes minutes on a shared disk
PARTITIONS, SETUP = "profiles/slurm/partitions.yaml", "setup.sh"


def job_name(job: Any) -> str:
    """Return rule:wildcard/wildcard of a job of Snakemake."""
    return ":".join(filter(None, [job.rule.name, "/".join(map(str, job.wildcards))]))


def query_mine(_run: str) -> str:
    """Return the command that asks for the states of all our jobs; the plugin asks for those with the name of the run."""
    return "squeue --me --states=all --noheader '--format=%i|%T'"


def submitted(build: Callable[..., str]) -> Callable[..., str]:
    """Return the plugin's function for the command that submits a job, with a name and a signal before the time limit."""

    def built(job: Any, params: dict, settings: Any = None, **more: Any) -> str:
        # sacct is asked for the jobs with the name of the run
        if settings and settings.status_command == "squeue":
            params = {**params, "run_uuid": job_name(job)}
        call = build(job, params, settings=settings, **more)
        return f"{call} --signal={inside.SIGNAL.name.removeprefix('SIG')}@{WARN_S}" if job.name in SAVES else call

    return built


def setup(partitions: str | None) -> str:
    """Return the shell command that runs a site's own lines in a job; "" where it has none.

    partitions: the file of partitions, beside which they lie.
    """
    path = Path(partitions or PARTITIONS).with_name(SETUP)
    if not path.is_file():
        return ""
    quoted = shlex.quote(str(path.resolve()))
    return f". {quoted} || {{ echo {quoted}: its last command failed >&2; exit 1; }}"
