"""The house: which room may import which, how large rooms and modules are, who may import heavy packages, where tests lie."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from teachergrid.engines.engine import ENGINES

TESTS = Path(__file__).parent
SCRIPTS = TESTS.parent / "workflow/scripts"
PACKAGE = SCRIPTS / "teachergrid"
# From the top to the ground. A room imports rooms strictly below its own floor, never one beside it.
FLOORS = """
commands
run | replication | probe
planning | report
grid
decisions
analysis
evaluation | training | evolution
scoring | metrics
data
engines | tasks | job
models
cost | pages
hub
store | slurm
spec
errors | units | stats
"""
FLOOR = {room: -i for i, line in enumerate(FLOORS.split("\n")) for room in line.split(" | ") if room}
# not in a room: the entry, and two modules that everything may import
FLAT = {"__init__", "__main__", "errors", "units"}
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))
# who may import Snakemake: what drives it
SNAKEMAKE = ("commands/", "run/", "job/forks.py", "planning/graph.py", "planning/options.py")
# what a training process is made of; everywhere else torch is imported where it is used
TORCH = (
    "training/sft.py",
    "training/worker.py",
    "training/checkpoints.py",
    "training/packing.py",
    "engines/vllm_draw.py",
)
HEAVY = {"vllm", "torch", "transformers", "trl", "peft", "datasets", "accelerate", "deepspeed"}
# modules without a test file of their own: where they are tested, or why they need no test
WITHOUT_A_FILE = {
    "commands/calibrate": "evaluation/test_trust",
    "commands/few_options": "commands/test_parser",
    "commands/status": "run/test_status",
    "engines/prompts": "engines/test_vllm",
    "engines/requests": "small; engines/test_engine and engines/test_huggingface use it",
    "engines/vllm_copy": "engines/test_vllm and engines/test_copies",
    "engines/vllm_draw": "engines/test_vllm: it needs vLLM to be imported",
    "run/cell_status": "run/test_status",
    "job/source": "job/test_fingerprint: what it reads shows there",
    "scoring/entry": "a type only; the tests of scoring use it",
    "store/results": "a constant",
    "tasks/guards": "tasks/test_sandbox: it runs in a process of its own",
    "tasks/processes": "tasks/test_sandbox",
    "store/schemas": "store/test_artifacts, and by every test that writes a table",
    "tasks/worker": "a process: tasks/test_limited starts it",
    "training/training": "types only; training/test_launch and training/test_sft use them",
}
# methods of a NamedTuple, which are public
PUBLIC = {"_replace", "_asdict", "_fields", "_make"}


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def room_of(path: Path) -> str:
    """Return the room of a module, or the module's own name where it lies in none."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path: Path, only_top: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, parts of the imported module's full name) for each import, those inside functions too."""
    package = ["teachergrid", *path.relative_to(PACKAGE).parent.parts]
    tree = ast.parse(path.read_bytes())
    for node in tree.body if only_top else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            origin = [*above, *(node.module.split(".") if node.module else [])]
            yield from ((node.lineno, [*origin, alias.name]) for alias in node.names)


def rooms_imported(path: Path) -> set[str]:
    found = {parts[1] for _, parts in imports(path) if parts[0] == "teachergrid" and len(parts) > 1}
    return found - {room_of(path)}


def test_imports_run_strictly_downwards():
    wrong = []
    for path in MODULES:
        own = FLOOR["commands"] if room_of(path) in ("__main__", "__init__") else FLOOR[room_of(path)]
        for line, parts in imports(path):
            if parts[0] != "teachergrid" or parts[1] == room_of(path):
                continue
            if FLOOR[parts[1]] >= own and room_of(path) != "__main__":
                wrong.append(f"{name_of(path)}:{line} imports {parts[1]}")
    assert wrong == []


def test_no_modules_import_each_other_in_a_circle():
    """Imports inside functions and for types count, too: what two modules share belongs into a third one."""
    graph: dict[str, set[str]] = {name_of(path).removesuffix(".py"): set() for path in MODULES}
    for path in MODULES:
        for _, (package, *parts) in imports(path):
            # the last part may be a name in a module
            found = {"/".join(parts), "/".join(parts[:-1])} if package == "teachergrid" else set()
            graph[name_of(path).removesuffix(".py")] |= found & {*graph}
    circle = []
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = error.args[1][::-1]  # graphlib begins with what is imported
    assert not circle, " imports ".join(circle)


def test_every_room_stands_on_a_floor_and_is_small():
    modules = defaultdict(list)
    for path in MODULES:
        modules[path.relative_to(PACKAGE).parent.as_posix()].append(path.stem)
    assert {*modules.pop(".")} == FLAT
    assert {*modules} == {*FLOOR} - FLAT - {""}
    assert len(modules) <= 26
    assert {room: len(names) - 1 for room, names in modules.items() if len(names) - 1 > 14} == {}
    assert {name_of(path): lines for path in MODULES if (lines := len(path.read_text().splitlines())) > 300} == {}


@pytest.mark.parametrize("room", sorted({*FLOOR} - FLAT - {""}))
def test_a_room_says_what_it_imports(room):
    """The last line of a room's docstring names the rooms that its modules import, no more and no fewer."""
    text = ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text()))
    stated = text.splitlines()[-1].removeprefix("Imports: ").removesuffix(".")
    used = set().union(*(rooms_imported(path) for path in (PACKAGE / room).glob("*.py"))) - {"errors", "units"}
    assert stated == (", ".join(sorted(used)) or "nothing of the package")


