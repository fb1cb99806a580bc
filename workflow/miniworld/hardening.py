"""How a problem of the mini world becomes a harder one: what the rewriters learn from, and what they are measured by.

Three operators. *Longer* adds a word or a number to the list, or a digit to a number. *Format* asks for a format. *Two steps* makes
two things out of one: sums are doubled, lists filtered and reversed, or their last word spelled. Where an operator does not fit a
problem, such as a format where there is one, the next one takes its place. Standard library only.
"""

import random
import re
from dataclasses import replace

from phrasings import PHRASINGS
from problems import CATEGORIES, CATEGORY_OF, WORDS
from reading import HIGHEST, LONGEST, OF_NUMBERS, Problem, read
from world import CONSTRAINTS, OPEN

# {operator of Evol-Instruct: the words that ask a rewriter for it}; rewriting.yaml says the same to the workflow
OPERATORS = {"constraint": "Format", "deepen": "Longer", "reasoning": "Two steps"}
PROMPT = "{duty}: {instruction}"
ROUNDS = (0.45, 0.35, 0.2)  # shares of parents that were made harder no, one or two times before
VERDICTS = ("harder", "not harder", "other content", "no problem")
_FILTERED = ("copy", "reverse", "sort", "filter", "count")


def harder(rng: random.Random, problem: Problem, operator: str) -> Problem | None:
    """Return a harder problem by an operator, or by the next one that fits; None where none does."""
    names = [*_CHANGES]
    first = names.index(operator)
    changed = (_CHANGES[name](rng, problem) for name in [*names[first:], *names[:first]])
    return next((new for new in changed if new is not None), None)


def pair(rng: random.Random, draw) -> tuple[str, Problem, Problem]:
    """Return (operator, parent, harder problem), both of the training split.

    draw: gives a training item, as `corpora.Guard.draw` does.
    """
    while True:
        parent = read(draw(rng, tasks=OPEN).instruction)
        for _ in range(rng.choices(range(len(ROUNDS)), ROUNDS)[0]):
            parent = harder(rng, parent, rng.choice([*OPERATORS])) or parent
        operator = rng.choice([*OPERATORS])
        child = harder(rng, parent, operator)
        if child is not None and parent.split == child.split == "train":
            return operator, parent, child


def verdict(parent: Problem, text: str) -> str:
    """Return what a text is as a harder form of a problem: one of VERDICTS."""
    child = read(text)
    if child is None:
        return "no problem"
    if not _keeps(parent, child):
        return "other content"
    return "harder" if child.operations > parent.operations else "not harder"


def _keeps(parent, child) -> bool:
    """Whether a problem has all words or numbers of another one; numbers may have more digits."""
    if parent.items[0].isdigit() and parent.kind not in OF_NUMBERS:
        return all(new.endswith(old) for new, old in zip(child.items, parent.items, strict=False))
    return {*parent.items} <= {*child.items}


def _format(rng, problem) -> Problem | None:
    if problem.constraint != "none":
        return None
    fitting = [name for name in CONSTRAINTS if name != "none" and (name != "upper" or re.search("[a-z]", problem.raw))]
    name = rng.choice(fitting)
    return replace(problem, constraint=name, wording=rng.randrange(len(CONSTRAINTS[name][0])))


def _longer(rng, problem) -> Problem | None:
    if problem.kind in ("add", "sub", "double-sum"):
        return _more_digits(rng, problem)
    if len(problem.items) == LONGEST:
        return None
    known = map(str, range(1, HIGHEST + 1)) if problem.kind in OF_NUMBERS else WORDS
    return _with(problem, rng.choice([item for item in known if item not in problem.items]))


def _more_digits(rng, problem) -> Problem | None:
    """Put a digit before the first number of one digit; what is taken away stays the smaller number."""
    for place, number in enumerate(problem.items):
        if len(number) > 1 or number == "0":
            continue
        highest = 9
        if problem.kind == "sub" and place == 1:
            highest = (int(problem.items[0]) - int(number)) // 10
        if highest > 0:
            items = [*problem.items]
            items[place] = f"{rng.randint(1, highest)}{number}"
            return replace(problem, items=tuple(items))
    return None


def _two_steps(rng, problem) -> Problem | None:
    if problem.kind in ("add", "sub"):
        return _reworded(rng, problem, "double-sum")
    if problem.kind == "nth":
        return _reworded(rng, replace(problem, choice=""), "spell-last")
    if problem.kind not in _FILTERED:
        return None
    category = problem.choice or CATEGORY_OF[problem.items[0]]
    problem = replace(problem, choice=category)
    while sum(CATEGORY_OF[word] == category for word in problem.items) < 2:
        if len(problem.items) == LONGEST:
            return None
        problem = _with(problem, rng.choice([word for word in CATEGORIES[category] if word not in problem.items]))
    return _reworded(rng, problem, "filter-reverse")


def _with(problem, item) -> Problem:
    return replace(problem, items=(*problem.items, item))


def _reworded(rng, problem, kind) -> Problem:
    return replace(problem, kind=kind, form=rng.randrange(len(PHRASINGS[kind])))


_CHANGES = {"constraint": _format, "deepen": _longer, "reasoning": _two_steps}
