"""What to know before a run: which jobs could be spared, which earlier results it replaces, what its estimate rests on."""

import json
import os
import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..cost.actuals import Actuals
from ..cost.makespan import ordered
from ..cost.throughput import decoder
from ..cost.workload import MODEL_RULES
from ..errors import BadInput
from ..job.reasons import FIRST, FOLLOWS, FORCED, MISSING, OLDER
from ..store.results import RESULTS
from ..units import between, count, number, percent, with_range
from .archive import Document, JobRow
from .options import config_paths, parse_quietly
from .sums import summed

# --- jobs that only deleted outputs entail


def spared(jobs: Sequence[JobRow], options: Sequence[str]) -> dict[str, Any] | None:
    """Return the jobs that need not run if deleted outputs are made first, and the commands for it; None where there are none.

    Snakemake plans all that depends on an output which it makes, even one that was deleted and comes out as it was. Once that is
    made, it compares contents, and a next plan has only what really changes.

    Args:
        options: Snakemake's.
    Returns:
        the sums of these jobs, with `deleted` (how many outputs, by rule) and `command`.
    """
    changed = _changed(jobs)
    left, made, steps, deleted = set(range(len(jobs))), set[int](), [], Counter[str]()
    order = ordered([job["needs"] for job in jobs])
    while any(jobs[i]["rule"] in MODEL_RULES for i in _in_vain(jobs, left, changed)):
        vain = _in_vain(jobs, left, changed)
        missing = {i for i in left if jobs[i]["reason"] == MISSING and not changed[i]}
        rules: list[tuple[str, set[int]]] = []
        for rule in dict.fromkeys(jobs[i]["rule"] for i in order if i in missing):
            # with --until RULE, Snakemake makes all planned jobs of the rule and what they read; of two rules of which one reads
            # the other, it makes only the first
            reached = _upstream(jobs, {i for i in left if jobs[i]["rule"] == rule}) & left
            if not reached & vain and not {jobs[i]["rule"] for i in reached} & {other for other, _ in rules}:
                rules.append((rule, reached))
        if not rules:
            break
        steps.append([rule for rule, _ in rules])
        deleted.update(jobs[i]["rule"] for _, reached in rules for i in reached & missing)
        made |= set().union(*(reached for _, reached in rules))
        left -= made
        left -= _no_longer_wanted(jobs, left, changed)
    saved = [job for i, job in enumerate(jobs) if i not in left and i not in made]
    if not any(job["rule"] in MODEL_RULES for job in saved):
        return None
    run = shlex.join(["teachergrid", "run", *options])
    command = " && ".join([*(f"{run} --until {' '.join(rules)}" for rules in steps), run])
    return {**summed(saved), "deleted": dict(deleted), "command": command}


def _changed(jobs: Sequence[JobRow]) -> list[bool]:
    """Return for each job whether its output may differ from the earlier one: it, or what it reads, has another reason."""
    changed = [job["reason"] not in (FOLLOWS, MISSING) for job in jobs]
    for i in ordered([job["needs"] for job in jobs]):
        changed[i] = changed[i] or any(changed[need] for need in jobs[i]["needs"])
    return changed


def _in_vain(jobs: Sequence[JobRow], left: set[int], changed: Sequence[bool]) -> set[int]:
    """Return the jobs that follow only from outputs which come out as they were."""
    return {i for i in left if jobs[i]["reason"] == FOLLOWS and not changed[i]}


def _upstream(jobs: Sequence[JobRow], some: set[int]) -> set[int]:
    """Return these jobs and all planned ones that they need."""
    found, todo = set(some), list(some)
    while todo:
        new = set(jobs[todo.pop()]["needs"]) - found
        found |= new
        todo += new
    return found


def _no_longer_wanted(jobs: Sequence[JobRow], left: set[int], changed: Sequence[bool]) -> set[int]:
    """Return the jobs that a next plan would not have: they follow from none that is left, or nothing left reads what was deleted."""
    gone: set[int] = set()
    readers: dict[int, set[int]] = defaultdict(set)
    for i, job in enumerate(jobs):
        for need in job["needs"]:
            readers[need].add(i)
    order = ordered([job["needs"] for job in jobs])
    for i in order:
        if i in left and not changed[i] and jobs[i]["reason"] == FOLLOWS and not {*jobs[i]["needs"]} & (left - gone):
            gone.add(i)
    for i in reversed(order):
        read_by = readers[i]
        if i in left and not changed[i] and jobs[i]["reason"] == MISSING and read_by and not read_by & (left - gone):
            gone.add(i)
    return gone


