"""The language of formulas: means and medians over responses, combined by arithmetic.

    positive(mean(reward)) / (1 + beta * mean(loss))

Outside of mean(...) and median(...) an expression has numbers, parameters and other formulas; inside numbers, parameters
and COLUMNS. A formula may be given settings of its own: car_mean(reward="rm", beta=2) - ppl(scorer="gpt2"). Python's parser
reads the text and this module walks the tree; nothing of it runs as Python.
"""

import ast
import operator
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..errors import BadInput
from ..spec.spelling import nearest
from .formulas import FORMULAS

# {column: the files that it needs}; a column has one number per response
COLUMNS = {
    "reward": ("reward",),
    "given": ("likelihood",),  # -log p(A|Q), summed over the response's tokens (nats)
    "tokens": ("likelihood",),
    "loss": ("likelihood",),  # s(A|Q) = given / tokens
    "alone": ("likelihood",),  # s(A), of the same tokens without the question
    "question": ("likelihood",),  # s(Q), nats per token
    "asked": ("likelihood",),  # the question's tokens
    "rank": ("likelihood", "ranks"),  # mean over the response's tokens, each at most RANK_CAP
    "brier": ("likelihood", "distributions"),  # mean over the response's tokens of 1 - 2 p + sum of p squared
    "entropy": ("likelihood", "distributions"),  # nats per token
    "top": (
        "likelihood",
        "distributions",
        "top",
    ),  # mean over the response's tokens of the likeliest token's probability
    "sure": ("likelihood", "distributions", "top"),  # share of the response's tokens where that is above 0.99
    "lark": ("likelihood", "distributions"),  # see formulas: against the other responses to the instruction
    "length": ("text",),
}
PARAMETERS = ("beta", "threshold", "power")  # a metric sweeps one at most
# settings of a metric, and the need that each belongs to
SETTINGS = {"reward": "reward", "offset": "reward"} | dict.fromkeys(("scorer", "format", "end_token"), "likelihood")
OVER_RESPONSES = ("mean", "median")
OPERATORS_TEXT = "`+ - * / **`, `< <= > >=`"  # of OPERATORS below
RANK_CAP = 100  # of RSR; a scorer may keep greater ranks
Value = np.ndarray | float


def _compare(test: Callable[[Value, Value], Value]) -> Callable[[Value, Value], np.ndarray]:
    def compared(x: Value, y: Value) -> np.ndarray:
        return np.where(np.isnan(x) | np.isnan(y), np.nan, test(x, y))  # NaN is neither below nor above anything

    return compared


