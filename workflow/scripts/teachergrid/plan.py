"""The jobs that Snakemake would run and why, with its own options and profiles. Nothing runs."""

import json
import sys
from collections import Counter
from contextlib import redirect_stdout
from unittest.mock import patch

from .reasons import why

RESULTS = "results"


def planned(argv: list[str]) -> list:
    """Return Snakemake's job objects. No public way to them counts profiles, so the last step of its CLI is replaced:
    the graph is built and not run, which also saves a quarter of a dry run's time."""
    from snakemake.api import DAGApi
    from snakemake.cli import args_to_api, parse_args

    built = []

    def build(api, *args, **kwargs):
        workflow = api.workflow_api._workflow
        workflow._prepare_dag(forceall=api.dag_settings.forceall, ignore_incomplete=False, lock_warn_only=True)
        workflow._build_dag()
        built.append(workflow.dag)

    with patch.object(DAGApi, "execute_workflow", build):
        parser, args = parse_args([*argv, "--dry-run", "--quiet", "all"])
        if not args_to_api(args, parser):
            raise SystemExit(1)
    jobs = built[0].needrun_jobs()
    return sorted((job for job in jobs if not job.rule.norun), key=lambda job: (job.rule.name, *job.wildcards))


def plan(argv: list[str]) -> list[dict]:
    """Return one dict a job: job (rule and cell), gpu, output, why (class of the reason, details)."""
    with redirect_stdout(sys.stderr):  # Snakemake prints its summary
        jobs = planned(argv)
    remade = {str(path) for job in jobs for path in job.output}
    return [
        {
            "job": " ".join([job.rule.name, "/".join(job.wildcards)]),
            "gpu": job.resources.get("gpu", 0),
            "output": str(job.output[0]),
            "why": why(RESULTS, str(job.output[0]), job.params.spec, list(map(str, job.input)), remade),
        }
        for job in jobs
    ]


def main(argv: list[str]) -> int:
    """Print the plan: counts by rule and reason first, then every job; with --jsonl one JSON line a job."""
    jobs = plan([arg for arg in argv if arg != "--jsonl"])
    if "--jsonl" in argv:
        for job in jobs:
            print(json.dumps(job))
        return 0
    print(f"{len(jobs)} jobs to do" if jobs else "nothing to do")
    for (rule, reason), n in sorted(Counter((job["job"].split()[0], job["why"][0]) for job in jobs).items()):
        print(f"{n:7} {rule:18} {reason}")
    for job in jobs:
        print(f"  {job['job']}  ({job['why'][0]}{': ' + '; '.join(job['why'][1][:3]) if job['why'][1] else ''})")
    return 0


def explain(argv: list[str]) -> int:
    """Print why one output would be made again."""
    output, *options = argv
    mine = [job for job in plan([*options, output]) if job["output"] == output]
    reason, details = mine[0]["why"] if mine else ("up to date", [])
    print(f"{output}: {reason}")
    for line in details:
        print(f"  {line}")
    return 0
