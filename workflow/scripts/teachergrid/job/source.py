"""Read the source of this package: the statements of each module, and which other statements and files they use.

The text of a statement does not depend on the place or name of its module. Nothing is imported.
"""

import ast
import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

PACKAGE = __name__.partition(".")[0]
SCRIPTS = Path(__file__).parents[__name__.count(".")]
ALL = "*"  # every name of a module
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
FunctionOrClass = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
# tuples, since these are asked of every node: unions take twice as long
Leaf = (ast.expr_context, ast.operator, ast.cmpop, ast.unaryop, ast.boolop, ast.Constant)
Text = (ast.Constant, ast.JoinedStr)
MayBePath = (ast.Call, ast.Attribute, ast.Subscript, ast.BinOp)
Scope = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.Import, ast.ImportFrom)
Target = tuple[str, str]  # (module, name in it or ALL)
Plain = object  # nested lists, tuples and constants, with the same repr on every Python


class Part(NamedTuple):
    """One statement: a digest of its text, and what it uses."""

    digest: str
    used: tuple[Target, ...]  # in the order of the statement
    data: frozenset[str]  # paths of data files and folders, relative to SCRIPTS


class Module(NamedTuple):
    """The parsed source of a module."""

    statements: dict[
        str, list[ast.stmt]
    ]  # {name: statements that define it}; "": those that define no name, which always run
    imports: dict[str, Target]


@cache
def source_of(module: str) -> Path | None:
    """Return the source file of a module or entry script; None where there is none."""
    path = SCRIPTS.joinpath(*module.split("."))
    return next((source for source in (path.with_suffix(".py"), path / "__init__.py") if source.is_file()), None)


@cache
def parse(module: str) -> Module:
    """Return the statements and imports at the top level of a module."""
    path = source_of(module)
    assert path is not None, module
    statements: dict[str, list[ast.stmt]] = defaultdict(list)
    imports: dict[str, Target] = {}
    for statement in without_docstring(ast.parse(path.read_bytes()).body):
        if isinstance(statement, ast.Import | ast.ImportFrom):
            imports |= imported(statement, package_of(module))
        elif not is_type_checking(statement):
            for name in defined(statement) or [""]:
                statements[name].append(statement)
    return Module(dict(statements), imports)


def package_of(module: str) -> str:
    """Return the package to which relative imports of a module refer."""
    path = source_of(module)
    return module if path and path.name == "__init__.py" else module.rpartition(".")[0]


def parts_of(module: str, name: str) -> list[Part]:
    """Return the statements of a module that define a name."""
    return [part_of(statement, module) for statement in parse(module).statements.get(name, ())]


@cache
def part_of(statement: ast.stmt, module: str) -> Part:
    """Return the digest of a statement, and what it uses."""
    reader = Reader(module)
    text = repr(reader.plain(statement))
    return Part(hashlib.sha256(text.encode()).hexdigest(), tuple(reader.used), frozenset(reader.data))