FUNCTIONS: dict[str, tuple[Callable, int]] = {  # with the number of arguments
    "exp": (np.exp, 1),
    "log": (np.log, 1),
    "sqrt": (np.sqrt, 1),
    "abs": (np.abs, 1),
    "min": (np.minimum, 2),
    "max": (np.maximum, 2),
    # CAR's guard: with a reward below 0 a larger loss would give a larger CAR
    "positive": (lambda x: np.where(x >= 0, x, np.nan), 1),
}
OPERATORS: dict[type, Callable] = {
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

    kind: str  # mean or median
    tree: ast.expr  # over COLUMNS and a parameter
    columns: tuple[str, ...]
    settings: tuple[tuple[str, object], ...]  # its own values of SETTINGS; the metric gives the others
    divides_by: tuple[str, ...]  # a response is left out where one of these losses is nearly 0

    @property
    def needs(self) -> set[str]:
        return {need for column in self.columns for need in COLUMNS[column]}

    def resolve(self, settings: Mapping) -> dict:
        """Return the settings of a metric, with this term's own in their place."""
        return {**settings, **dict(self.settings)}


class Expression(NamedTuple):
    """What a text computes: a tree over terms."""

    tree: ast.expr  # over the terms, named "0", "1" ..., and a parameter
    terms: tuple[Term, ...]
    parameter: str | None  # the one that is not fixed in the text, so that a metric sweeps it

    @property
    def parameter_in_terms(self) -> bool:
        """Whether the sums over responses depend on the parameter, not only what is computed from their means."""
        return any(self.parameter in names_of(term.tree) for term in self.terms)

    @property
    def medians(self) -> list[int]:
        """The numbers of the terms that are medians."""
        return [i for i, term in enumerate(self.terms) if term.kind == "median"]

    def uses(self, setting: str) -> bool:
        """Return whether any term takes this one of SETTINGS from the metric."""
        return any(SETTINGS[setting] in term.needs and setting not in dict(term.settings) for term in self.terms)


# --- from text to terms


def canonical(text: str) -> str:
    """Return an expression in its one normal form of blanks and brackets."""
    return ast.unparse(_parsed(text))


@cache
def parse(text: str, divides_by: tuple[str, ...] = ()) -> Expression:
    """Return what a text computes. divides_by: of the formula whose text it is. Raises BadInput."""
    reader = _Reader()
    tree = reader.read(_parsed(text), _Scope({}, {}, divides_by))
    if not reader.terms:
        raise BadInput(f"'{text}' is the same for all corpora; use a formula, mean(...) or median(...)")
    if len(reader.free) > 1:
        raise BadInput(f"'{text}' sweeps {' and '.join(sorted(reader.free))}; fix all but one, as in car_mean(beta=2)")
    return Expression(tree, tuple(reader.terms), next(iter(reader.free), None))


@cache
def _parsed(text: str) -> ast.expr:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError) as error:
        raise BadInput(f"'{text}' cannot be read ({error}); write such as reward_mean - 0.1 * nll_mean") from None


class _Scope(NamedTuple):
    """Where in the text the reader is: the settings of the enclosing formula calls, and whether it is inside of a term."""

    settings: dict[str, object]
    fixed: dict[str, float]  # parameters with a value of their own
    divides_by: tuple[str, ...]
    inside: bool = False  # of a mean or a median


