"""What checkers of all kinds get and give."""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from ..errors import BadInput


class Asked(NamedTuple):
    """An answer to check."""

    id: str  # of the item
    text: str
    reference: str | None  # the item's `answer`; JSON where the kind needs several columns


class Checked(NamedTuple):
    """What a checker says of an answer: the columns of artifacts.SCORES, and {measure: (met, of)}."""

    score: float | None
    verdict: str | None
    reason: str | None
    measures: Mapping[str, tuple[float, float]] = MappingProxyType({})


def columns_of(one: Asked) -> dict[str, Any]:
    """Return the columns of an item that its reference holds. Raises BadInput where it is no JSON."""
    try:
        columns = json.loads(one.reference or "")
    except ValueError:
        columns = None
    if not isinstance(columns, dict):
        raise BadInput(
            f"item {one.id}: its answer is no JSON of columns ({(one.reference or '')[:60]!r}); name them in the task as "
            "`fields: {answer: {columns: [...]}}`"
        )
    return columns
