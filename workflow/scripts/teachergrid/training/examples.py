"""The examples that a training reads: responses of a corpus, with the messages that they answer."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from ..errors import BadInput
from ..metrics.join import join
from ..models.chat import Message
from ..store import artifacts
from ..store.artifacts import Source


class Example(NamedTuple):
    """A response with the messages that it answers."""

    messages: list[Message]
    response: str
    teacher: str
    id: str  # of the instruction
    sample: int


class Unfinished(NamedTuple):
    """The responses among some examples that max_tokens cut off (finish reason `length`)."""

    rows: list[int]  # their numbers among the examples that are trained on
    left_out: int


def examples(
    responses: Mapping[str, Source], corpus: Source | None, instructions: Iterable[Source]
) -> tuple[list[Example], dict[str, int]]:
    """Return the examples of a corpus in the order of (id, sample, teacher), and how many rows were left out by reason.

    Args:
        responses: {teacher: artifacts.RESPONSES}.
        corpus: the rows of a derived corpus (artifacts.CORPUS_ROWS); None takes all rows of one teacher.
        instructions: the instruction sets (artifacts.INSTRUCTIONS) whose messages the responses answer.
    Raises:
        BadInput: when a row has no instruction or no response.
    """
    messages: dict[str, list[Message]] = {}
    for source in instructions:
        table = artifacts.read(source, artifacts.INSTRUCTIONS, ["id", "messages"])
        messages.update(zip(table["id"].to_pylist(), table["messages"].to_pylist(), strict=True))
    rows = join(dict(responses), {}, {}, corpus)
    texts = rows.response.to_pylist()
    columns = rows.id.tolist(), rows.sample.tolist(), rows.teacher.tolist(), texts, rows.words.tolist()
    result = []
    for id, sample, teacher, response, words in zip(*columns, strict=True):
        if id not in messages:
            raise BadInput(
                f"responses of teacher '{teacher}': id '{id}' is in none of the instruction sets; generate them again"
            )
        if words:
            result.append(Example(messages[id], response, teacher, id, sample))
    return result, {"empty": len(rows.id) - len(result)}


def unfinished(rows: list[Example], responses: Mapping[str, Source], setting: str) -> tuple[list[Example], Unfinished]:
    """Return the examples that are trained on, and which of their responses were cut off by max_tokens.

    These get no end token, since students would learn from it to stop in mid-sentence.

    Args:
        responses: {teacher: artifacts.RESPONSES}.
        setting: the recipe's `unfinished`: `train`, or `leave_out`.
    Raises:
        BadInput: when none is left.
    """
    cut_off: set[tuple[str, str, int]] = set()
    for teacher, source in responses.items():
        table = artifacts.read(source, artifacts.RESPONSES, ["id", "sample", "finish_reason"])
        cut = table.filter(pc.is_in(table["finish_reason"], pa.array(artifacts.CUT_OFF)))
        cut_off.update((teacher, *key) for key in zip(cut["id"].to_pylist(), cut["sample"].to_pylist(), strict=True))
    numbers = [i for i, row in enumerate(rows) if (row.teacher, row.id, row.sample) in cut_off]
    if setting == "train":
        return rows, Unfinished(numbers, 0)
    if len(numbers) == len(rows):
        raise BadInput(
            f"all {len(rows)} responses were cut off by max_tokens, and the recipe leaves such rows out; raise the teacher's "
            "`sampling.max_tokens`, or set the recipe's `unfinished: train`"
        )
    out = set(numbers)
    return [row for i, row in enumerate(rows) if i not in out], Unfinished([], len(numbers))
