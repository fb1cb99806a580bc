"""What a model is shown for an item of a benchmark: solved examples, the text around the question, and the texts that end its answer.

A model with a chat template gets a chat: the examples as turns, or as text before the question. A plain reference gets one text, and
nothing around it: with `prompt: "Question: {question}\\nAnswer:"` and `shots.answer: " {answer}"`

    Question: 1+1?
    Answer: 2

    Question: 2+2?
    Answer:

Ids are those of the raw items, so that another prompt gives other answers to the same items.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from ..data import loading
from ..engines.requests import Sampling
from ..errors import BadInput
from ..models.templates import plain
from ..spec.settings import AnswerSettings, ChatSettings
from ..store import artifacts

QUESTION = "{question}"
# how a task is put where its settings say nothing
USUAL: dict[str, Any] = {"prompt": None, "shots": 0, "stop": [], "turns": True}
ANSWER = "{answer}"


class Example(NamedTuple):
    """A solved example. id: of the item that it is; None for one of the config. columns: what a prompt may show beside the question."""

    id: str | None
    question: str
    answer: str
    columns: dict[str, str]


def asked(
    items: Mapping[str, pa.Table], settings: AnswerSettings, examples: Mapping[str, Sequence[Example]]
) -> tuple[dict[str, pa.Table], ChatSettings]:
    """Return the items of each task with the messages that the model gets, and the chat settings with which it gets them.

    Args:
        items: {task: its raw items (artifacts.INSTRUCTIONS)}.
        settings: as answer.answer has them.
        examples: {task: its examples}, for tasks that show any.
    """
    format, chat = settings["format"], settings["chat"]
    hows = {task: how_of(settings["tasks"][task], format) for task in items}
    if all(how == {**USUAL, "stop": how["stop"]} for how in hows.values()):
        return dict(items), chat
    if format == "chat":
        return {
            task: _mapped(table, hows[task], settings["tasks"][task], examples.get(task, ()))
            for task, table in items.items()
        }, chat
    # all texts of the job are whole, so that none gets the reference's own text around it
    whole: dict[str, pa.Table] = {}
    for task, table in items.items():
        how = {**hows[task], "turns": False}
        if how["prompt"] is None:
            how["prompt"] = chat["plain"]
        whole[task] = _mapped(table, how, settings["tasks"][task], examples.get(task, ()), plainly=True)
    return whole, {**chat, "plain": QUESTION}


def how_of(task: Mapping[str, Any], format: str) -> dict[str, Any]:
    """Return how a task is put to models of a format: prompt, shots, stop, turns."""
    return {**USUAL, **task.get(format, {})}


def sampling_of(task: Mapping[str, Any], format: str) -> Sampling:
    """Return how a task's answers are drawn, with the texts that end them."""
    sampling: Sampling = task["sampling"]
    stop = how_of(task, format)["stop"]
    return {**sampling, "stop": list(stop)} if stop else sampling


def examples_of(tasks: Mapping[str, Mapping[str, Any]], paths: Sequence[str], format: str) -> dict[str, list[Example]]:
    """Return {task: its examples}, one more than are shown, since an item is no example for itself.

    Args:
        tasks: {task: settings}, with `shots` where it shows examples.
        paths: files of the tasks that have them from a file, in the order of their sorted names.
    Raises:
        BadInput: there are too few, or one has no answer.
    """
    found: dict[str, list[Example]] = {}
    files = iter(paths)
    for name in sorted(tasks):
        number, shots = how_of(tasks[name], format)["shots"], tasks[name].get("shots", {})
        if not number:
            continue
        if shots.get("examples"):
            found[name] = [Example(None, one["question"], one["answer"], {}) for one in shots["examples"]]
        else:
            entry = {"fields": shots.get("fields", {})}
            rows = loading.items_of(next(files), entry, f"{name}, examples").slice(0, number + 1).to_pylist()
            found[name] = [_example(row, name) for row in rows]
        if len(found[name]) < number:
            raise BadInput(f"task {name}: {number} examples are to be shown and there are {len(found[name])}")
    return found


def _example(row: dict, task: str) -> Example:
    if row["answer"] is None:
        raise BadInput(f"task {task}: the example {row['id']} has no answer; name its column as `shots.fields.answer`")
    return Example(row["id"], _question(row["messages"]), row["answer"], columns_of(row["answer"]))


def _question(messages: Sequence[Mapping[str, str]]) -> str:
    return messages[-1]["content"]


def columns_of(answer: str | None) -> dict[str, str]:
    """Return the columns that an item's answer holds as texts, lists with an item a line; {} where it is a bare answer.

    Lines end with \\n, also where a source has \\r\\n, as MBPP's programs do.
    """
    try:
        columns = json.loads(answer or "")
    except ValueError:
        return {}
    if not isinstance(columns, dict):
        return {}
    texts = {
        name: "\n".join(map(str, value)) if isinstance(value, list) else str(value) for name, value in columns.items()
    }
    return {name: text.replace("\r\n", "\n") for name, text in texts.items()}


def filled(template: str, values: Mapping[str, str]) -> str:
    """Return a template with each {name} replaced, in one pass, since a question may hold {answer} itself. Other braces stay."""
    return re.sub(r"\{([^{}]*)\}", lambda match: values.get(match[1], match[0]), template)


def _mapped(
    table: pa.Table, how: dict[str, Any], task: Mapping[str, Any], examples: Sequence[Example], plainly: bool = False
) -> pa.Table:
    """Return items with the messages that a model gets. plainly: all user turns are one text, as in the plain format."""
    rows = table.to_pylist()
    template = how["prompt"] or QUESTION
    answer = task.get("shots", {}).get("answer", ANSWER)
    for row in rows:
        shown = [one for one in examples if one.id != row["id"]][: how["shots"]]
        pairs = [
            (
                filled(template, {**one.columns, "question": one.question}),
                filled(answer, {**one.columns, "answer": one.answer}),
            )
            for one in shown
        ]
        before, question = row["messages"][:-1], _question(row["messages"])
        if plainly:
            question, _ = plain(row["messages"], {"plain": QUESTION, "template": "own", "template_args": {}})
            before = []
        text = filled(template, {**columns_of(row["answer"]), "question": question})
        row["messages"] = _messages(before, pairs, text, how["turns"])
    return artifacts.table(rows, artifacts.INSTRUCTIONS)


def _messages(before: list[dict], pairs: list[tuple[str, str]], text: str, turns: bool) -> list[dict]:
    """Return the messages of an item. before: those of the item before its question; pairs: examples as (prompt, answer)."""
    if not turns:
        return [*before, {"role": "user", "content": "\n\n".join([*map("".join, pairs), text])}]
    system = [message for message in before if message["role"] == "system"]
    shown = [
        message
        for prompt, answer in pairs
        for message in (
            {"role": "user", "content": prompt},
            {"role": "assistant", "content": answer.strip()},
        )
    ]
    return [*system, *shown, *(m for m in before if m["role"] != "system"), {"role": "user", "content": text}]
