"""Which code stands behind a rule: a fingerprint of all that its entry script reaches inside this package.

Read from the source, nothing is imported. Functions are followed by name, so that a change in one counts for the rules that
call it and for no other. Comments, docstrings, formatting and other packages do not count.

The fingerprint of a cheap rule is part of its spec: a mended metric is computed again by itself. What GPU work hangs on is
never made again for its code: each job leaves a line in `results/.jobs/`, and the plan says what was made by older code.
"""

import ast
import gc
import hashlib
import json
import socket
import time
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from itertools import repeat
from pathlib import Path
from typing import NamedTuple

PACKAGE = __package__
SCRIPTS = Path(__file__).parents[1]
INDEX, PROBES = ".jobs", ".probes"
# no model is loaded for them, and no rule that loads one reads what they make
CHEAP = ("metric", "verify", "correlate", "report")
# how a job runs and not what it makes: log, devices, disk, unfinished work, and this module
ASIDE = {f"{PACKAGE}.{name}" for name in ("job", "devices", "disk", "work", "code")}
# the rules whose entry script has another name than they
ENTRIES = {"select": "select_rows"}
ALL = "*"
FUNCTION_OR_CLASS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class Part(NamedTuple):
    """A statement of a module: its hash, the names it uses (name, attribute), and its own imports."""

    digest: str
    used: frozenset
    imports: dict


class Module(NamedTuple):
    package: str
    statements: dict[str, list[ast.stmt]]  # by the name they define; "" defines none and always runs
    imports: dict[str, tuple[str, str]]  # a name here -> (module, name there or ALL)


@cache
def fingerprint(rule: str) -> str:
    """Return 16 hex digits of the code behind a rule, the same on every machine and Python."""
    collecting = gc.isenabled()
    gc.disable()  # a tree has many nodes and no cycles: half of the time
    try:
        entry = ENTRIES.get(rule, rule)
        reached = sorted({(module, part.digest) for module, part in reach(entry, ALL)})
    finally:
        if collecting:
            gc.enable()
    packages = {name.rpartition(".")[0] for name, _ in reached} - {"", PACKAGE}
    data = [beside(package) for package in sorted(packages)]
    return hashlib.sha256(json.dumps([reached, data]).encode()).hexdigest()[:16]


def stamped(rule: str, text: str) -> str:
    """Return the spec of a cell, with the fingerprint of its rule where the rule is cheap."""
    if rule not in CHEAP:
        return text
    return json.dumps({**json.loads(text), "code": fingerprint(rule)}, sort_keys=True, ensure_ascii=False)


# --- what a rule reaches


def reach(module: str, name: str) -> Iterator[tuple[str, Part]]:
    """Yield (module, part) for all that runs when a name of a module is used; ALL is the whole module."""
    waiting, seen = [(module, name)], set()
    while waiting:
        at, name = waiting.pop()
        if (at, name) in seen or at in ASIDE:
            continue
        seen.add((at, name))
        waiting.append((at, ""))
        parsed = parse(at)
        if name == ALL:
            waiting += [(at, defined) for defined in parsed.statements]
        elif name in parsed.imports:
            waiting.append(parsed.imports[name])
        for part in map(part_of, parsed.statements.get(name, ()), repeat(parsed.package)):
            yield at, part
            waiting += [meant(at, parsed, part, *use) for use in part.used]


def meant(at: str, parsed: Module, part: Part, name: str, attribute: str | None) -> tuple[str, str]:
    """Return the (module, name) that a use of a name stands for."""
    if name.startswith(f"{PACKAGE}."):
        return name, ALL
    target = part.imports.get(name) or parsed.imports.get(name)
    if target is None:
        return at, name
    module, there = target
    return (module, attribute or ALL) if there == ALL else target


@cache
def source_of(module: str) -> Path | None:
    path = SCRIPTS.joinpath(*module.split("."))
    return next((found for found in (path.with_suffix(".py"), path / "__init__.py") if found.is_file()), None)


def beside(package: str) -> list[str]:
    """Return hashes of the other files in a package inside the package (the report's templates)."""
    files = sorted(path for path in SCRIPTS.joinpath(*package.split(".")).rglob("*") if path.is_file())
    files = [path for path in files if path.suffix not in (".py", ".pyc")]
    return [f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files]


# --- what a module holds


@cache
def parse(module: str) -> Module:
    path = source_of(module)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    statements, imports = defaultdict(list), {}
    for statement in without_docstring(ast.parse(path.read_bytes()).body):
        if isinstance(statement, ast.Import | ast.ImportFrom):
            imports |= imported(statement, package)
        elif not is_type_checking(statement):
            for name in defined(statement) or [""]:
                statements[name].append(statement)
    return Module(package, dict(statements), imports)


