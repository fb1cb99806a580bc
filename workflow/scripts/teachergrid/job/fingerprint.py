"""The fingerprint of a rule's code: a hash of all statements that its entry script reaches inside this package.

It is computed from the source; nothing is imported. Functions are followed by name, so a change in one affects only the rules
that call it. Comments, docstrings, type annotations, formatting, other packages and the names of modules do not count, so
modules can be moved and renamed. A data file (such as a template) counts where a statement that names it is reached:
`Path(__file__).parent / "template"`.

The fingerprint of a cheap rule is part of its spec, so a corrected metric is computed again automatically. Results of GPU work
are never made again because code changed: each job adds a line to the index of jobs (store.job_index), and the plan lists what
older code has made.
"""

import gc
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib.util import cache_from_source
from pathlib import Path
from typing import NamedTuple

from ..store import origin
from ..store.job_index import index_lines
from .source import ALL, SCRIPTS, Part, Target, content, parse, parts_of


class Before(NamedTuple):
    """A statement as it was before it was rewritten."""

    digest: str
    instead: Target  # that it uses only now
    used: tuple[Target, ...]  # what it used in the place of that


NOTHING = ("", "")  # `instead` of a statement that uses nothing new
# rules that load no model, and whose outputs no rule that loads a model reads
CHEAP = ("metric", "verify", "score", "correlate", "report")
# these modules decide how a job runs but not what it makes, so a change in them makes no result older
NOT_IN_FINGERPRINT = {
    "teachergrid.job.fingerprint",
    "teachergrid.job.devices",
    "teachergrid.store.disk",
    "teachergrid.job.context",
    "teachergrid.cost.weight_files",
    "teachergrid.store.unfinished",
}
# Statements that were rewritten and make the same bytes as before: {digest now: as it was before}. Because of such a rewrite no
# result is made again, nor listed as made by older code.
REWRITTEN = {
    # temporary files follow no link: artifacts.write, origin.replace_text, shards._write
    "c5a8d509a497efef4a0dd0340a41afb2d27ac384dc83efde93ac3ef0ad80724c": Before(
        "552b2b17507798b39622554b6f2719bc38ab3f8bf861abf73f6c9c9e9852396b",
        ("teachergrid.store.origin", "create"),
        (),
    ),
    "b850f56c2efe1f01067a3b6ea04ebfbb2f56ffc7983911c714351cafc4a3ee1f": Before(
        "6f0b6318c86d3b5e9af3a062e0860ba76277d8dd5d6687958f2796f25f21d5bb",
        ("teachergrid.store.origin", "replace_bytes"),
        (("teachergrid.store.origin", "Path"), ("teachergrid.store.origin", "os")),
    ),
    "2988cf045494faf1819223cac09598a51d38c33f63936e8e2146699cd7e5929e": Before(
        "251976731227efb488a67777458b060c59aa32c45a3cd620b65d5df5711c2bd7",
        ("teachergrid.store.origin", "replace_bytes"),
        (("teachergrid.store.shards", "os"),),
    ),
    # what refuses a token without embedding has a name, for engines that load the weights by themselves: checks.check_ids
    "fb60f8f4925aa185aeb030898881f794ce051d56d01e17353a17797a1d13d5b9": Before(
        "96b491eeb4331869c8d21fa6557c3f733de7ba6ad91a6a01879ffe59eda0a1c5",
        ("teachergrid.models.checks", "refuse_ids"),
        (("teachergrid.errors", "BadInput"),),
    ),
    # a judge scores both sides with one load of the model: reward.score, reward._score_by_model. Both use what they used before
    "c954522f8391469208626288900effaf731781fa38348e3a09143ca967f26d46": Before(
        "c88ca17406bd57aaf0b3633156926206eb22cd5a65310f1eb05bf0b2bc2956de", NOTHING, ()
    ),
    "4c2d235a4c98c314711250d57307c16b5d362152dbee85702a3ff400c3c3a62a": Before(
        "3e93ca7bb780c5568416a0ded38a14ef744ab7b101f690fe035feeb352fc511c", NOTHING, ()
    ),
    # a turn whose content is {answer: text}, which was refused before: files._joined. Names of Python itself have no digest: the two
    # more that it uses now go with `dict`
    "3fbaccdd6bbe8e064eed13290ffdbf569d7098d84870faee38f03a356ca88519": Before(
        "530515d01dae1bc93b062d3e9cbea8ba4e208ee6a946352f2f924184702ccc1d",
        ("teachergrid.data.files", "dict"),
        (),
    ),
    # less memory, the same rows: artifacts.read, Responses.prompts and texts, checks.check_prompts
    "829681d39e1cd76cb0ce0855e9f4f877ac26b1f65f13238046a4747aa281c983": Before(
        "b01358ed1ae2f8c294f86648a13420d8d9faa882bf0c4fba371d2ae9cf3881bb",
        ("teachergrid.store.artifacts", "_whole"),
        (),
    ),
    "e373d039f462ca3512185dc3a49cde02511886e3bb8e681ecb263a378e69bb58": Before(
        "ade1cdd139e4a99ad6d6327ee258a1b152a2fab4dc38aca32f359a88014c0682",
        ("teachergrid.scoring.given", "messages_of"),
        (),
    ),
    "b550385fe7bd1b81f4be9f3e7d81434201b2ef315492aab4432f2ec0997bf8a9": Before(
        "2005197b424d1cd98d8141c75f317c017091390b609814e823a72b354f7f4332", NOTHING, ()
    ),
    # saved shards are read without threads: shards._saved
    "366d483fc17779a50687b4a8ea7f7da02d24efc25309bf6eee8417d9bef6fb40": Before(
        "599ba667b53dadb782a53da5a9ceeb7d8d4ce24a1523b4e116f974736845b6d8", NOTHING, ()
    ),
}
# {rule: its fingerprint, CODE: digest of the code they are of}: to compute one takes as long as all else of a small job. It lies with
# Python's bytecode, which is as easily made again
KEPT, CODE = Path(cache_from_source(__file__)).with_name("fingerprints.json"), "code"
# {rule: its entry script}, where that has another name
ENTRIES = {"select": "select_rows"}