class Reader:
    """Turns a statement into nested lists. Collects the names of this package and the data files that it uses."""

    def __init__(self, module: str) -> None:
        self.module, self.package, self.imports = module, package_of(module), parse(module).imports
        self.used: list[Target] = []
        self.data: set[str] = set()
        self.scopes: list[dict[str, Target | None]] = []  # of nested functions; None for a local variable

    def plain(self, node: object) -> Plain:
        """Return a syntax tree as nested lists: no positions, docstrings, annotations, empty fields, names of modules."""
        if isinstance(node, list):
            return [self.plain(item) for item in node if self.counts(item)]
        if not isinstance(node, ast.AST):
            return node
        if isinstance(node, ast.Name):
            return self.name(node)
        if isinstance(node, Text) and self.is_module(node):
            return "Module"
        if isinstance(node, MayBePath) and (path := self.path(node)):
            return self.path_text(path)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            return ["Attribute", self.name(node.value, node.attr), node.attr]
        if isinstance(node, Function):
            return self.function(node)
        if isinstance(node, Comprehension):
            return self.comprehension(node)
        if isinstance(node, ast.AnnAssign) and node.value:
            return self.fields(ast.Assign([node.target], node.value))
        return self.fields(node)

    def counts(self, node: object) -> bool:
        """Whether a statement counts.

        Annotations without a value do not, nor do imports from this package: the uses of what they import count.
        """
        if isinstance(node, ast.AnnAssign):
            return node.value is not None
        return not (isinstance(node, ast.ImportFrom) and imported(node, self.package))

    def fields(self, node: ast.AST) -> Plain:
        """Return the type of a node and its fields that are not empty."""
        result: list[object] = [type(node).__name__]
        for field in node._fields:
            value = getattr(node, field, None)
            if field == "body" and isinstance(node, ast.ClassDef):
                # in a class an annotated name is a field, which counts
                body = without_docstring(node.body)
                value = [["Field", i.target, i.value] if isinstance(i, ast.AnnAssign) else i for i in body]
            if value is not None and value != [] and field not in ("ctx", "type_params"):
                result.append((field, self.plain(value)))
        return result

    def function(self, node: Function) -> Plain:
        """Return a function as nested lists, with its parameters as local names."""
        args = node.args
        # decorators and defaults are evaluated outside of the function's scope
        outside = [getattr(node, "decorator_list", []), args.defaults, [value or "" for value in args.kw_defaults]]
        result = [type(node).__name__, getattr(node, "name", ""), self.plain(outside)]
        parameters = [[i.arg for i in some] for some in (args.posonlyargs, args.args, args.kwonlyargs)]
        parameters += [[i.arg] if i else [] for i in (args.vararg, args.kwarg)]
        body = [node.body] if isinstance(node, ast.Lambda) else without_docstring(node.body)
        self.scopes.append(bound(body, self.package) | {name: None for some in parameters for name in some})
        result += [parameters, self.plain(body)]
        self.scopes.pop()
        return result

    def comprehension(self, node: Comprehension) -> Plain:
        """Return a comprehension as nested lists, with its variables as local names."""
        first = self.plain(node.generators[0].iter)  # evaluated outside of the scope
        self.scopes.append(bound([each.target for each in node.generators], self.package))
        result = [first, self.fields(node)]
        self.scopes.pop()
        return result

    def name(self, node: ast.Name, attribute: str | None = None) -> str:
        """Return the text of a name: "Module" for a module of this package, the original name for anything imported from one."""
        if not isinstance(node.ctx, ast.Load):
            return node.id
        local = next((scope for scope in reversed(self.scopes) if node.id in scope), None)
        target = local[node.id] if local is not None else self.imports.get(node.id, (self.module, node.id))
        if target is None:
            return node.id
        module, name = target
        self.used.append((module, attribute or ALL) if name == ALL else target)
        return "Module" if name == ALL else name

    def is_module(self, node: ast.Constant | ast.JoinedStr) -> bool:
        """Whether a text is the name of a module of this package, which is started as a program: python -m teachergrid.x."""
        text = text_of(node, self.package)
        if not text.startswith(f"{PACKAGE}.") or not source_of(text):
            return False
        self.used.append((text, ALL))
        return True

    def path(self, node: ast.AST) -> Path | None:
        """Return the path that an expression with `__file__` evaluates to; None for any other expression."""
        match node:
            case ast.Name(id="__file__"):
                return source_of(self.module)
            case ast.Attribute(value=inner, attr="parent") if path := self.path(inner):
                return path.parent
            case ast.Subscript(
                value=ast.Attribute(value=inner, attr="parents"), slice=ast.Constant(value=int(number))
            ) if path := self.path(inner):
                return path.parents[number]
            case ast.BinOp(left=inner, op=ast.Div(), right=ast.Constant(value=str(name))) if path := self.path(inner):
                return path / name
            case ast.Call(func=ast.Name(id="Path"), args=[inner]):
                return self.path(inner)
            case ast.Call(func=ast.Attribute(value=inner, attr=method), args=args) if path := self.path(inner):
                names = [arg.value for arg in args if isinstance(arg, ast.Constant)]
                known = method in ("joinpath", "with_name", "resolve") and len(names) == len(args)
                return getattr(path, method)(*names) if known else None
        return None

    def path_text(self, path: Path) -> Plain:
        """Return the text of a path. Inside the package only the content of the file counts, so that it can be moved."""
        if SCRIPTS / PACKAGE not in path.parents:
            return ["Path", os.path.relpath(path, SCRIPTS)]
        self.data.add(os.path.relpath(path, SCRIPTS))
        return "Data"