def test_the_house_is_drawn():
    """workflow/scripts/README.md names every module in the line of its room."""
    drawn = {}
    for line in (SCRIPTS / "README.md").read_text().splitlines():
        words = line.split()
        if words and words[0].endswith("/") and words[0].removesuffix("/") in FLOOR:
            drawn[words[0].removesuffix("/")] = set(words[1:])
    for path in MODULES:
        if room_of(path) not in FLAT and path.stem != "__init__":
            assert path.stem in drawn[room_of(path)], f"{name_of(path)} is missing in workflow/scripts/README.md"


def test_snakemake_is_imported_by_what_drives_it():
    wrong = [
        f"{name_of(path)}:{line}"
        for path in MODULES
        for line, parts in imports(path)
        if parts[0] == "snakemake" and not name_of(path).startswith(SNAKEMAKE) and not is_for_types(path, line)
    ]
    assert wrong == []


def is_for_types(path: Path, line: int) -> bool:
    blocks = [node for node in ast.parse(path.read_bytes()).body if isinstance(node, ast.If)]
    return any(
        isinstance(block.test, ast.Name)
        and block.test.id == "TYPE_CHECKING"
        and block.lineno <= line <= block.end_lineno
        for block in blocks
    )


def test_heavy_packages_are_imported_where_they_are_used():
    wrong = [
        f"{name_of(path)}:{line} {parts[0]}"
        for path in MODULES
        for line, parts in imports(path, only_top=True)
        if parts[0] in HEAVY and name_of(path) not in TORCH
    ]
    assert wrong == []


def test_only_their_own_room_compares_engines_by_name():
    """All other rooms ask the table of engines, or the one of what they cost: a new engine is a row there."""
    names = {*ENGINES}
    wrong = []
    for path in MODULES:
        if room_of(path) == "engines":
            continue
        for node in ast.walk(ast.parse(path.read_bytes())):
            compared = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
            # x in ("a", "b") too
            values = [value for part in compared for value in ast.walk(part) if isinstance(value, ast.Constant)]
            wrong += [f"{name_of(path)}:{value.lineno}" for value in values if value.value in names]
    assert wrong == []


@pytest.mark.parametrize("room", ["analysis", "report", "planning"])
def test_what_computes_without_a_model_imports_none(room):
    used = set().union(*(rooms_imported(path) for path in (PACKAGE / room).glob("*.py")))
    assert not used & {"models", "engines", "training", "scoring", "evaluation"}


# --- tests


def test_every_module_has_a_test_file_of_its_name():
    modules = {
        name_of(path).removesuffix(".py") for path in MODULES if path.parent != PACKAGE and path.stem != "__init__"
    }
    tested = {f"{path.parent.name}/{path.stem.removeprefix('test_')}" for path in TESTS.glob("*/test_*.py")}
    assert sorted(modules - tested - {*WITHOUT_A_FILE}) == []
    assert sorted(name for name in WITHOUT_A_FILE if name in tested or name not in modules) == []
    named = [word for where in WITHOUT_A_FILE.values() for word in re.findall(r"\w+/test_\w+", where)]
    assert [word for word in named if not (TESTS / f"{word}.py").is_file()] == []


def test_tests_use_public_names_and_no_other_test():
    found = {
        path.relative_to(TESTS).as_posix(): list(misused(ast.parse(path.read_text()))) for path in TESTS.rglob("*.py")
    }
    assert {name: uses for name, uses in found.items() if uses} == {}


def misused(tree: ast.AST) -> Iterator[str]:
    """Yield the private names of the package and the tests that a test file uses, in its programs as text too."""
    ours = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("teachergrid"):
            ours |= {alias.asname or alias.name for alias in node.names}
            yield from (f"{node.lineno}: {alias.name}" for alias in node.names if is_private(alias.name))
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
            yield from (f"{node.lineno}: {module}" for module in modules if module.startswith("test_"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and first_name(node) in ours:
            yield f"{node.lineno}: {node.attr}"
        if (
            isinstance(node, ast.Call)
            and getattr(node.func, "attr", "") == "setattr"
            and first_name(node.args[0]) in ours
        ):
            name = ast.literal_eval(node.args[1]) if isinstance(node.args[1], ast.Constant) else ""
            yield from [f"{node.lineno}: {name}"] if is_private(name) else []
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "import" in node.value:
            try:
                program = ast.parse(node.value)
            except (SyntaxError, ValueError):
                continue
            yield from (f"{node.lineno}, line {found}" for found in misused(program))


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in PUBLIC


def first_name(node: ast.AST) -> str:
    """Return x of x.y.z."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