# --- results of another model or data set under the same name

# in the details of a reason: another model, another data set
OTHER = re.compile(r"(model\.repo|instructions\.source): ")
# {rule: the parts of its cell that name what may be another one}
NAMED = {"generate": ("teacher",), "load_instructions": ("instructions",), "likelihood": ("base", "scorer")}
# reasons of jobs for which nobody has changed the config
UNCHANGED = {FOLLOWS, FORCED, OLDER, FIRST, MISSING, "code changed", "input changed", "interrupted", "origin unknown"}
NAMED |= {
    "reward": ("reward",),
    "judge": ("judge",),
    "ask": ("judge",),
    "loss": ("base", "reference", "model"),
    "finetune": ("base",),
    "answer": ("base", "reference", "model"),
}


def other_config(argv: Sequence[str]) -> str | None:
    """Return the config of the last run in these results, where that is another file than the one of Snakemake's options."""
    try:
        last = json.loads(Path(RESULTS, "run.json").read_text())["argv"]
        before, now = (config_paths(parse_quietly(words)) for words in (last, list(argv)))
    except (OSError, ValueError, KeyError, BadInput, SystemExit):
        return None  # no run yet, or its options have become wrong
    same = [Path(path).resolve() for path in before] == [Path(path).resolve() for path in now]
    return None if same else " ".join(before)


def replaced(jobs: Sequence[JobRow], actuals: Actuals, argv: Sequence[str] = ()) -> dict[str, Any] | None:
    """Return the existing results that a plan replaces because a name stands for something else; None without any.

    That is another model or data set, and where the last run had another config, any other setting: all configs of one results
    folder share their names.

    Args:
        argv: Snakemake's options.
    Returns:
        config (of the last run, where it is another),
        results (their number), gpu_hours that they took, unknown (how many of them that need GPUs have no record of it), and
        changes ("teacher large: model.repo a -> b").
    """
    config = other_config(argv)
    changes: dict[str, None] = {}
    affected: set[int] = set()
    for i in ordered([job["needs"] for job in jobs]):
        job = jobs[i]
        is_other = config is not None and job["reason"] not in UNCHANGED
        own = [
            f"{_name(job) if OTHER.match(detail) else job['job']}: {detail}"
            for detail in job["details"]
            if is_other or OTHER.match(detail)
        ]
        changes |= dict.fromkeys(own)
        if own or affected & {*job["needs"]}:
            affected.add(i)
    earlier = [jobs[i] for i in sorted(affected) if os.path.exists(jobs[i]["output"])]
    if not earlier:
        return None
    took = {(rule, one.cell): one.seconds * one.work.gpus for rule, ones in actuals.jobs.items() for one in ones}
    cells = [(tuple(job["job"].split(" ", 1)), job) for job in earlier]
    known = sum(took.get((rule, cell), 0.0) for (rule, cell), _ in cells)
    unknown = sum((rule, cell) not in took for (rule, cell), job in cells if job["rule"] in MODEL_RULES)
    return {
        "results": len(earlier),
        "gpu_hours": round(known / 3600, 6),
        "unknown": unknown,
        "changes": list(changes),
        "config": config,
    }


def _name(job: JobRow) -> str:
    """Return what a job's own model or data is called, such as `teacher large`."""
    word = next((word for word in NAMED.get(job["rule"], ()) if word in job["words"]), None)
    return f"{word} {job['words'][word]}" if word else job["job"]


# --- in words

# by the source of an estimate (store.estimates.Estimate)
BASIS = {
    "measured": "estimated from finished ones",
    "probe": "estimated from probes",
    "scaled": "estimated from another GPU type",
    "analytic": "estimated analytically",
}

# where the lengths of responses come from (cost.actuals)
LENGTHS = {
    "own": "measured",
    "probe": "probed",
    "alike": "from responses like theirs, which count as {} teachers",
    "usual": "as usual",
}


