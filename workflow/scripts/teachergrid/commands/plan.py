"""`teachergrid plan` and `why`: show what a run would do, why, what it would cost and when it would end. No job runs.

See parser.py for the options and exit codes.
"""

import json
import os
import shlex
import shutil
import sys
import textwrap
from argparse import Namespace
from typing import TYPE_CHECKING

from ..errors import BadInput
from ..planning import options
from ..planning.archive import Document
from ..planning.graph import by_older_code, cell, described, graph, name, sorted_jobs
from ..planning.options import targeted
from ..run import permissions
from ..spec.spelling import known, nearest
from ..store.results import RESULTS
from . import output

if TYPE_CHECKING:
    from snakemake.dag import DAG

AT_MOST = 3  # files named in a command; for more the command calls `plan --older`


def main(own: Namespace, argv: list[str]) -> int:
    """Print the plan and return the exit code. own: our options; argv: Snakemake's."""
    try:
        request = options.read(own, argv)
        if unread := permissions.unread(RESULTS):
            print(f"unknown: {unread}", file=sys.stderr)
        if request.why:
            return explain(request.why, request.argv)
        if request.older or request.jsonl:
            return listed(request)
        return shown(request)
    except BadInput as error:
        print(error, file=sys.stderr)
        return 2


def listed(request: options.PlanOptions) -> int:
    """Print what needs no costs: the files made by older code (--older), or a line for each job (--jsonl)."""
    dag = graph(request.argv)
    if request.older:
        known("--older", request.older, [rule.name for rule in dag.workflow.rules])
        older = by_older_code(dag).get(request.older)
        print(*(older.files if older else []), sep="\n")
        return 0
    for job in described(sorted_jobs(dag.needrun_jobs())):
        print(json.dumps(job))
    return 0


def shown(request: options.PlanOptions) -> int:
    """Print the plan as text or JSON, with all that the options request, and return the exit code."""
    from ..planning import archive, budget, diff, document, terminal, whatif

    if request.what_if == ["list"]:
        print(whatif.HELP)
        return 0
    setting = document.Setting.of(request)
    if request.probe:
        from ..probe import kinds

        setting = kinds.probed(setting, request.probe_seconds)
    others = whatif.variants(request.what_if, setting)
    before = diff.earlier(request.diff, setting) if request.diff else None
    planned = setting.plan(request.argv)
    archive.save(planned)
    over = budget.over(planned, request)
    if request.html:
        from ..planning import page

        output.write_page(request.html, page.build(planned))
    if request.json:
        print(json.dumps(planned))
    else:
        width = min(shutil.get_terminal_size().columns, 160)
        parts = [terminal.page(planned, width)]
        if request.details:
            parts.append(terminal.details(planned))
        parts.append(show_older(planned, request.argv, width))
        if before:
            parts.append(diff.text(diff.between(before, planned), width))
        if others:
            notes = [f"{other.name}: {note}" for other in others for note in other.notes]
            plans = [("as planned", planned), *(whatif.planned(other) for other in others)]
            parts.append(whatif.text(plans, width, notes))
        if planned["jobs"]:
            parts.append(terminal.more(planned))
        print("\n\n".join(part for part in parts if part))
    if over:
        print(budget.refusal(planned, request, over, lambda names: whatif.cut(names, setting)), file=sys.stderr)
        return budget.OVER
    return 0


# --- outputs of older code


def command(rule: str, files: list[str], is_all: bool, options: list[str]) -> str:
    """Return the command that makes these files of a rule again, and then all that depends on those that change.

    is_all: whether they are all files of the rule. options: Snakemake's.
    """
    run = shlex.join(["teachergrid", "run", *options])
    which = rule if is_all else shlex.join(files)
    if not is_all and len(files) > AT_MOST:
        which = f"$({shlex.join(['teachergrid', 'plan', '--older', rule, *options])})"
    end = options.index("--") if "--" in options else len(options)
    # behind `--` all words are targets
    again, targets = shlex.join(["teachergrid", "run", *options[:end]]), shlex.join(["", *options[end:]])[2:]
    return f"{again} -R {which} --until {rule}{targets} && {run}"


def show_older(planned: Document, options: list[str], width: int) -> str:
    """Return as text which outputs older code has made, with the commands that make them again."""
    lines = []
    if any(row["files"] for row in planned["older"]):
        lines.append(
            "made by older code, and reused; these commands make them again, and then all that depends on those that change:"
        )
    for row in planned["older"]:
        if files := row["files"]:
            again = command(row["rule"], files, len(files) == row["of"], options)
            lines.append(f"{len(files):7} of {row['of']} {row['rule']}: {again}")
    unknown = [f"{row['unknown']} {row['rule']}" for row in planned["older"] if row["unknown"]]
    if unknown:
        lines += textwrap.wrap(f"made by unrecorded code: {', '.join(unknown)}", width, subsequent_indent="  ")
    return "\n".join(lines)


# --- one result


def explain(what: str, argv: list[str]) -> int:
    """Print why one output (or cell, `generate seed__large`) would be made again, or whether older code made it."""
    what = os.path.relpath(what) if what.startswith((".", "/")) else what
    dag, result = found(what, argv)
    jobs = sorted_jobs(dag.needrun_jobs())
    reason, details = next((job["why"] for job in described(jobs) if job["output"] == result), ("up to date", []))
    for rule, older in by_older_code(dag).items():
        if result in older.files:
            details = [f"made by older code; to make it again: {command(rule, [result], False, argv)}"]
    print(f"{result}: {reason}")
    for line in details:
        print(f"  {line}")
    return 0


def found(what: str, argv: list[str]) -> "tuple[DAG, str]":
    """Return the graph, and the output of the job that makes a file or a cell (with or without its rule).

    Raises BadInput where the grid has neither.
    """
    dag = None
    if what.startswith(f"{RESULTS}/"):
        try:
            dag = graph(targeted(argv, what))
        except BadInput as error:
            # the pattern of a rule may match a cell that the grid does not have
            if not any(words in str(error) for words in ("makes this file", "the grids have no '")):
                raise
    jobs = sorted_jobs((dag or (dag := graph(argv))).jobs)
    for job in jobs:
        if what in (name(job), cell(job)) or what in map(str, job.output):
            return dag, str(job.output[0])
    if what.startswith(f"{RESULTS}/"):
        hint = nearest(what, [str(path) for job in jobs for path in job.output])
        raise BadInput(f"{what}: no job of the grid makes this file{hint}")
    raise BadInput(
        f"{what}: the grid has no such cell{nearest(what, [name(job) for job in jobs])}; name a file in {RESULTS}/, or a cell as "
        "`teachergrid plan --details` lists them"
    )
