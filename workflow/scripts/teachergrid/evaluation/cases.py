"""What a judge is asked about: a model's answers beside those of the opponent, with the instruction that both answer."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence

import pyarrow as pa

from ..data.reasoning import strip
from ..errors import BadInput
from . import followbench
from .protocols import PROTOCOLS, Case

Key = tuple[str, str, int]  # task, id, sample
_TOO_LONG = ("prompt_too_long", "prompt_refused")


def cases(answers: pa.Table, opponent: pa.Table | None, items: Mapping[str, pa.Table], protocol: str) -> list[Case]:
    """Return the cases of a model's answers, in their order.

    Args:
        answers: artifacts.ANSWERS.
        opponent: the baseline's answers, where the protocol compares two.
        items: {task: its prompts (artifacts.INSTRUCTIONS)}.
    Raises:
        BadInput: an answer's item is not among the prompts; a row of FollowBench that is none.
    """
    prompts = {(task, row["id"]): row for task, rows in items.items() for row in rows.to_pylist()}
    others = {key_of(row): row for row in opponent.to_pylist()} if opponent is not None else {}
    placed = _placed(items) if protocol == "followbench" else {}
    alone = PROTOCOLS[protocol].alone
    made = []
    for row in answers.to_pylist():
        prompt = prompts.get((row["task"], row["id"]))
        if prompt is None:
            raise BadInput(
                f"an answer to {row['task']}/{row['id']}, which is not among the task's prompts; answer the suite again"
            )
        # published answers are one an item, whatever the number of the model's
        other = others.get(key_of(row)) or others.get((row["task"], row["id"], 0))
        case = Case(
            *key_of(row),
            row["category"],
            instruction_of(prompt["messages"]),
            row["answer"],
            None if alone else other["answer"] if other else "",
            lacking=_lacking(row, other, alone),
        )
        if protocol == "followbench":
            one, steps = placed[case.task, case.id]
            if not one.level:
                continue  # an instruction without constraints
            ruled = followbench.satisfied(one, strip(case.answer)) if followbench.by_rule(one) else None
            case = case._replace(steps=steps, group=one.group, level=one.level, ruled=ruled)
        made.append(case)
    return made


def instruction_of(messages: Sequence[Mapping[str, str]]) -> str:
    """Return messages as one text: a single message as it is, a conversation with the roles before what they say."""
    if len(messages) == 1:
        return messages[0]["content"]
    return "\n\n".join(f"{message['role']}: {message['content']}" for message in messages)


def key_of(row: Mapping) -> Key:
    """Return what tells a row from all others of its table."""
    return row["task"], row["id"], row["sample"]


def _lacking(row: Mapping, other: Mapping | None, alone: bool) -> str | None:
    """Return why there is nothing to judge."""
    if not alone and other is None:
        return "the baseline has no answer"
    too_long = row["finish_reason"] in _TOO_LONG or (other is not None and other["finish_reason"] in _TOO_LONG)
    return "prompt too long" if too_long else None


def _placed(items: Mapping[str, pa.Table]) -> dict[tuple[str, str], tuple[followbench.Item, tuple[str, ...]]]:
    """Return FollowBench's items with their instructions, from the plain one to their own; groups are numbered within a task."""
    groups: dict[tuple[str, int], dict[int, tuple[str, followbench.Item, str]]] = defaultdict(dict)
    for task, rows in items.items():
        for row in rows.to_pylist():
            one = _followbench_item(task, row)
            levels = groups[task, one.group]
            if one.level in levels:
                raise BadInput(
                    f"task {task}: group {one.group} has two rows of level {one.level}; "
                    "make one task of each of FollowBench's files, since each numbers its groups anew"
                )
            levels[one.level] = row["id"], one, instruction_of(row["messages"])
    return {
        (task, id): (one, tuple(levels[lower][2] for lower in sorted(levels) if lower <= level))
        for (task, _), levels in groups.items()
        for level, (id, one, _) in levels.items()
    }


def _followbench_item(task: str, row: Mapping) -> followbench.Item:
    try:
        return followbench.item(json.loads(row["answer"]))
    except (TypeError, ValueError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(
            f"task {task}: item {row['id']} has no JSON as its answer; `fields.answer` needs the columns of FollowBench"
        ) from error
