"""AutoIF (Dong et al. 2024, arXiv 2406.13542) as steps: from seeds to queries with constraints that functions can check.

    NAME.instruct.asked, NAME.instruct     seeds and the constraints that the evolver invents after them
    NAME.functions.asked, NAME.functions   those whose verifier functions and cases agree
    NAME.back.asked                        the functions, to be said as instructions again
    NAME.nli.asked, NAME.verified          those that no back-translation contradicts
    NAME.r1                                queries of the set `of`, each with a constraint behind it

`as_published` is what arXiv 2412.11231 ran: neither de-duplication nor back-translation, and no fewest number of functions and cases.
What follows are teachers, rewards and corpora as for any set: a reward with a checker of kind `functions` is the execution filter.
"""

from typing import Any

from ..errors import BadInput
from ..spec.ids import Responses
from . import crosscheck, texts
from .steps import Asked, Step

MARKS = {
    "instruct": ("seeds", "number"),
    "functions": ("instruction",),
    "back": ("function",),
    "entailment": ("premise", "hypothesis"),
}


def judge_of(entry: dict[str, Any]) -> str:
    """Return the teacher that says whether a back-translation contradicts its constraint."""
    return entry["autoif"]["nli_by"] or entry["by"]


def teachers(entry: dict[str, Any]) -> list[str]:
    """Return the teachers that an entry reads besides `by`."""
    return [judge_of(entry)]


def check(where: str, entry: dict[str, Any], teachers: dict[str, dict]) -> None:
    """Raise BadInput for an entry that contradicts itself. where: the config's key."""
    own = entry["autoif"]
    for key, usual in (("rounds", 1), ("operators", []), ("equal_by", None)):
        if entry[key] != usual:
            raise BadInput(f"{where}.{key}: method autoif has no such thing; remove the key")
    if own["longest"] <= own["shortest"] + 1:
        raise BadInput(
            f"{where}.autoif.longest: no text has more than {own['shortest']} and fewer than {own['longest']} characters; raise it"
        )
    by = teachers[entry["by"]]
    sampling = teachers.get(by["of"], by)["sampling"]
    if own["functions"] > 1 and not sampling["temperature"] > 0:
        raise BadInput(
            f"{where}.by: teacher '{entry['by']}' is greedy, so that all {own['functions']} functions for a constraint would be the "
            "same; name one with a temperature, or write `autoif: {functions: 1}`"
        )


def steps(asked: Asked) -> list[Step]:
    """Return the steps of an evolution. Raises BadInput for texts that lack a mark, or seeds that are none."""
    entry, own, name = asked.entry, asked.entry["autoif"], asked.name
    published = entry["as_published"]
    where = f"{asked.where}.prompts"
    for text, marks in MARKS.items():
        texts.require(where, text, asked.texts[text], *marks)
    seeds = asked.texts["seeds"]
    if not isinstance(seeds, list) or not seeds or not all(isinstance(one, str) and one.strip() for one in seeds):
        raise BadInput(f"{where}: `seeds` is no list of texts; write each constraint as `- TEXT`")
    if own["shown"] is not None and own["shown"] > len(seeds):
        raise BadInput(f"{asked.where}.autoif.shown: there are {len(seeds)} seeds; lower it, or leave it out")
    constraints = len(seeds) + own["calls"] * own["each"]
    first = _constraints(asked, seeds, constraints)
    functions = _functions(asked, constraints)
    checked = [] if published or not own["back_translated"] else _back_translated(asked, constraints)
    verified = (checked or functions)[-1].name
    number = constraints if own["constraints"] is None else own["constraints"]
    settings = {key: own[key] for key in ("constraints", "queries", "shortest", "longest")}
    joined = Step(
        f"{name}.r1",
        "autoif.join",
        (verified, entry["of"]),
        settings | {"seed": asked.seed},
        number * own["queries"],
        ancestors=(*asked.ancestors, entry["of"]),
    )
    return [*first, *functions, *checked, joined]


def _answers(name: str, teacher: str) -> tuple[str]:
    return (str(Responses(name, teacher)),)


def _constraints(asked: Asked, seeds: list[str], most: int) -> list[Step]:
    own, published = asked.entry["autoif"], asked.entry["as_published"]
    prompts, name = f"{asked.name}.instruct.asked", f"{asked.name}.instruct"
    settings = {
        "text": asked.texts["instruct"],
        "seeds": seeds,
        "calls": own["calls"],
        "each": own["each"],
        "shown": own["shown"],
        # the published run has put the same prompt each time
        "shuffle": not published,
        "seed": asked.seed,
    }
    return [
        Step(prompts, "autoif.instruct.ask", (), settings, own["calls"]),
        Step(
            name,
            "autoif.instruct.read",
            (prompts,),
            {"seeds": seeds, "clean": not published},
            most,
            _answers(prompts, asked.entry["by"]),
        ),
    ]


def _functions(asked: Asked, most: int) -> list[Step]:
    own = asked.entry["autoif"]
    constraints, prompts = f"{asked.name}.instruct", f"{asked.name}.functions.asked"
    samples = own["functions"]
    rule = crosscheck.PUBLISHED if asked.entry["as_published"] else crosscheck.rule_of(own["crosscheck"])
    settings = {**rule._asdict(), "seconds": own["crosscheck"]["seconds"], "megabytes": own["crosscheck"]["megabytes"]}
    return [
        Step(
            prompts,
            "autoif.functions.ask",
            (constraints,),
            {"text": asked.texts["functions"], "samples": samples},
            most * samples,
        ),
        Step(
            f"{asked.name}.functions",
            "autoif.functions.read",
            (constraints, prompts),
            settings,
            most,
            _answers(prompts, asked.entry["by"]),
        ),
    ]


def _back_translated(asked: Asked, most: int) -> list[Step]:
    own, by = asked.entry["autoif"], asked.entry["by"]
    functions, back, nli = (f"{asked.name}.{part}" for part in ("functions", "back.asked", "nli.asked"))
    number = own["back_translated"]
    return [
        Step(back, "autoif.back.ask", (functions,), {"text": asked.texts["back"], "at_most": number}, most * number),
        Step(
            nli,
            "autoif.nli.ask",
            (functions, back),
            {"text": asked.texts["entailment"]},
            most * number,
            _answers(back, by),
        ),
        Step(
            f"{asked.name}.verified",
            "autoif.nli.read",
            (functions, nli),
            {},
            most,
            _answers(nli, judge_of(asked.entry)),
        ),
    ]
