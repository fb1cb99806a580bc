"""The responses that a scorer reads, in shards, with the messages of their instructions; and which of them it reads at all."""

import hashlib
from collections.abc import Iterable, Iterator, Set
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from ..errors import BadInput
from ..store import artifacts

if TYPE_CHECKING:
    from ..models.chat import Message


class Row(NamedTuple):
    """A response to be scored, with its question."""

    messages: "list[Message]"
    text: str
    finished: bool = True  # False where max_tokens cut it off, so that no end token follows


class Responses:
    """The responses that are to be scored, in shards, with the messages of their instructions."""

    def __init__(self, responses: pa.Table, instructions: pa.Table, options: dict) -> None:
        """options: the config's `likelihood`. Raises BadInput when a response has no instruction."""
        self._responses, self._instructions = responses, instructions
        self._index = {id: i for i, id in enumerate(instructions["id"].to_pylist())}
        ids = responses["id"].to_pylist()
        unknown = [id for id in ids if id not in self._index]
        if unknown:
            raise BadInput(
                f"{len(unknown)} of {len(ids)} responses answer no instruction of this set, such as {unknown[0]}; take the "
                "instructions they were made from"
            )
        self.subset = subset(self._index, options["subset"])
        scored_rows = [i for i, id in enumerate(ids) if id in self.subset]
        self._bounds = _bounds(scored_rows, len(ids), options["shard"])

    def __len__(self) -> int:
        """Return the number of shards."""
        return len(self._bounds)

    def keys(self, shard: int) -> list[dict]:
        """Return id and sample of each response of a shard."""
        return self._responses.select(["id", "sample"]).slice(*self._bounds[shard]).to_pylist()

    def prompts(self) -> "Iterator[tuple[str, list[Message]]]":
        """Yield (id, messages) of each instruction whose responses are scored."""
        ids = [id for id in dict.fromkeys(self._responses["id"].to_pylist()) if id in self.subset]
        yield from zip(ids, messages_of(self._instructions, [self._index[id] for id in ids]), strict=True)

    def texts(self, shard: int, without: Set[str] = frozenset()) -> list[Row]:
        """Return those responses of a shard that are in the subset. without: ids of instructions to leave out."""
        ids = [key["id"] for key in self.keys(shard)]
        wanted = self.subset - without
        in_subset = pa.array([id in wanted for id in ids])
        columns = self._responses.select(["response", "finish_reason"]).slice(*self._bounds[shard]).filter(in_subset)
        messages = messages_of(self._instructions, [self._index[id] for id in ids if id in wanted])
        texts, finished = (
            columns["response"].to_pylist(),
            (reason not in artifacts.CUT_OFF for reason in columns["finish_reason"].to_pylist()),
        )
        return [Row(*row) for row in zip(messages, texts, finished, strict=True)]


def messages_of(instructions: pa.Table, positions: list[int]) -> "Iterator[list[Message]]":
    """Yield the messages of some rows, one by one: all at once take more memory than their texts."""
    messages = instructions["messages"]
    for position in positions:  # `take` would copy the whole column for a moment
        yield messages[position].as_py()


def subset(ids: Iterable[str], size: int | None) -> set[str]:
    """Return the ids of the instructions that are scored: the `size` ids with the smallest sha256, or all where it is None.

    So every scorer scores all teachers' answers to the same instructions, and a larger subset contains a smaller one.
    """
    return set(ids if size is None else sorted(ids, key=lambda id: hashlib.sha256(id.encode()).digest())[:size])


def _bounds(scored_rows: list[int], rows: int, size: int) -> list[tuple[int, int]]:
    """Return (first row, number of rows) of each shard. Shards cover all rows; all but the last have `size` scored ones."""
    cuts = [0, *scored_rows[size::size], rows]
    return [(first, last - first) for first, last in pairwise(cuts)] if rows else []