def basis(row: Mapping[str, Any]) -> str:
    """Return what estimates are based on, in words, and where the lengths of responses come from. row: sums of jobs."""
    rates = ", ".join(f"{count(n)} jobs {BASIS[source]}" for source, n in row["sources"].items())
    found = (row.get("lengths") or {}).items()
    texts = ", ".join(f"{count(one['jobs'])} {LENGTHS[source].format(number(one['weight']))}" for source, one in found)
    return f"{rates}; lengths of responses: {texts}" if texts else rates


def texts(plan: Document) -> list[str]:
    """Return what to know before the run: which results it replaces, and which jobs need not run."""
    lines = []
    if replaces := plan.get("replaces"):
        n = replaces["results"]
        at_least = "at least " * bool(replaces["unknown"])
        config = f"{replaces['config']}: " if replaces.get("config") else ""
        lines.append(
            f"replaces {count(n)} result{'s' * (n > 1)} that took {at_least}{number(replaces['gpu_hours'])} GPU-hours, made from "
            f"another config ({config}{'; '.join(replaces['changes'][:3])}{' ...' * (len(replaces['changes']) > 3)}). To keep them, give "
            "the new entry a name of its own, or this study a folder of its own (docs/reruns.md); the version before the present one stays in results/.replaced"
        )
    if spared := plan.get("spared"):
        deleted = ", ".join(f"{rule} {count(n)}" for rule, n in spared["deleted"].items())
        lines.append(
            f"{count(spared['jobs'])} of these jobs ({number(spared['gpu_hours']['expected'])} GPU-hours) would only make "
            f"again what exists: they follow from outputs that were deleted ({deleted}). Make these first; they come out as "
            f"they were, and the rest then has nothing to do: {spared['command']}"
        )
    return lines


def asked(plan: Document) -> list[str]:
    """Return what each endpoint is asked for, and what that costs."""
    lines = []
    for row in plan.get("endpoints") or []:
        tokens = f"{count(row['prompt_tokens'])} tokens in and about {count(row['response_tokens'])} out"
        price = "price unknown: state its `usd_in` and `usd_out`"
        if row["usd"]:
            price = with_range(row["usd"]["expected"], row["usd"]["low"], row["usd"]["high"], "USD")
        said = (
            f"{count(row['requests'])} requests, about {tokens}, {price}"
            if row["requests"]
            else "nothing new, all is answered"
        )
        lines.append(f"{row['endpoint']}: {said}")
    return lines


NAMED_TASKS = 6


def detectable(plan: Document) -> str:
    """Return which differences between two models the benchmarks mostly detect; "" without any."""
    rows = plan.get("detectable") or []
    told = [
        f"{row['suite']}/{row['task']} ({count(row['items'])} items) {number(row['paired'])} points ({number(row['unpaired'])})"
        for row in rows[:NAMED_TASKS]
    ]
    more = f", and {len(rows) - NAMED_TASKS} more (--json)" if len(rows) > NAMED_TASKS else ""
    if not told:
        return ""
    return (
        f"differences of two models, by the same items (by different ones), that four of five runs detect at p <= 0.05 where half is "
        f"right: {', '.join(told)}{more}"
    )


# what an engine or a rule must make of the hours to be named
MOST = 0.5


def uncertain(plan: Document) -> list[str]:
    """Return what makes most of the cost, and which probe would narrow its range most."""
    lines, total = [], (plan.get("phase_two") or plan)["total"]
    unit, name = ("gpu_hours", "GPU-hours") if total["gpu_hours"]["expected"] else ("cpu_hours", "CPU-hours")
    whole = total[unit]["expected"]  # type: ignore[literal-required]
    for row in plan.get("engines") or []:
        if whole > 1 and (share := row[unit]["expected"] / whole) > MOST:
            faster = decoder(row["engine"]).faster
            remedy = f"; {faster}; or make the responses with another program and read them (`engine: existing`)"
            lines.append(f"the engine {row['engine']} makes {percent(share)} of the {name}{remedy * bool(faster)}")
    if narrow := plan.get("narrowing"):
        before, after = (between(narrow[one]["low"], narrow[one]["high"]) for one in ("before", "after"))
        lines.append(
            f"the range of {before} {name} is widest for {narrow['rule']} ({percent(narrow['share'])} of them): a probe of its "
            f"jobs, some minutes on a machine with their device, would narrow it to about {after} (`teachergrid plan --probe`)"
        )
    return lines
