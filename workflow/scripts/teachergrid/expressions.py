"""The language of formulas: an expression in means and medians over responses of expressions in columns.

    positive(mean(reward)) / (1 + beta * mean(loss))

Outside of mean(...) and median(...) stand numbers, parameters and other formulas; inside numbers, parameters and COLUMNS. A
formula may be given settings of its own: car_mean(reward="rm", beta=2) - ppl(scorer="gpt2"). The text is read by Python's
parser and its tree is walked here; nothing of it runs as Python.
"""

import ast
import operator
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np

from .errors import BadInput
from .formulas import FORMULAS, Formula
from .names import nearest

OWN = "expression"  # the formula of an entry that states an expression
# a column holds one number per response; which files it needs
COLUMNS = {
    "reward": ("reward",),
    "given": ("likelihood",),  # -log p(A|Q), summed over the response's tokens (nats)
    "tokens": ("likelihood",),
    "loss": ("likelihood",),  # s(A|Q) = given / tokens
    "alone": ("likelihood",),  # s(A), of the same tokens without the question
    "question": ("likelihood",),  # s(Q), nats per token
    "rank": ("likelihood", "ranks"),  # mean over the response's tokens, each at most RANK_CAP
    "length": ("text",),
}
PARAMETERS = ("beta", "threshold", "power")  # swept by an entry, one at most
# settings of an entry, with what uses them
SETTINGS = {"reward": "reward", "offset": "reward"} | dict.fromkeys(("scorer", "format", "end_token"), "likelihood")
OVER_RESPONSES = ("mean", "median")
OPERATORS_TEXT = "`+ - * / **`, `< <= > >=`"  # of OPERATORS below
RANK_CAP = 100  # of RSR; a scorer may keep greater ranks


def _compare(test):
    def compared(x, y):
        return np.where(np.isnan(x) | np.isnan(y), np.nan, test(x, y))  # no NaN is below or above anything

    return compared


FUNCTIONS = {
    "exp": (np.exp, 1),
    "log": (np.log, 1),
    "sqrt": (np.sqrt, 1),
    "abs": (np.abs, 1),
    "min": (np.minimum, 2),
    "max": (np.maximum, 2),
    # CAR's guard: with a reward below 0 a larger loss would give a larger CAR
    "positive": (lambda x: np.where(x >= 0, x, np.nan), 1),
}
OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: np.divide,
    ast.Pow: np.power,
    ast.Lt: _compare(np.less),
    ast.LtE: _compare(np.less_equal),
    ast.Gt: _compare(np.greater),
    ast.GtE: _compare(np.greater_equal),
}


class Term(NamedTuple):
    """A mean or a median over responses."""

    kind: str
    tree: ast.expr  # over COLUMNS and a parameter
    columns: tuple[str, ...]
    settings: tuple  # ((setting, value), ...) that it has of its own; the rest is the entry's
    divides_by: tuple[str, ...]

    @property
    def needs(self) -> set[str]:
        return {need for column in self.columns for need in COLUMNS[column]}

    def settled(self, entry: dict) -> dict:
        """Return the entry with this term's own settings."""
        return {**entry, **dict(self.settings)}


class Compiled(NamedTuple):
    tree: ast.expr  # over the terms, named "0", "1" ..., and a parameter
    terms: tuple[Term, ...]
    parameter: str | None  # which it leaves to the entry

    @property
    def per_value(self) -> bool:
        """Whether what is summed over responses hangs on the parameter."""
        return any(self.parameter in names_of(term.tree) for term in self.terms)

    @property
    def medians(self) -> list[int]:
        return [i for i, term in enumerate(self.terms) if term.kind == "median"]

    def uses(self, setting: str) -> bool:
        """Whether the entry's setting counts."""
        return any(SETTINGS[setting] in term.needs and setting not in dict(term.settings) for term in self.terms)


# --- entries of the config


def formula_of(entry: dict) -> Formula:
    """Return the formula of an entry; of its own expression the direction that it states."""
    if entry["formula"] != OWN:
        return FORMULAS[entry["formula"]]
    return Formula(f"`{canonical(entry)}`", "own unit", entry["best"] or "highest", entry["expression"])


def canonical(entry: dict) -> str:
    return ast.unparse(_parsed(entry["expression"]))


def compiled(entry: dict) -> Compiled | None:
    """Return what an entry computes over responses; None where it has no expression. Raises BadInput."""
    text = formula_of(entry).expression if entry["formula"] != OWN else entry["expression"]
    return None if text is None else _compiled(text, FORMULAS.get(entry["formula"], Formula("", "")).divides_by)


def needs(entry: dict) -> set[str]:
    """Return what a metric joins: "reward", "likelihood", "ranks", "text"; nothing where it is computed over a grid."""
    found = compiled(entry)
    if found:
        return set().union(*(term.needs for term in found.terms))
    return {"text"} if formula_of(entry).whole else set()


def settled(entry: dict, need: str) -> list[dict]:
    """Return the settings with which an entry's terms join what they need, such as each reward that it takes."""
    found = compiled(entry)
    return [term.settled(entry) for term in found.terms if need in term.needs] if found else []


def swept(entry: dict) -> tuple[str | None, list]:
    """Return the parameter that an entry sweeps with its values, the entry's own first; (None, [None]) without one."""
    found = compiled(entry)
    name = found.parameter if found else None
    return (name, entry[name]) if name else (None, [None])


# --- from text to terms


@cache
def _compiled(text: str, divides_by: tuple) -> Compiled:
    reader = _Reader()
    tree = reader.read(_parsed(text), {}, {}, divides_by)
    if not reader.terms:
        raise BadInput(f"'{text}' is the same for all corpora; use a formula, mean(...) or median(...)")
    if len(reader.free) > 1:
        raise BadInput(f"'{text}' sweeps {' and '.join(sorted(reader.free))}; fix all but one, as in car_mean(beta=2)")
    return Compiled(tree, tuple(reader.terms), next(iter(reader.free), None))


