"""The ids in cells: the only module that composes and parses them.

    responses  {instructions}__{teacher}                   pool__large
    corpus     all responses of a teacher, or the name of a derived corpus
    student    {base}__{corpus}__{recipe}__s{seed}         q__pool__large__sft__s1
    model      a student, or the name of a reference

Each class reads an id with `parse` and writes it with `str()`. Names never contain the separator.
"""

from typing import NamedTuple

_SEPARATOR = "__"
# Ids as regular expressions. They describe the form of a name and do not list the names of the config: this costs the same for
# 20,000 students, and an empty list would match everything.
NAME = r"[a-z0-9]+(?:[.-][a-z0-9]+)*"
RESPONSES = f"{NAME}{_SEPARATOR}{NAME}"
CORPUS = f"{NAME}(?:{_SEPARATOR}{NAME})?"
STUDENT = rf"{NAME}(?:{_SEPARATOR}{NAME}){{2,3}}{_SEPARATOR}s\d+"
MODEL = rf"{NAME}(?:{_SEPARATOR}{NAME}){{0,4}}"


class Responses(NamedTuple):
    """The responses of one teacher to one set of instructions."""

    instructions: str
    teacher: str

    @classmethod
    def parse(cls, text: str) -> "Responses":
        """Raises ValueError where the text is no id of responses."""
        instructions, teacher = text.split(_SEPARATOR)
        return cls(instructions, teacher)

    def __str__(self) -> str:
        return _SEPARATOR.join(self)


class Corpus(NamedTuple):
    """What a student learns from: all responses of one teacher, or a derived corpus. One of the two is None."""

    responses: Responses | None
    derived: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Corpus":
        """Raises ValueError where the text is no id of a corpus."""
        return cls(Responses.parse(text)) if _SEPARATOR in text else cls(None, text)

    @property
    def teacher(self) -> str | None:
        return self.responses.teacher if self.responses else None

    @property
    def instructions(self) -> str | None:
        return self.responses.instructions if self.responses else None

    def __str__(self) -> str:
        return str(self.responses or self.derived)


class Student(NamedTuple):
    """A base, fine-tuned on a corpus with a recipe and a seed. corpus: the id of a Corpus."""

    base: str
    corpus: str
    recipe: str
    seed: int

    @classmethod
    def parse(cls, text: str) -> "Student":
        """Raises ValueError where the text is no id of a student."""
        base, *corpus, recipe, seed = text.split(_SEPARATOR)
        return cls(base, _SEPARATOR.join(corpus), recipe, int(seed.removeprefix("s")))

    @property
    def any_seed(self) -> str:
        """The name shared by students that differ only in their seed."""
        return any_seed(self.base, self.corpus, self.recipe)

    def __str__(self) -> str:
        return f"{self.any_seed}{_SEPARATOR}s{self.seed}"


class Model(NamedTuple):
    """A model that answers suites: a student or a reference. One of the two is None."""

    student: Student | None
    reference: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Model":
        """Raises ValueError where the text is no id of a model."""
        return cls(Student.parse(text)) if _SEPARATOR in text else cls(None, text)

    def __str__(self) -> str:
        return str(self.student or self.reference)


def any_seed(base: str, corpus: str, recipe: str | None) -> str:
    """Return the name shared by the students of all seeds. recipe: None where nothing is trained."""
    return _SEPARATOR.join((base, corpus, str(recipe)))


def pilot_subset(instructions: str, sample: int) -> str:
    """Return the name of the set of instructions that a pilot draws from another set."""
    return f"{instructions}.pilot{sample}"


def sets_of(responses: list[str]) -> list[str]:
    """Return the sets of instructions of these responses, each once."""
    return list(dict.fromkeys(Responses.parse(name).instructions for name in responses))


def whole_set(instructions: str) -> str:
    """Return the name of the set from which a pilot's set is drawn; that of any other set as it is."""
    whole, _, drawn = instructions.rpartition(".pilot")
    return whole if whole and drawn.isdigit() else instructions


def never_endless(_: object, value: str) -> None:
    """Stand in for Snakemake's `PeriodicityDetector.is_periodic`: no value of a wildcard shows an endless chain of jobs.

    Snakemake guesses one from a value that ends with the same part 20 times in a row, such as a name with 20 zeros, and then
    silently leaves out every job that has it. Only evolution lets a rule feed itself, over the rounds that the config states, so no
    chain is endless.
    """
