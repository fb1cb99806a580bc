"""The fingerprint of a rule's code: a hash of all statements that its entry script reaches inside this package.

It is read from the source, nothing is imported. Functions are followed by name, so a change in one counts for the rules that
call it and for no other. What does not count: comments, docstrings, type annotations, formatting, other packages, and in
which module a statement lies or how that module is called. So modules can be moved and renamed. A data file (a template)
counts where a statement that names it is reached: `Path(__file__).parent / "template"`.

The fingerprint of a cheap rule is part of its spec: a corrected metric is computed again by itself. Results of GPU work are
never made again because their code changed; each job leaves a line in the index of jobs, and the plan says what was made by
older code.
"""

import gc
import hashlib
import json
from collections.abc import Iterator
from functools import cache

from ..store.job_index import index_lines
from .source import ALL, Part, Target, content, parse, parts_of

# no model is loaded for them, and no rule that loads one reads what they make
CHEAP = ("metric", "verify", "correlate", "report")
# these decide how a job runs and not what it makes; a change in them makes no result older
NOT_IN_FINGERPRINT = {
    "teachergrid.job.fingerprint",
    "teachergrid.job.devices",
    "teachergrid.store.disk",
    "teachergrid.job.context",
    "teachergrid.training.weight_files",
    "teachergrid.store.unfinished",
}
# rule -> entry script, where that has another name
ENTRIES = {"select": "select_rows"}


@cache
def fingerprint(rule: str) -> str:
    """Return 16 hex digits of the code behind a rule, the same on every machine and Python."""
    collecting = gc.isenabled()
    gc.disable()  # a tree has many nodes and no cycles: half of the time
    try:
        parts = set(reach(ENTRIES.get(rule, rule), ALL))
        # which function a name stands for counts too: two modules may have one of the same name
        reached = sorted({(part.digest, *map(digest_of, part.used)) for part in parts})
        data = sorted({content(path) for part in parts for path in part.data})
    finally:
        if collecting:
            gc.enable()
    return hashlib.sha256(json.dumps([reached, data]).encode()).hexdigest()[:16]


def stamped(rule: str, text: str) -> str:
    """Return the spec of a cell, with the fingerprint of its rule where the rule is cheap."""
    if rule not in CHEAP:
        return text
    return json.dumps({**json.loads(text), "code": fingerprint(rule)}, sort_keys=True, ensure_ascii=False)


# --- what was made by older code


def watched(rule: str) -> bool:
    """Whether outputs of a rule can be older than its code: cheap rules have it in their spec, and `free` makes nothing."""
    return rule not in (*CHEAP, "free")


@cache
def remembered(results: str) -> dict[tuple[str, str], str]:
    """Return {(rule, cell): the fingerprint it was made with last}."""
    by_time = sorted(index_lines(results), key=lambda words: int(words[0]))
    return {(rule, cell): made_with for _, rule, cell, made_with, *_ in by_time if watched(rule)}


def older(results: str, rule: str, cells: list[str]) -> tuple[list[str], list[str]]:
    """Return (cells of a rule that older code made, cells of which no job is in the index)."""
    known, now = remembered(results), fingerprint(rule)
    unknown = [cell for cell in cells if (rule, cell) not in known]
    return [cell for cell in cells if known.get((rule, cell), now) != now], unknown


# --- what a rule reaches


def reach(module: str, name: str) -> Iterator[Part]:
    """Yield all statements that run when a name of a module is used."""
    waiting, seen = [(module, name)], set()
    while waiting:
        at, name = waiting.pop()
        if (at, name) in seen or at in NOT_IN_FINGERPRINT:
            continue
        seen.add((at, name))
        waiting.append((at, ""))
        parsed = parse(at)
        if name == ALL:
            waiting += [(at, defined) for defined in parsed.statements]
        elif name in parsed.imports:
            waiting.append(parsed.imports[name])
        for part in parts_of(at, name):
            yield part
            waiting += part.used


@cache
def digest_of(target: Target) -> str:
    """Return a hash of the statements that define a name, or of a whole module, without what these use in turn."""
    module, name = target
    if module in NOT_IN_FINGERPRINT:
        return ""
    parsed = parse(module)
    if name in parsed.imports:
        return digest_of(parsed.imports[name])
    names = parsed.statements if name == ALL else [name]
    return " ".join(sorted(part.digest[:16] for defined in names for part in parts_of(module, defined)))