def bound(nodes: Iterable[ast.AST], package: str) -> dict[str, Target | None]:
    """Return the names that these nodes of a function bind in its scope: {name: what it is imported from, or None}."""
    names: dict[str, Target | None] = {}
    outer, waiting = set(), list(nodes)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Store):
                names[node.id] = None
            continue
        if isinstance(node, FunctionOrClass):
            names[node.name] = None
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name.partition(".")[0]: None for alias in node.names}
            names |= imported(node, package)
        elif isinstance(node, ast.Global | ast.Nonlocal):
            outer |= set(node.names)
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            names[node.name] = None
        if not isinstance(node, Scope) and not isinstance(node, Comprehension):
            waiting += (child for child in ast.iter_child_nodes(node) if not isinstance(child, Leaf))
    return {name: target for name, target in names.items() if name not in outer}


def text_of(node: ast.AST, package: str) -> str:
    """Return a text that is a literal, or starts with `__package__` in an f-string; "" for any other expression."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=[ast.FormattedValue(value=ast.Name(id="__package__")), ast.Constant(value=str(end))]):
            return f"{package}{end}"
    return ""


def without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    """Return statements without a docstring at their beginning."""
    match body:
        case [ast.Expr(value=ast.Constant(value=str())), *rest]:
            return rest
    return body


def is_type_checking(statement: ast.stmt) -> bool:
    """Whether a statement is `if TYPE_CHECKING:`."""
    return (
        isinstance(statement, ast.If) and isinstance(statement.test, ast.Name) and statement.test.id == "TYPE_CHECKING"
    )


def defined(statement: ast.stmt) -> list[str]:
    """Return the names that a statement defines."""
    if isinstance(statement, FunctionOrClass):
        return [statement.name]
    targets = getattr(statement, "targets", [getattr(statement, "target", None)])
    if not isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        return []
    return [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]


def imported(statement: ast.Import | ast.ImportFrom, package: str) -> dict[str, Target]:
    """Return {name: what it is imported from} for an import from this package; {} for other imports."""
    if isinstance(statement, ast.Import):
        return {}
    above = package.split(".")[: len(package.split(".")) + 1 - statement.level] if statement.level else []
    origin = ".".join([*above, *([statement.module] if statement.module else [])])
    if origin.split(".")[0] != PACKAGE:
        return {}
    targets = {}
    for alias in statement.names:
        inner = f"{origin}.{alias.name}"
        targets[alias.asname or alias.name] = (inner, ALL) if source_of(inner) else (origin, alias.name)
    return targets


# --- data files


def content(path: str) -> str:
    """Return hashes of a data file, or of the names and contents of all data files in a folder; "" where there are none."""
    top = SCRIPTS / path
    files = sorted(file for file in (top.rglob("*") if top.is_dir() else [top]) if file.is_file())
    files = [file for file in files if file.suffix not in (".py", ".pyc")]
    hashes = [f"{file.relative_to(top).as_posix()} {hashlib.sha256(file.read_bytes()).hexdigest()}" for file in files]
    return "\n".join(hashes)
