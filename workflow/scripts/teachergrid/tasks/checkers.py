"""What checks answers: one row of CHECKERS for each `kind` that a checker may have in the config.

A checker gets all answers to a task at once and says of each whether it is right. It may give further named measures, each as
(how much was met, of how much), such as 2 of 3 instructions: over all answers their sums make the official figure.
"""

import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import BadInput
from ..spec import schema
from . import verify
from .verify import Asked, Checked, columns_of

LOCK = Path(__file__).parents[4] / "envs/cpu.lock"
PASS_AT = "pass@{}"


class Checker(NamedTuple):
    """A kind of checker.

    check: of answers, and the config's entry. measures: that it gives, the usual score first; none: only the score. columns: that
    `fields.answer` must name. packages: whose versions count.
    """

    check: Callable[[Sequence[Asked], dict], list[Checked]]
    measures: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()


# the check of the config reads CHECKERS, so the modules of a kind are imported when it is used


def _pattern(answers: Sequence[Asked], checker: dict) -> list[Checked]:
    return [Checked(*verify.verdict(one.text, one.reference, checker)) for one in answers]


def _math(answers: Sequence[Asked], checker: dict) -> list[Checked]:
    from . import formulas

    return formulas.check(answers, checker)


def _ifeval(answers: Sequence[Asked], checker: dict) -> list[Checked]:
    from . import following

    return following.check("ifeval", answers, checker)


def _ifbench(answers: Sequence[Asked], checker: dict) -> list[Checked]:
    from . import following

    return following.check("ifbench", answers, checker)


def _program(answers: Sequence[Asked], checker: dict) -> list[Checked]:
    from . import programs

    references = [None if one.reference is None else columns_of(one) for one in answers]
    return [Checked(*one) for one in programs.verdicts([one.text for one in answers], references, checker)]


def _functions(answers: Sequence[Asked], checker: dict) -> list[Checked]:
    from . import verifiers

    return verifiers.check(answers, checker)


FOLLOWED = ("prompt_strict", "instruction_strict", "prompt_loose", "instruction_loose")
RULES = ("if-verifiable", "langdetect", "nltk")
CHECKERS = {
    "pattern": Checker(_pattern),
    "math": Checker(_math, packages=("math-verify", "latex2sympy2-extended", "sympy")),
    "ifeval": Checker(_ifeval, FOLLOWED, ("key", "instruction_id_list", "kwargs", "prompt"), RULES),
    "ifbench": Checker(_ifbench, FOLLOWED, ("key", "instruction_id_list", "kwargs", "prompt"), RULES),
    "program": Checker(_program),
    "functions": Checker(_functions, ("functions",)),
}


USUAL: dict[str, Any] = schema.filled({}, schema.definition("checker"))


def check(answers: Sequence[Asked], checker: dict) -> list[Checked]:
    """Return what a checker of the config says of answers to one task, in their order.

    The measure that the config names as `score` is the score.

    Args:
        checker: what it leaves out has its default.
    Raises:
        BadInput: as the kind does: a wrong pattern, a missing package, a reference that is none.
    """
    checker = {**USUAL, **checker}
    results = CHECKERS[checker["kind"]].check(answers, checker)
    name = checker["score"]
    if name is None or not CHECKERS[checker["kind"]].measures:
        return results
    return [_scored_by(name, one) for one in results]


def _scored_by(name: str, one: Checked) -> Checked:
    if one.score is None or name not in one.measures:
        return one
    met, of = one.measures[name]
    return one._replace(score=met / of)


def measures_of(checker: dict | None) -> list[str]:
    """Return the names of the measures that a checker of the config gives beside the score."""
    if checker is None:
        return []
    return [*CHECKERS[checker["kind"]].measures, *(PASS_AT.format(k) for k in checker["pass_at"])]


def runs_programs(checker: dict) -> bool:
    """Whether a checker of the config runs programs that a model wrote."""
    return checker["kind"] == "program"


def no_guard() -> str | None:
    """Return a sentence, with the remedy, where no guard for programs holds on this machine. Takes a second: it tries them."""
    from . import sandbox

    return sandbox.levels() if all(sandbox.gap(level) for level in sandbox.LEVELS) else None


def refuse_wrong(where: str, entry: dict) -> None:
    """Raise BadInput for a checker that cannot work. where: the config's key. entry: of a task or a reward."""
    checker = entry["checker"]
    kind = CHECKERS[checker["kind"]]
    if checker["score"] is not None and checker["score"] not in kind.measures:
        known = f"it has {', '.join(kind.measures)}" if kind.measures else "it has none beside the usual one"
        raise BadInput(f"{where}.score: the kind '{checker['kind']}' has no measure '{checker['score']}'; {known}")
    samples = entry["sampling"]["samples"] if "sampling" in entry else 1
    for k in checker["pass_at"]:
        if k > samples:
            raise BadInput(
                f"{where}.pass_at: pass@{k} needs {k} answers to an item, and there are {samples}; raise `sampling.samples`"
            )


@cache
def versions(kind: str) -> dict[str, str]:
    """Return {package: version} of the packages that decide a kind's verdicts, as the lock file pins them; {} where there is no such file."""
    packages = CHECKERS[kind].packages
    if not packages or not LOCK.is_file():
        return {}
    pinned = dict(re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", LOCK.read_text(), re.MULTILINE))
    return {name: pinned[name] for name in packages if name in pinned}
