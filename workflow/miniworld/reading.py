"""Reads any text as a problem of the mini world: is it one, what is its right answer, and how much work is it?

    problem = read("Reverse this list: fig red pear . Use upper case.")
    problem.answer        # "PEAR RED FIG"
    problem.operations    # 4: three words, and a format

So the truth of a problem is known that no generator made, such as one that a model wrote. Read are the open tasks, with lists of
two to six words or numbers, none of them twice, and numbers below 100. Standard library only.
"""

import re
from dataclasses import dataclass, replace

from phrasings import PHRASINGS
from problems import CATEGORIES, CATEGORY_OF, ORDINALS
from world import CONSTRAINTS, problem_key, split_of

KINDS = {
    "copy": "copy",
    "reverse": "reverse",
    "sort": "sort",
    "nth": "nth",
    "filter": "filter",
    "count": "count",
    "add": "add",
    "sub": "sub",
    "max": "max",
    "sortnum": "sortnum",
    "filter-reverse": "comp",
    "double-sum": "comp",
    "spell-last": "comp",
}  # {kind of problem: its task}
OF_NUMBERS = ("max", "sortnum")  # their lists are of numbers
SHORTEST, LONGEST, HIGHEST = 2, 6, 99  # of a list, of a list, of a number
LEAST_KEPT = {"filter": 1, "filter-reverse": 2}  # words of the category in the list


@dataclass(frozen=True)
class Problem:
    """A problem as it is worded: its kind, which of the kind's phrasings, its content, and its format constraint."""

    kind: str
    form: int
    items: tuple[str, ...]  # the list; of a sum its two numbers
    choice: str = ""  # the category, the ordinal, largest or smallest, ascending or descending
    constraint: str = "none"
    wording: int = 0  # of the constraint

    @property
    def task(self) -> str:
        return KINDS[self.kind]

    @property
    def text(self) -> str:
        """The instruction."""
        text = self._phrased(self.form)
        if self.constraint == "none":
            return text
        return text + (" " if text.endswith("?") else " . ") + CONSTRAINTS[self.constraint][0][self.wording]

    @property
    def key(self) -> str:
        """The key of the problem: equal for all phrasings and constraints."""
        return problem_key(self.task, self._phrased(0))

    @property
    def split(self) -> str:
        return split_of(self.task, self.key)

    @property
    def raw(self) -> str:
        """The answer before the format constraint."""
        return " ".join(_SOLVERS[self.kind](self.items, self.choice))

    @property
    def answer(self) -> str:
        return CONSTRAINTS[self.constraint][1](self.raw)

    @property
    def operations(self) -> int:
        """One for each word or digit and each of the (one or two) things that are done with it, and one for a format."""
        size = len("".join(self.items)) if self.kind in _SUMS else len(self.items)
        return size * (2 if self.task == "comp" else 1) + (self.constraint != "none")

    @property
    def sound(self) -> bool:
        """Whether the content is such as the world's generators give."""
        if self.kind in _SUMS:
            first, second = map(int, self.items)
            return max(first, second) <= HIGHEST and (self.kind != "sub" or first >= second)
        if not SHORTEST <= len(self.items) <= LONGEST or len({*self.items}) < len(self.items):
            return False
        if self.kind in OF_NUMBERS:
            return all(number.isdigit() and 1 <= int(number) <= HIGHEST for number in self.items)
        if not all(word in CATEGORY_OF for word in self.items):
            return False
        if self.kind == "nth":
            return ORDINALS.index(self.choice) < len(self.items)
        return len(_kept(self.items, self.choice)) >= LEAST_KEPT.get(self.kind, 0)

    def _phrased(self, form: int) -> str:
        values = {"s": " ".join(self.items), "a": self.items[0], "b": self.items[1]}
        return PHRASINGS[self.kind][form].format(**values, k=self.choice, c=self.choice, w=self.choice)


def _kept(words, category) -> list[str]:
    return [word for word in words if CATEGORY_OF[word] == category]


def _extreme(numbers, which) -> list[str]:
    return [(max if which == "largest" else min)(numbers, key=int)]


def _sum(numbers, _) -> list[str]:
    return [str(int(numbers[0]) + int(numbers[1]))]


_SUMS = ("add", "sub", "double-sum")
_SOLVERS = {
    "copy": lambda words, _: words,
    "reverse": lambda words, _: words[::-1],
    "sort": lambda words, _: sorted(words),
    "nth": lambda words, ordinal: [words[ORDINALS.index(ordinal)]],
    "filter": _kept,
    "count": lambda words, category: [str(len(_kept(words, category)))],
    "add": _sum,
    "sub": lambda numbers, _: [str(int(numbers[0]) - int(numbers[1]))],
    "max": _extreme,
    "sortnum": lambda numbers, order: sorted(numbers, key=int, reverse=order == "descending"),
    "filter-reverse": lambda words, category: _kept(words, category)[::-1],
    "double-sum": lambda numbers, _: [str(2 * int(_sum(numbers, None)[0]))],
    "spell-last": lambda words, _: [*words[-1]],
}
_SLOTS = {
    "s": r"(?P<s>[a-z]+(?: [a-z]+)*|\d+(?: \d+)*)",
    "a": r"(?P<a>0|[1-9]\d*)",
    "b": r"(?P<b>0|[1-9]\d*)",
    "c": f"(?P<c>{'|'.join(CATEGORIES)})",
    "k": f"(?P<k>{'|'.join(ORDINALS)})",
}
_CHOICES = {"max": "(?P<w>largest|smallest)", "sortnum": "(?P<w>ascending|descending)"}


def _pattern(kind: str, template: str) -> re.Pattern:
    slots = _SLOTS | {"w": _CHOICES.get(kind, "")}
    return re.compile("".join(slots[part[1]] if part[0] == "{" else re.escape(part) for part in _parts(template)))


def _parts(template: str) -> list[str]:
    return [part for part in re.split(r"(\{\w\})", template) if part]


_PATTERNS = [(kind, form, _pattern(kind, template)) for kind in KINDS for form, template in enumerate(PHRASINGS[kind])]


def read(text: str) -> Problem | None:
    """Return the problem that a text states; None where it states none of the world's open tasks."""
    problem = _plain(text)
    for name, (wordings, _) in CONSTRAINTS.items():
        for wording, ending in enumerate(wordings):
            if text.endswith(ending) and (plain := _plain(re.sub(r" (\. )?$", "", text.removesuffix(ending)))):
                problem = replace(plain, constraint=name, wording=wording)
    return problem if problem and problem.text == text and _fits(problem) else None


def _fits(problem: Problem) -> bool:
    """Whether the constraint changes the answer: there are no upper case numbers."""
    return problem.constraint != "upper" or re.search("[a-z]", problem.raw) is not None


def _plain(text: str) -> Problem | None:
    """Return the problem of a text without a constraint."""
    for kind, form, pattern in _PATTERNS:
        if match := pattern.fullmatch(text):
            found = match.groupdict()
            items = tuple(found["s"].split()) if "s" in found else (found["a"], found["b"])
            choice = found.get("c") or found.get("k") or found.get("w") or ""
            problem = Problem(kind, form, items, choice)
            return problem if len(items) > 1 and problem.sound else None
    return None
