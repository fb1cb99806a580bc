"""The responses of a corpus with all that scored them, as aligned arrays. `join` makes them."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from ..store import artifacts
from ..store.artifacts import Source
from .diversity import Texts
from .variants import OWN_BASE

Table = dict  # {column: [n], "reason": Reasons}
LikelihoodKey = tuple[str, str]  # (scorer, format)


class Reasons(NamedTuple):
    """Why rows have no value: texts[code], where 0 is none."""

    code: np.ndarray  # [n]
    texts: list[str]


class JoinedRows(NamedTuple):
    """n responses in the order of (id, sample, teacher), so that no result depends on the order of files or rows."""

    id: np.ndarray  # [n] of str
    sample: np.ndarray  # [n]
    teacher: np.ndarray  # [n] of str
    texts: Texts | None
    words: np.ndarray  # [n], 0 for a response without text
    response_tokens: np.ndarray  # [n], in the teacher's own tokens
    rewards: dict[str, Table]  # of each reward the column `reward`
    # the columns of artifacts.LIKELIHOODS that hold one number per response, and with `ranks` ranks_answer and ranks_end:
    # sums of the ranks of its tokens, each at most RANK_CAP; and the sums of artifacts.DISTRIBUTIONS where they were joined
    likelihoods: dict[LikelihoodKey, Table]
    category: np.ndarray  # [n] of str, "" where the instruction has none

    def where(self, mask: np.ndarray) -> "JoinedRows":
        """Return some rows without their texts. mask: [n]."""

        def part(table: Table) -> Table:
            return {name: _masked(values, mask) for name, values in table.items()}

        return JoinedRows(
            id=self.id[mask],
            sample=self.sample[mask],
            teacher=self.teacher[mask],
            texts=None,
            words=self.words[mask],
            response_tokens=self.response_tokens[mask],
            rewards={name: part(table) for name, table in self.rewards.items()},
            likelihoods={key: part(table) for key, table in self.likelihoods.items()},
            category=self.category[mask],
        )

    def with_own(self, base: str) -> "JoinedRows":
        """Return the same rows with the likelihoods of a base also under `self`, the name that metrics use."""
        own = {(OWN_BASE, form): table for (scorer, form), table in self.likelihoods.items() if scorer == base}
        return self._replace(likelihoods=self.likelihoods | own)

    def with_categories(self, instructions: Iterable[Source]) -> "JoinedRows":
        """Return the same rows with the categories that tables of artifacts.INSTRUCTIONS give their instructions."""
        category_of: dict[str, str | None] = {}
        for source in instructions:
            table = artifacts.read(source, artifacts.INSTRUCTIONS, ["id", "category"])
            category_of.update(zip(table["id"].to_pylist(), table["category"].to_pylist(), strict=True))
        return self._replace(category=np.array([category_of.get(id) or "" for id in self.id.tolist()]))

    @property
    def response(self) -> pa.ChunkedArray:
        """The texts [n]. Only of rows that were joined with texts."""
        assert self.texts is not None, "these rows were joined without texts"
        return self.texts.rows


def together(parts: Sequence[JoinedRows]) -> JoinedRows:
    """Return the rows of several joins of the same scores, one after the other, without their texts."""
    first = parts[0]
    columns = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("id", "sample", "teacher", "words", "response_tokens", "category")
    }
    rewards = {name: _below([part.rewards[name] for part in parts]) for name in first.rewards}
    likelihoods = {key: _below([part.likelihoods[key] for part in parts]) for key in first.likelihoods}
    return JoinedRows(**columns, texts=None, rewards=rewards, likelihoods=likelihoods)


def _below(tables: Sequence[Table]) -> Table:
    """Return the rows of several tables, one table after the other."""
    table: Table = {name: np.concatenate([each[name] for each in tables]) for name in tables[0] if name != "reason"}
    codes, texts = [], [""]
    for each in tables:
        reasons: Reasons = each["reason"]
        codes.append(np.where(reasons.code > 0, reasons.code + len(texts) - 1, 0))
        texts += reasons.texts[1:]
    return {**table, "reason": Reasons(np.concatenate(codes), texts)}


def _masked(values: np.ndarray | Reasons, mask: np.ndarray) -> np.ndarray | Reasons:
    return values._replace(code=values.code[mask]) if isinstance(values, Reasons) else values[mask]
