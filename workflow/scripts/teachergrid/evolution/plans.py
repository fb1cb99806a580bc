"""The steps of Evol-Instruct and of Auto Evol-Instruct: rounds of rewriting, each a set of prompts and a set of what came of them."""

from typing import Any

from ..errors import BadInput
from ..hub.pins import is_data_set
from ..spec.canonical import picked
from ..spec.ids import Responses
from ..spec.spelling import known
from . import elimination, texts
from .steps import Asked, Step


def evol_instruct(asked: Asked) -> list[Step]:
    """Return the steps of Evol-Instruct (WizardLM, 2304.12244): each round an operator rewrites each instruction."""
    operators, frames, where = asked.texts["operators"], asked.texts["frames"], asked.where
    prompts: dict[str, str] = {}
    for name in asked.entry["operators"] or asked.texts["order"]:
        known(f"{where}.operators", name, operators)
        value = operators[name]
        operator = {"frame": "rewrite", "duty": value} if isinstance(value, str) else value
        if {*operator} != {"frame", "duty"}:
            raise BadInput(
                f"{where}.prompts: operator `{name}` needs a `frame` and a `duty`, or is a text; write either"
            )
        known(f"{where}.prompts, operator `{name}`", operator["frame"], frames)
        prompts[name] = texts.filled(frames[operator["frame"]], {"duty": operator["duty"].strip()})
        texts.require(f"{where}.prompts", name, prompts[name], "instruction")
    return _rounds(asked, prompts, [], ())


def auto_evol(asked: Asked) -> list[Step]:
    """Return the steps of Auto Evol-Instruct (2406.00770): one method text, in whose sections the model plans its own changes."""
    if asked.entry["operators"]:
        raise BadInput(f"{asked.where}.operators: the method has none, a model plans its own changes; remove the key")
    texts.require(f"{asked.where}.prompts", "method", asked.texts["method"], "instruction")
    return _rounds(asked, {"auto": asked.texts["method"]}, asked.texts["final"], asked.tables)


def _rounds(asked: Asked, prompts: dict[str, str], final: list[str], tables: tuple[tuple[str, str], ...]) -> list[Step]:
    entry, chain, steps = asked.entry, [asked.entry["of"]], list[Step]()
    published = entry["as_published"]
    failed = "drop" if published else entry["failed"]
    beside, file = _beside(asked)
    pool: dict[str, Any] = {"retry": failed == "retry", **beside}
    for number in range(1, entry["rounds"] + 1):
        name, before, most = f"{asked.name}.r{number}", (*asked.ancestors, *chain), asked.seeds
        schedule = "paper" if published else entry["schedule"]
        how = {"round": number, "texts": prompts, "schedule": schedule, **pool}
        if schedule == "random":
            how["seed"] = asked.seed
        prompt = Step(
            f"{name}.asked", "rewrite.ask", tuple(chain), how, most, tables=tables, ancestors=before, file=file
        )
        judged = entry["equal_by"] is not None and not published
        read = {
            **pool,
            "published": published,
            "final": final,
            "keep": failed == "keep" and not judged,
            "labels": asked.texts["labels"],
            "eliminate": [] if published else rules(asked),
            "least_change": entry["least_change"],
            "most_words": entry["most_words"],
        }
        replies = (str(Responses(prompt.name, entry["by"])),)
        result = f"{name}.drafts" if judged else name
        steps += [
            prompt,
            Step(result, "rewrite.read", (*chain, prompt.name), read, most, replies, ancestors=before, file=file),
        ]
        if judged:
            steps += _judged(asked, name, tuple(chain), {"retry": pool["retry"]}, failed == "keep")
        chain.append(name)
    return steps


def _beside(asked: Asked) -> tuple[dict[str, Any], str | None]:
    """Return (settings with which the texts below the instructions are read again, the file that holds them; None: a hub set)."""
    if asked.entry["input"] == "evolve":
        return {}, None
    if asked.source is None:
        raise BadInput(
            f"{asked.where}.input: `beside` needs a set with a `source`, and '{asked.entry['of']}' is made from others; write `input: "
            "evolve`, or evolve the set with the source"
        )
    if is_data_set(asked.source):
        return {"beside": picked(asked.source, "fields", "turns", "source", "revision", "split")}, None
    return {"beside": picked(asked.source, "fields", "turns")}, asked.source["source"]


def _judged(asked: Asked, name: str, chain: tuple[str, ...], pool: dict[str, Any], keep: bool) -> list[Step]:
    """Return the steps in which a model is asked which rewritten instructions are equal to their parents."""
    text, drafts, question = asked.texts["equal"], f"{name}.drafts", f"{name}.equal"
    texts.require(f"{asked.where}.prompts", "equal", text["question"], "parent", "instruction")
    before = (*asked.ancestors, *chain)
    replies = (str(Responses(question, asked.entry["equal_by"])),)
    return [
        Step(
            question,
            "equal.ask",
            (*chain, drafts),
            {"text": text["question"], **pool},
            asked.seeds,
            ancestors=(*before, drafts),
        ),
        Step(
            name,
            "equal.read",
            (*chain, drafts, question),
            {"equal": text["same"], "keep": keep, **pool},
            asked.seeds,
            replies,
            ancestors=before,
        ),
    ]


def rules(asked: Asked) -> list[str]:
    """Return the rules of elimination of an entry, in the order in which they are tried. Raises BadInput for an unknown one."""
    for name in asked.entry["eliminate"]:
        known(f"{asked.where}.eliminate", name, elimination.RULES)
    return [name for name in elimination.RULES if name in asked.entry["eliminate"]]
