"""Know the cost, the reasons and the end before paying: teachergrid plan [options] [Snakemake's options]. Nothing of it runs.

--cluster h100=16,a100=32@48h,cpu=128   plan on these GPUs and CPUs (@48h: jobs are ended there after 48 hours); without it
                  on the partitions of a SLURM profile, or on this machine. Where CPUs are alone, every job runs on them
--gpu TYPE        count with this type where a job may run on several, or the cluster does not say which it has
--machines FILE   GPU types and prices of yours over config/machines.yaml
--start-delay S   seconds from submitted to started (60 on a cluster)
--details         every job: its reason, time and machine
--why FILE|CELL   why one result would be made again
--json            the whole plan for programs: workflow/schemas/plan.schema.json; --jsonl: one line a job, without costs
--html FILE       the plan as a page, with a Gantt chart
--diff WHAT       what changed since an earlier plan: a file of --json, a plan's hash, `last`, or a git revision of the config
--what-if CHANGE  the same grid otherwise, side by side; may be given several times, `--what-if list` names the changes
--max-gpu-hours N, --max-usd N, --deadline 48h|3d|2026-05-01T18:00   refuse a plan that takes more: exit code 3, and the
                  shortest list of cuts; --fit-budget: the lines for the config that keep the most
--probe           first run a few rows of each kind of job (stage, model, settings) of which none was measured, on this machine:
                  on its GPUs, or on its CPU what is planned on CPUs (--cluster cpu=8); --probe-seconds S: the most for one (300)
--older RULE      the files of a rule that older code has made

A mended bug makes nothing again that GPU work went into or hangs on. The plan counts such results and gives the command that
makes them again; it is for the user to decide. Exit code: 0, 2 for a mistake in options or config, 3 over budget.
"""

import json
import shlex
import shutil
import sys
import textwrap
from pathlib import Path

from .errors import BadInput
from .planning import options as own
from .planning.graph import RESULTS, by_older_code, cell, described, graph, name, plan, planned, sorted_jobs

__all__ = ["by_older_code", "command", "described", "explain", "graph", "main", "plan", "planned", "sorted_jobs"]
AT_MOST = 3  # files in a command; more are asked for by a command of their own


def main(argv: list[str]) -> int:
    """Print the plan, see this module's own words."""
    if {"-h", "--help"} & set(argv):
        print(__doc__.strip())
        return 0
    try:
        asked = own.read(argv)
        if asked.why:
            return explain([asked.why, *asked.argv])
        if asked.older or asked.jsonl:
            return listed(asked)
        return shown(asked)
    except BadInput as error:
        print(error, file=sys.stderr)
        return 2


def listed(asked: own.Asked) -> int:
    """Print what programs ask for without costs: the files of older code, or a line a job."""
    dag = graph(asked.argv)
    if asked.older:
        files, _, _ = by_older_code(dag).get(asked.older, ([], 0, 0))
        print(*files, sep="\n")
        return 0
    for job in described(sorted_jobs(dag.needrun_jobs())):
        print(json.dumps(job))
    return 0


def shown(asked: own.Asked) -> int:
    from .planning import budget, diff, document, kept, text, whatif

    if asked.what_if == ["list"]:
        print(whatif.HELP)
        return 0
    setting = document.Setting.of(asked)
    if asked.probe:
        from .planning import probe

        setting = probe.probed(setting, asked.probe_seconds)
    others = whatif.variants(asked.what_if, setting)
    before = diff.earlier(asked.diff, setting) if asked.diff else None
    found = setting.plan(asked.argv)
    kept.keep(found)
    over = budget.over(found, asked)
    if asked.html:
        from .planning import page

        Path(asked.html).write_text(page.build(found))
    if asked.json:
        print(json.dumps(found))
    else:
        width = min(shutil.get_terminal_size().columns, 160)
        parts = [text.page(found, width)]
        if asked.details:
            parts.append(text.details(found))
        parts.append(show_older(found, asked.argv, width))
        if before:
            parts.append(diff.text(diff.between(before, found), width))
        if others:
            parts.append(whatif.text([("as planned", found), *(whatif.planned(*other) for other in others)], width))
        if found["jobs"]:
            parts.append(text.more(found))
        print("\n\n".join(part for part in parts if part))
    if over:
        print(budget.refusal(found, asked, over), file=sys.stderr)
        return budget.OVER
    return 0


# --- what older code has made


def command(rule: str, files: list[str], whole: bool, options: list[str]) -> str:
    """Return what makes these files of a rule again and then what follows: of that, only what reads other bytes than before."""
    run = shlex.join(["teachergrid", "run", *options])
    which = rule if whole else shlex.join(files)
    if not whole and len(files) > AT_MOST:
        which = f"$({shlex.join(['teachergrid', 'plan', '--older', rule, *options])})"
    return f"{run} -R {which} --until {rule} && {run}"


def show_older(found: dict, options: list[str], width: int) -> str:
    lines = []
    if any(row["files"] for row in found["older"]):
        lines.append("made by older code, and kept; to make them again, and then what follows from those that change:")
    for row in found["older"]:
        if files := row["files"]:
            again = command(row["rule"], files, len(files) == row["of"], options)
            lines.append(f"{len(files):7} of {row['of']} {row['rule']}: {again}")
    unknown = [f"{row['unknown']} {row['rule']}" for row in found["older"] if row["unknown"]]
    if unknown:
        lines += textwrap.wrap(
            f"made by code that is not recorded: {', '.join(unknown)}", width, subsequent_indent="  "
        )
    return "\n".join(lines)


# --- one result


def explain(argv: list[str]) -> int:
    """Print why one output (or cell, `generate seed__large`) would be made again, or by which code it was made."""
    what, *options = argv
    is_file = what.startswith(f"{RESULTS}/")
    dag = graph([*options, what] if is_file else options)
    jobs = sorted_jobs(dag.needrun_jobs())
    output = what if is_file else output_of(dag, what)
    mine = [job for job in described(jobs) if job["output"] == output]
    reason, details = mine[0]["why"] if mine else ("up to date", [])
    for rule, (files, _, _) in by_older_code(dag).items():
        if output in files:
            details = [f"made by older code; to make it again: {command(rule, [output], False, options)}"]
    print(f"{output}: {reason}")
    for line in details:
        print(f"  {line}")
    return 0


def output_of(dag, what: str) -> str:
    """Return the output of a cell, named with or without its rule. Raises BadInput."""
    from .names import nearest

    jobs = sorted_jobs(dag.jobs)
    found = [str(job.output[0]) for job in jobs if what in (name(job), cell(job))]
    if not found:
        raise BadInput(f"--why {what}: the grid has no such cell{nearest(what, [name(job) for job in jobs])}")
    return found[0]
