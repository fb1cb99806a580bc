"""A metric: an entry of `config.metrics` at one value of its parameter; and the variants of it that are measured."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from . import expressions
from .expressions import Expression, Term
from .formulas import FORMULAS, Formula

OWN = "expression"  # the formula of an entry that states an expression of its own
UNLIKE = "Not the paper's variant"  # in the description of a metric that computes a paper's formula in another way
OWN_BASE = "self"  # the scorer that is the base for which the metric is computed


@dataclass(frozen=True, eq=False)
class Metric:
    """An entry of `config.metrics` at one value of the parameter that it sweeps.

    settings: the entry with all its defaults, such as {"formula": "car_mean", "reward": "rm", "beta": [1, 2], ...}.
    parameter_value: of beta, threshold or power; None is the first value that the entry states.

    Example: Metric(entry).name == "car_mean/rm/chat/beta=1", Metric(entry, 2).name == "car_mean/rm/chat/beta=2".
    """

    settings: Mapping
    parameter_value: float | None = None

    # --- what it computes

    @cached_property
    def formula(self) -> Formula:
        """The formula; where the entry states an expression, one made of it, with the direction that the entry states."""
        if self.settings["formula"] != OWN:
            return FORMULAS[self.settings["formula"]]
        text = self.settings["expression"]
        return Formula(f"`{expressions.canonical(text)}`", "own unit", self.settings["best"] or "highest", text)

    @cached_property
    def expression(self) -> Expression | None:
        """What it computes over responses; None where its formula has no expression. Raises BadInput."""
        if self.settings["formula"] == OWN:
            return expressions.parse(self.settings["expression"])
        formula = self.formula
        return None if formula.expression is None else expressions.parse(formula.expression, formula.divides_by)

    @property
    def terms(self) -> tuple[Term, ...]:
        return self.expression.terms if self.expression else ()

    @property
    def tree(self) -> ast.expr:
        """The tree that computes its value from the means of its terms. Only of a metric with an expression."""
        assert self.expression is not None, f"'{self.settings['formula']}' has no expression"
        return self.expression.tree

    @cached_property
    def needs(self) -> set[str]:
        """What it settings_for: "reward", "likelihood", "ranks", "distributions", "text"; nothing where the whole grid computes it."""
        if self.expression:
            return set().union(*(term.needs for term in self.terms))
        return {"text"} if self.formula.text_function else set()

    def settings_for(self, need: str) -> list[dict]:
        """Return the settings of each term that has this need: its own, and the metric's where it has none."""
        return [term.resolve(self.settings) for term in self.terms if need in term.needs]

    @property
    def rewards(self) -> list[str | None]:
        """The rewards that its terms take, one per term; None where an entry that is not checked yet names none."""
        return [settings["reward"] for settings in self.settings_for("reward")]

    @property
    def likelihoods(self) -> list[tuple[str, str]]:
        """The (scorer, format) whose likelihoods its terms take, one per term."""
        return [(settings["scorer"], settings["format"]) for settings in self.settings_for("likelihood")]

    @property
    def distributions(self) -> list[tuple[str, str]]:
        """The (scorer, format) whose distributions its terms take, one per term."""
        return [(settings["scorer"], settings["format"]) for settings in self.settings_for("distributions")]

    @property
    def compares(self) -> bool:
        """Whether a response's value depends on the other responses to its instruction."""
        return any("lark" in term.columns for term in self.terms)

    def uses(self, setting: str) -> bool:
        """Return whether any term takes this setting (reward, offset, scorer, format, end_token) from the entry."""
        return self.expression is not None and self.expression.uses(setting)

    # --- its parameter

    @property
    def parameter(self) -> str | None:
        """The name of the parameter that the entry sweeps."""
        return self.expression.parameter if self.expression else None

    @property
    def values(self) -> list:
        """The values of the parameter that the entry states, its own first; [None] without a parameter."""
        return self.settings[self.parameter] if self.parameter else [None]

    @property
    def value(self) -> float | None:
        """The value of the parameter."""
        return self.values[0] if self.parameter_value is None else self.parameter_value

    @property
    def fixed(self) -> dict[str, float]:
        """{its parameter: the value}, empty without a parameter."""
        return {self.parameter: self.value} if self.parameter and self.value is not None else {}

    # --- how it is named and read

    @property
    def name(self) -> str:
        """The name, unique among variants, such as car_mean/verify+offset=2/plain/beta=1/by=gpt2/no-end."""
        return "/".join(self._parts(with_variant=True))

    @property
    def variant_of(self) -> str:
        """The name that it shares with all metrics that differ in format, end token and parameter value only."""
        return "/".join(self._parts(with_variant=False))

    def _parts(self, with_variant: bool) -> list[str]:
        settings, uses_likelihoods = self.settings, self.uses("scorer")
        is_expression = settings["formula"] == OWN
        parts = [f"({expressions.canonical(settings['expression'])})" if is_expression else settings["formula"]]
        if self.uses("reward"):
            parts.append(settings["reward"] + ("" if settings["offset"] is None else f"+offset={settings['offset']:g}"))
        if uses_likelihoods and with_variant:
            parts.append(settings["format"])
        if self.parameter:
            parts.append(f"{self.parameter}={self.value:g}" if with_variant else self.parameter)
        counts_tokens = self.expression is not None and "text" in self.needs
        if (uses_likelihoods or counts_tokens) and settings["scorer"] != OWN_BASE:
            parts.append(f"by={settings['scorer']}")
        if uses_likelihoods and not settings["end_token"] and with_variant:
            parts.append("no-end")
        if settings["below"] is not None:
            parts.append(f"below={settings['below']:g}")
        if is_expression and settings["best"] == "lowest":
            parts.append("lowest")
        return parts

    @property
    def unit(self) -> str:
        return self.formula.unit

    @property
    def direction(self) -> str:
        """Which values promise a better student: "highest" or "lowest"."""
        return self.formula.best

    @property
    def sign(self) -> int:
        """1 where a high value promises a better student, else -1."""
        return 1 if self.direction == "highest" else -1

    def _unlike_published(self) -> str:
        """Return in words how the variant differs from that of the formula's paper; "" where it does not."""
        if self.formula.published is None:
            return ""
        form, end_token = self.formula.published
        own, theirs = (
            (self.settings["format"], self.settings["end_token"]),
            (form or self.settings["format"], end_token),
        )
        if own == theirs:
            return ""
        said = [
            f"{'in' if chat == 'chat' else 'without'} a chat template, {'with' if end else 'without'} the end token"
            for chat, end in (own, theirs)
        ]
        return f". {UNLIKE}: here {said[0]}; there {said[1]}"

    @property
    def labels(self) -> dict[str, object]:
        """The columns of artifacts.METRICS that describe the metric."""
        labels = {
            "metric": self.name,
            "variant_of": self.variant_of,
            "formula": self.settings["formula"],
            "description": self.formula.text + self._unlike_published(),
            "value_unit": self.unit,
            "direction": self.direction,
        }
        labels |= {key: self.settings[key] for key in ("reward", "scorer", "format") if self.uses(key)}
        if self.uses("scorer"):
            labels["end_token"] = self.settings["end_token"]
        if self.parameter:
            labels |= {self.parameter: self.value, "parameter": self.parameter, "parameter_value": self.value}
        return labels


class Variant(NamedTuple):
    """A metric that an entry of the config asks for: its own, or another format, end token or parameter value."""

    entry: str  # the entry's name in the config
    metric: Metric
    own: bool  # whether the entry states it: with its first parameter value, its format and its end_token


def variants(entries: Mapping[str, Mapping]) -> dict[str, Variant]:
    """Return {name of the metric: variant}: each entry's own, then its other parameters, text formats and end tokens.

    Where two entries have a variant in common, it belongs to the one that states it.
    """
    by_name: dict[str, Variant] = {}
    for name, entry in entries.items():
        metric = Metric(entry)
        by_name.setdefault(metric.name, Variant(name, metric, True))
    for name, entry in entries.items():
        uses_likelihoods = Metric(entry).uses("scorer")
        for format in ("chat", "plain") if uses_likelihoods else (entry["format"],):
            for end_token in (True, False) if uses_likelihoods else (entry["end_token"],):
                settings = {**entry, "format": format, "end_token": end_token}
                for value in Metric(entry).values:
                    metric = Metric(settings, value)
                    by_name.setdefault(metric.name, Variant(name, metric, False))
    return by_name