@cache
def part_of(statement: ast.stmt, package: str) -> Part:
    used, imports = set(), []
    text = repr(plain(statement, used, imports))
    names = {name: target for found in imports for name, target in imported(found, package).items()}
    return Part(hashlib.sha256(text.encode()).hexdigest(), frozenset(used), names)


def plain(node, used: set, imports: list):
    """Return a syntax tree as nested lists, the same for every Python: no positions, docstrings, empty fields.

    Adds the names that it uses, and its imports.
    """
    if isinstance(node, list):
        return [plain(item, used, imports) for item in node]
    if not isinstance(node, ast.AST):
        return node
    if isinstance(node, ast.Name):
        used.add((node.id, None))
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        used.add((node.value.id, node.attr))
        return ["Attribute", node.value.id, node.attr]
    if isinstance(node, ast.ImportFrom):
        imports.append(node)
    # a module that is started as a program: python -m teachergrid.worker
    if isinstance(node, ast.Constant) and str(node.value).startswith(f"{PACKAGE}.") and source_of(node.value):
        used.add((node.value, None))
    found = [type(node).__name__]
    for field in node._fields:
        value = getattr(node, field, None)
        if field == "body" and isinstance(node, FUNCTION_OR_CLASS):
            value = without_docstring(value)
        if value is not None and value != [] and field != "ctx":
            found.append((field, plain(value, used, imports)))
    return found


def without_docstring(body: list) -> list:
    first = body[0] if body else None
    is_text = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    return body[1:] if is_text else body


def is_type_checking(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.If) and isinstance(statement.test, ast.Name) and statement.test.id == "TYPE_CHECKING"
    )


def defined(statement: ast.stmt) -> list[str]:
    """Return the names that a statement defines."""
    if isinstance(statement, FUNCTION_OR_CLASS):
        return [statement.name]
    targets = getattr(statement, "targets", [getattr(statement, "target", None)])
    if not isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        return []
    return [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]


def imported(statement: ast.Import | ast.ImportFrom, package: str) -> dict[str, tuple[str, str]]:
    """Return what the names of an import stand for; other packages are left out."""
    if isinstance(statement, ast.Import):
        return {}
    above = package.split(".")[: len(package.split(".")) + 1 - statement.level] if statement.level else []
    origin = ".".join([*above, *([statement.module] if statement.module else [])])
    if origin.split(".")[0] != PACKAGE:
        return {}
    found = {}
    for alias in statement.names:
        inner = f"{origin}.{alias.name}"
        found[alias.asname or alias.name] = (inner, ALL) if source_of(inner) else (origin, alias.name)
    return found


# --- with which code a job ran


def watched(rule: str) -> bool:
    """Whether the code of a rule is remembered: that of cheap rules is in their spec, and what `free` deletes stays deleted."""
    return rule not in (*CHEAP, "free")


def remember(results: str, rule: str, cell: str, made_with: str, took: dict | None = None, index: str = INDEX) -> None:
    """Note with which code a job made its outputs, and what it took (usage.measure); None for a part of a job's work.

    index: PROBES for a few rows that made no output.

    One file a machine and one write a line: jobs of one machine may write at once, and no file is written by two machines,
    which a shared file system would not keep apart.
    """
    folder = Path(results, index)
    folder.mkdir(parents=True, exist_ok=True)
    beside = [] if took is None else [json.dumps(took, separators=(",", ":"))]
    line = " ".join([str(time.time_ns()), rule, cell, made_with, *beside])
    with open(folder / socket.gethostname(), "a") as file:
        file.write(f"{line}\n")


def lines(results: str, index: str = INDEX) -> Iterator[list[str]]:
    """Yield the words of each job's (probe's) line: time in ns, rule, cell, fingerprint, and what it took in JSON.

    A line that a dying machine cut off says nothing.
    """
    for path in sorted(Path(results, index).glob("*")):
        for line in path.read_text().splitlines():
            words = line.split(" ", 4)
            if len(words) == 4 or (len(words) == 5 and words[4].endswith("}")):
                yield words


@cache
def remembered(results: str) -> dict[tuple[str, str], str]:
    """Return (rule, cell) -> the fingerprint it was made with last."""
    whole = sorted(lines(results), key=lambda words: int(words[0]))
    return {(rule, cell): made_with for _, rule, cell, made_with, *_ in whole if watched(rule)}


def older(results: str, rule: str, cells: list[str]) -> tuple[list[str], list[str]]:
    """Return which cells of a rule were made by older code, and of which no job has said by which."""
    known, now = remembered(results), fingerprint(rule)
    unknown = [cell for cell in cells if (rule, cell) not in known]
    return [cell for cell in cells if known.get((rule, cell), now) != now], unknown