@cache
def _parsed(text: str) -> ast.expr:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError) as error:
        raise BadInput(f"'{text}' cannot be read ({error}); write such as reward_mean - 0.1 * nll_mean") from None


class _Reader:
    """Puts the expression of a formula in the place of its name, and numbers the terms."""

    def __init__(self):
        self.terms, self.free = [], set()

    def read(self, node, settings: dict, fixed: dict, divides_by: tuple, inside: bool = False):
        """Return the tree over terms, or inside of a term over columns. fixed: parameters with a value of their own."""

        def read(part):
            return self.read(part, settings, fixed, divides_by, inside)

        match node:
            case ast.Constant(value=int() | float()) if not isinstance(node.value, bool):
                return ast.Constant(float(node.value))
            case ast.Name(id=name):
                return self.name(name, settings, fixed, inside)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return ast.UnaryOp(ast.USub(), read(operand))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
                return ast.BinOp(read(left), op, read(right))
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in OPERATORS:
                return ast.Compare(read(left), [op], [read(right)])
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in FUNCTIONS:
                if len(args) != FUNCTIONS[name][1]:
                    raise BadInput(f"{name}(...) takes {FUNCTIONS[name][1]}, as in {name}(x)")
                return ast.Call(ast.Name(name), [read(arg) for arg in args], [])
            case ast.Call(func=ast.Name(id=name), args=[over], keywords=[]) if name in OVER_RESPONSES and not inside:
                return self.term(name, self.read(over, settings, fixed, (), True), settings, divides_by)
            case ast.Call(func=ast.Name(id=name), args=[], keywords=own) if name in FORMULAS and not inside:
                return self.call(name, own, settings, fixed)
        raise BadInput(
            f"'{ast.unparse(node)}' is not known here; known are numbers, + - * / **, < <= > >=, {', '.join(FUNCTIONS)}"
            + ("" if inside else ", mean(...) and median(...) over responses, and formulas")
        )

    def name(self, name: str, settings: dict, fixed: dict, inside: bool):
        if name in PARAMETERS:
            if name in fixed:
                return ast.Constant(fixed[name])
            self.free.add(name)
            return ast.Name(name)
        if inside and name in COLUMNS:
            return ast.Name(name)
        if not inside and name in FORMULAS:
            return self.formula(name, settings, fixed)
        if name in COLUMNS:
            raise BadInput(f"'{name}' is a number of each response; write mean({name}) or median({name})")
        if name in FORMULAS:
            raise BadInput(f"'{name}' is a number of a corpus; write it outside of mean(...) and median(...)")
        known = [*PARAMETERS, *COLUMNS] if inside else [*PARAMETERS, *FORMULAS, *FUNCTIONS, *OVER_RESPONSES]
        raise BadInput(f"there is no '{name}'" + (nearest(name, known) or f"; known: {', '.join(known)}"))

    def formula(self, name: str, settings: dict, fixed: dict):
        formula = FORMULAS[name]
        if formula.expression is None:
            raise BadInput(f"'{name}' is no mean over responses and cannot be part of an expression; use it by itself")
        return self.read(_parsed(formula.expression), settings, fixed, formula.divides_by)

    def call(self, name: str, own: list[ast.keyword], settings: dict, fixed: dict):
        for word in own:
            if word.arg not in (*SETTINGS, *PARAMETERS):
                allowed = ", ".join([*SETTINGS, *PARAMETERS])
                raise BadInput(f"{name}({word.arg}=...): there is no such setting; known: {allowed}")
        try:
            given = {word.arg: ast.literal_eval(word.value) for word in own}
        except ValueError:
            raise BadInput(f"{name}(...): a setting is a number, a text in quotes, True or False") from None
        values = {key: value for key, value in given.items() if key in PARAMETERS}
        if wrong := [
            key for key, value in values.items() if isinstance(value, bool) or not isinstance(value, int | float)
        ]:
            raise BadInput(f"{name}({wrong[0]}=...): {wrong[0]} is one number, such as {wrong[0]}=1")
        rest = {key: value for key, value in given.items() if key in SETTINGS}
        return self.formula(name, {**settings, **rest}, {**fixed, **{key: float(v) for key, v in values.items()}})

    def term(self, kind: str, tree, settings: dict, divides_by: tuple):
        columns = tuple(name for name in COLUMNS if name in names_of(tree))
        if not columns:
            raise BadInput(f"{kind}({ast.unparse(tree)}) holds no number of a response; known: {', '.join(COLUMNS)}")
        self.terms.append(Term(kind, tree, columns, tuple(sorted(settings.items())), divides_by))
        return ast.Name(str(len(self.terms) - 1))


# --- from terms to numbers


def names_of(tree: ast.expr) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def positives(tree: ast.expr) -> Iterator[ast.expr]:
    """Yield what must not be below 0."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.func.id == "positive":
            yield node.args[0]


def evaluate(node: ast.expr, names: dict):
    """Return the value of a tree. names: {name: array or number}. NaN wherever anything is."""
    match node:
        case ast.Constant(value=value):
            return np.float64(value)
        case ast.Name(id=name):
            return names[name]
        case ast.UnaryOp(operand=operand):
            return -evaluate(operand, names)
        case ast.BinOp(left=left, op=op, right=right) | ast.Compare(left=left, ops=[op], comparators=[right]):
            return OPERATORS[type(op)](evaluate(left, names), evaluate(right, names))
        case ast.Call(func=ast.Name(id=name), args=args):
            return FUNCTIONS[name][0](*(evaluate(arg, names) for arg in args))