class _Reader:
    """Replaces the names of formulas by their expressions, and numbers the terms."""

    def __init__(self) -> None:
        self.terms: list[Term] = []
        self.free: set[str] = set()  # parameters without a value of their own

    def read(self, node: ast.expr, scope: _Scope) -> ast.expr:
        """Return the tree over terms, or inside of a term over columns. Raises BadInput."""
        match node:
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                return ast.Constant(float(value))
            case ast.Name(id=name):
                return self.name(name, scope)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return ast.UnaryOp(ast.USub(), self.read(operand, scope))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
                return ast.BinOp(self.read(left, scope), op, self.read(right, scope))
            case ast.Compare(left=left, ops=[compare], comparators=[right]) if type(compare) in OPERATORS:
                return ast.Compare(self.read(left, scope), [compare], [self.read(right, scope)])
            case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords):
                if (tree := self.call(name, args, keywords, scope)) is not None:
                    return tree
        raise BadInput(
            f"'{ast.unparse(node)}' is not known here; known are numbers, + - * / **, < <= > >=, {', '.join(FUNCTIONS)}"
            + ("" if scope.inside else ", mean(...) and median(...) over responses, and formulas")
        )

    def call(self, name: str, args: list[ast.expr], keywords: list[ast.keyword], scope: _Scope) -> ast.expr | None:
        """Return the tree of a call of a function, a mean, a median or a formula; None where it is none of these."""
        if name in FUNCTIONS and not keywords:
            if len(args) != FUNCTIONS[name][1]:
                raise BadInput(f"{name}(...) takes {FUNCTIONS[name][1]}, as in {name}(x)")
            return ast.Call(ast.Name(name), [self.read(arg, scope) for arg in args], [])
        if name in OVER_RESPONSES and not scope.inside and len(args) == 1 and not keywords:
            inner = self.read(args[0], scope._replace(divides_by=(), inside=True))
            return self.term(name, inner, scope)
        if name in FORMULAS and not scope.inside and not args:
            return self.formula_with(name, keywords, scope)
        return None

    def name(self, name: str, scope: _Scope) -> ast.expr:
        """Return the tree of a parameter, a column or a formula."""
        if name in PARAMETERS:
            if name in scope.fixed:
                return ast.Constant(scope.fixed[name])
            self.free.add(name)
            return ast.Name(name)
        if scope.inside and name in COLUMNS:
            return ast.Name(name)
        if not scope.inside and name in FORMULAS:
            return self.formula(name, scope)
        if name in COLUMNS:
            raise BadInput(f"'{name}' is a number of each response; write mean({name}) or median({name})")
        if name in FORMULAS:
            raise BadInput(f"'{name}' is a number of a corpus; write it outside of mean(...) and median(...)")
        names = [*PARAMETERS, *COLUMNS] if scope.inside else [*PARAMETERS, *FORMULAS, *FUNCTIONS, *OVER_RESPONSES]
        raise BadInput(f"there is no '{name}'" + (nearest(name, names) or f"; known: {', '.join(names)}"))

    def formula(self, name: str, scope: _Scope) -> ast.expr:
        """Return the tree of a formula."""
        formula = FORMULAS[name]
        if formula.expression is None:
            raise BadInput(
                f"'{name}' is not a mean over responses and cannot be part of an expression; use it by itself"
            )
        return self.read(_parsed(formula.expression), scope._replace(divides_by=formula.divides_by))

    def formula_with(self, name: str, keywords: list[ast.keyword], scope: _Scope) -> ast.expr:
        """Return the tree of a formula with settings or a parameter of its own, such as car_mean(reward="rm", beta=2)."""
        for word in keywords:
            if word.arg not in (*SETTINGS, *PARAMETERS):
                allowed = ", ".join([*SETTINGS, *PARAMETERS])
                raise BadInput(f"{name}({word.arg}=...): there is no such setting; known: {allowed}")
        try:
            values = {str(word.arg): ast.literal_eval(word.value) for word in keywords}
        except ValueError:
            raise BadInput(f"{name}(...): a setting is a number, a text in quotes, True or False") from None
        settings, fixed = dict(scope.settings), dict(scope.fixed)
        for key, value in values.items():
            if key in SETTINGS:
                settings[key] = value
            elif isinstance(value, bool) or not isinstance(value, int | float):
                raise BadInput(f"{name}({key}=...): {key} is one number, such as {key}=1")
            else:
                fixed[key] = float(value)
        return self.formula(name, scope._replace(settings=settings, fixed=fixed))

    def term(self, kind: str, tree: ast.expr, scope: _Scope) -> ast.Name:
        """Add a mean or a median, and return the name of its number."""
        columns = tuple(name for name in COLUMNS if name in names_of(tree))
        if not columns:
            raise BadInput(f"{kind}({ast.unparse(tree)}) holds no number of a response; known: {', '.join(COLUMNS)}")
        self.terms.append(Term(kind, tree, columns, tuple(sorted(scope.settings.items())), scope.divides_by))
        return ast.Name(str(len(self.terms) - 1))


# --- from terms to numbers


def names_of(tree: ast.expr) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def positives(tree: ast.expr) -> Iterator[ast.expr]:
    """Yield the arguments of positive(...), which must not be below 0."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="positive"), args=[argument]):
                yield argument


def evaluate(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """Return the value of a tree.

    Args:
        names: the value of each name in the tree: numbers, or arrays of one shape.
    Returns: an array of that shape, or a number; NaN wherever anything that it needs is NaN.
    """
    match node:
        case ast.Constant(value=float() as value):
            return np.float64(value)
        case ast.Name(id=name):
            return names[name]
        case ast.UnaryOp(operand=operand):
            return -evaluate(operand, names)
        case ast.BinOp(left=left, op=op, right=right):
            return OPERATORS[type(op)](evaluate(left, names), evaluate(right, names))
        case ast.Compare(left=left, ops=[compare], comparators=[right]):
            return OPERATORS[type(compare)](evaluate(left, names), evaluate(right, names))
        case ast.Call(func=ast.Name(id=name), args=args):
            return FUNCTIONS[name][0](*(evaluate(arg, names) for arg in args))
    raise TypeError(f"no tree of `parse`: {ast.dump(node)}")