@cache
def fingerprint(rule: str) -> str:
    """Return 16 hex digits of the code behind a rule, the same on every machine and Python."""
    code = all_code()
    if rule in (known := kept(code)):
        return known[rule]
    found = of_source(rule)
    # nothing is kept where somebody has edited the code meanwhile, or where Python keeps no bytecode
    if not sys.dont_write_bytecode and read_code() == code:
        with suppress(OSError):
            origin.replace_text(KEPT, json.dumps({**kept(code), rule: found, CODE: code}))
    return found


def kept(code: str) -> dict[str, str]:
    """Return {rule: its fingerprint} as far as an earlier process has kept them. code: the digest of the code now."""
    with suppress(OSError, ValueError, AttributeError):
        known = json.loads(KEPT.read_bytes())
        return known if known.get(CODE) == code else {}
    return {}


def of_source(rule: str) -> str:
    """Return the fingerprint of a rule as the source says it."""
    collecting = gc.isenabled()
    gc.disable()  # this halves the time: syntax trees have many nodes and no cycles
    try:
        parts = set(reach(ENTRIES.get(rule, rule), ALL))
        # with the digests of what a statement uses, since two modules may define different functions of the same name
        reached = sorted({(part.digest, *map(digest_of, part.used)) for part in parts})
        data = sorted({content(path) for part in parts for path in part.data})
    finally:
        if collecting:
            gc.enable()
    return hashlib.sha256(json.dumps([reached, data]).encode()).hexdigest()[:16]


@cache
def all_code() -> str:
    """Return the digest of all code as this process first saw it."""
    return read_code()


def read_code() -> str:
    """Return a digest of all files of the entry scripts and this package. Where it is the same, so is all that is read from them."""
    digest = hashlib.sha256()
    for folder, folders, names in os.walk(SCRIPTS):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for path in (Path(folder, name) for name in sorted(names)):
            with suppress(OSError):  # such as an editor's lock, a link to nothing
                text = path.read_bytes()
                digest.update(f"{path.relative_to(SCRIPTS).as_posix()} {len(text)} ".encode() + text)
    return digest.hexdigest()


def stamped(rule: str, text: str) -> str:
    """Return the spec of a cell, with the fingerprint of its rule where the rule is cheap."""
    if rule not in CHEAP:
        return text
    return json.dumps({**json.loads(text), "code": fingerprint(rule)}, sort_keys=True, ensure_ascii=False)


# --- outputs of older code


def watched(rule: str) -> bool:
    """Whether outputs of a rule can be older than its code. Cheap rules have the code in their spec, and `free` makes nothing."""
    return rule not in (*CHEAP, "free")


@cache
def remembered(results: str) -> dict[tuple[str, str], str]:
    """Return {(rule, cell): fingerprint of the code that made it last}."""
    by_time = sorted(index_lines(results), key=lambda words: int(words[0]))
    return {(rule, cell): made_with for _, rule, cell, made_with, *_ in by_time if watched(rule)}


def older(results: str, rule: str, cells: list[str]) -> tuple[list[str], list[str]]:
    """Return those of a rule's cells that older code has made, and those of which the index has no job."""
    made_by, current = remembered(results), fingerprint(rule)
    unknown = [cell for cell in cells if (rule, cell) not in made_by]
    return [cell for cell in cells if made_by.get((rule, cell), current) != current], unknown


# --- what a rule reaches


def reach(module: str, name: str) -> Iterator[Part]:
    """Yield all statements that run when a name of a module is used."""
    waiting, seen = [(module, name)], set()
    while waiting:
        current, name = waiting.pop()
        if (current, name) in seen or current in NOT_IN_FINGERPRINT:
            continue
        seen.add((current, name))
        waiting.append((current, ""))
        parsed = parse(current)
        if name == ALL:
            waiting += [(current, defined) for defined in parsed.statements]
        elif name in parsed.imports:
            waiting.append(parsed.imports[name])
        for part in map(as_before, parts_of(current, name)):
            yield part
            waiting += part.used


@cache
def digest_of(target: Target) -> str:
    """Return a hash of the statements that define a name (ALL: of all in a module), without the statements that these use."""
    module, name = target
    if module in NOT_IN_FINGERPRINT:
        return ""
    parsed = parse(module)
    if name in parsed.imports:
        return digest_of(parsed.imports[name])
    names = parsed.statements if name == ALL else [name]
    parts = (as_before(part) for defined in names for part in parts_of(module, defined))
    return " ".join(sorted(part.digest[:16] for part in parts))


def as_before(part: Part) -> Part:
    """Return a statement of REWRITTEN as it was before, and any other one as it is."""
    if part.digest not in REWRITTEN:
        return part
    before = REWRITTEN[part.digest]
    used = [before.used if target == before.instead else (target,) for target in part.used]
    return part._replace(digest=before.digest, used=tuple(target for targets in used for target in targets))
