"""The jobs that Snakemake would run and why, with its own options and profiles, and what older code has made. Nothing runs.

A mended bug makes nothing again that GPU work went into or hangs on. The plan counts such results and gives the command that
makes them again; it is for the user to decide.
"""

import json
import os
import shlex
import sys
from collections import Counter, defaultdict
from contextlib import redirect_stdout
from unittest.mock import patch

from . import code, costs
from .reasons import why

RESULTS = "results"
AT_MOST = 3  # files in a command; more are asked for by a command of their own


def graph(argv: list[str]):
    """Return Snakemake's graph of jobs. No public way to it counts profiles, so the last step of its CLI is replaced:
    the graph is built and not run, which also saves a quarter of a dry run's time."""
    from snakemake.api import DAGApi
    from snakemake.cli import args_to_api, parse_args

    built = []

    def build(api, *args, **kwargs):
        workflow = api.workflow_api._workflow
        workflow._prepare_dag(forceall=api.dag_settings.forceall, ignore_incomplete=False, lock_warn_only=True)
        workflow._build_dag()
        built.append(workflow.dag)

    with patch.object(DAGApi, "execute_workflow", build), redirect_stdout(sys.stderr):  # it prints its summary
        parser, args = parse_args([*argv, "--dry-run", "--quiet", "all"])
        if not args_to_api(args, parser):
            raise SystemExit(1)
    return built[0]


def sorted_jobs(jobs) -> list:
    return sorted((job for job in jobs if not job.rule.norun), key=lambda job: (job.rule.name, *job.wildcards))


def planned(argv: list[str]) -> list:
    """Return Snakemake's objects of the jobs to run."""
    return sorted_jobs(graph(argv).needrun_jobs())


def described(jobs: list) -> list[dict]:
    """Return one dict a job: job (rule and cell), gpu, output, why (class of the reason, details)."""
    remade = {str(path) for job in jobs for path in job.output}
    return [
        {
            "job": f"{job.rule.name} {cell(job)}",
            "gpu": costs.gpus(job.resources),
            "output": str(job.output[0]),
            "why": why(RESULTS, str(job.output[0]), job.params.spec, list(map(str, job.input)), remade),
        }
        for job in jobs
    ]


def plan(argv: list[str]) -> list[dict]:
    """Return the jobs to run, one dict each (see `described`)."""
    return described(planned(argv))


def cell(job) -> str:
    return "/".join(job.wildcards)


# --- what older code has made


def by_older_code(dag) -> dict[str, tuple[list[str], int, int]]:
    """Return rule -> (files made by older code, how many are not known, how many there are) of what would not be made again."""
    made = defaultdict(dict)
    for job in sorted_jobs(set(dag.jobs) - set(dag.needrun_jobs())):
        if code.watched(job.rule.name) and os.path.exists(job.output[0]):
            made[job.rule.name][cell(job)] = str(job.output[0])
    found = {}
    for rule, outputs in made.items():
        old, unknown = code.older(RESULTS, rule, list(outputs))
        found[rule] = [outputs[name] for name in old], len(unknown), len(outputs)
    return found


def command(rule: str, files: list[str], whole: bool, options: list[str]) -> str:
    """Return what makes these files of a rule again and then what follows: of that, only what reads other bytes than before."""
    run = shlex.join(["teachergrid", "run", *options])
    which = rule if whole else shlex.join(files)
    if not whole and len(files) > AT_MOST:
        which = f"$({shlex.join(['teachergrid', 'plan', '--older', rule, *options])})"
    return f"{run} -R {which} --until {rule} && {run}"


def show_older(dag, options: list[str]) -> None:
    found = by_older_code(dag)
    if any(files for files, _, _ in found.values()):
        print("made by older code, and kept; to make them again, and then what follows from those that change:")
    for rule, (files, _, n) in found.items():
        if files:
            print(f"{len(files):7} of {n} {rule}: {command(rule, files, len(files) == n, options)}")
    unknown = [f"{n} {rule}" for rule, (_, n, _) in found.items() if n]
    if unknown:
        print(f"made by code that is not recorded: {', '.join(unknown)}")


# --- commands


def main(argv: list[str]) -> int:
    """Print the plan: counts by rule and reason, every job, what older code has made.

    --jsonl prints one JSON line a job, --older RULE the files of a rule that older code has made.
    """
    if "--older" in argv:
        at = argv.index("--older")
        files, _, _ = by_older_code(graph(argv[:at] + argv[at + 2 :])).get(argv[at + 1], ([], 0, 0))
        print(*files, sep="\n")
        return 0
    options = [arg for arg in argv if arg != "--jsonl"]
    dag = graph(options)
    jobs = described(sorted_jobs(dag.needrun_jobs()))
    if "--jsonl" in argv:
        for job in jobs:
            print(json.dumps(job))
        return 0
    print(f"{len(jobs)} jobs to do" if jobs else "nothing to do")
    for (rule, reason), n in sorted(Counter((job["job"].split()[0], job["why"][0]) for job in jobs).items()):
        print(f"{n:7} {rule:18} {reason}")
    for job in jobs:
        print(f"  {job['job']}  ({job['why'][0]}{': ' + '; '.join(job['why'][1][:3]) if job['why'][1] else ''})")
    show_older(dag, options)
    return 0


def explain(argv: list[str]) -> int:
    """Print why one output would be made again, or by which code it was made."""
    output, *options = argv
    dag = graph([*options, output])
    mine = [job for job in described(sorted_jobs(dag.needrun_jobs())) if job["output"] == output]
    reason, details = mine[0]["why"] if mine else ("up to date", [])
    for rule, (files, _, _) in by_older_code(dag).items():
        if output in files:
            details = [f"made by older code; to make it again: {command(rule, [output], False, options)}"]
    print(f"{output}: {reason}")
    for line in details:
        print(f"  {line}")
    return 0
