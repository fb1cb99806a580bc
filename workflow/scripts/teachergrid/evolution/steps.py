"""What all methods share: a method is a list of steps, and each step makes one set of instructions.

Usually two steps belong together: the first writes prompts (`NAME.r1.asked`), a teacher answers them (rule `generate`), and the
second reads the answers (`NAME.r1`). Both are made by rule `load_instructions`, so no rule of evolution loads a model.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

Row: TypeAlias = dict[str, Any]  # of artifacts.INSTRUCTIONS
# {id of an instruction: its rows of artifacts.RESPONSES, by sample}
Replies: TypeAlias = Mapping[str, list[dict]]


class Step(NamedTuple):
    """One set of instructions that an evolution adds to the config.

    name: whole, such as `wiz.r1.asked`. stage: key of methods.STAGES, the function that makes it.
    sets: names of the sets that it reads. responses: ids of the responses that it reads, `{set}__{teacher}`.
    tables: (rule, cell) of the outputs of other rules that it reads.
    settings: all that decides its rows besides these inputs; they are its spec, so the names of sets and teachers stay out.
    ancestors: sets over which `parent_id` leads from its rows back to their roots. most: rows at most.
    file: the source of the seeds, where the texts below the instructions are read from it (setting `beside`).
    """

    name: str
    stage: str
    sets: tuple[str, ...]
    settings: dict[str, Any]
    most: int
    responses: tuple[str, ...] = ()
    tables: tuple[tuple[str, str], ...] = ()
    ancestors: tuple[str, ...] = ()
    file: str | None = None


class Given(NamedTuple):
    """What a stage gets, each list in the order in which its step names them.

    name: of the set to make. tables: paths. beside: {id of a seed: the text below it that is not rewritten}. work: folder in which long
    work may save its finished parts; None: there is none.
    """

    name: str
    sets: list[list[Row]]
    responses: list[Replies]
    tables: list[Path]
    beside: Mapping[str, str] = {}
    work: Path | None = None


class Fate(NamedTuple):
    """What became of one row that was asked. parent: the row's id. row: what it became; None: nothing, for this reason.

    text: what the evolver wrote.
    """

    parent: str
    operator: str | None
    row: Row | None
    reason: str | None
    text: str


class Made(NamedTuple):
    """What a stage makes: the rows of the set, and the fate of all rows that were asked (none in a set of prompts)."""

    rows: list[Row]
    fates: list[Fate] = []  # noqa: RUF012 (never changed)


# makes the rows of a set from what it reads and its settings
Stage: TypeAlias = Callable[[Given, dict[str, Any]], Made]


class Asked(NamedTuple):
    """What a method gets to plan its steps.

    name: of the evolution. entry: its settings, with all defaults. seed: derived from the root seed. seeds: rows of the set
    `of` at most. ancestors: of the set `of`, from the oldest on. texts: of the prompts, by their names.
    tables: (rule, cell) of other rules' outputs that the entry's method reads, such as that of `optimise`.
    source: entry of the set `of`, where that is read from a source.
    """

    name: str
    entry: dict[str, Any]
    seed: int
    seeds: int
    ancestors: tuple[str, ...]
    texts: dict[str, Any]
    tables: tuple[tuple[str, str], ...] = ()
    source: dict[str, Any] | None = None

    @property
    def where(self) -> str:
        """The config's key, for messages."""
        return f"config.evolutions.{self.name}"


# returns the steps of an evolution, in the order in which they are made
Method: TypeAlias = Callable[[Asked], list[Step]]
