"""Scores in addition to AP, such as the win rate of a judge; how far judges can be trusted; and verdicts to read."""

from collections import Counter

from ..analysis.evidence import in_words, judge_of
from ..pages import text
from .data import PageData, Row, places

CHECKER = "verify"  # checks answers; it is no judge
LOG_PROBABILITY = ":log_probability"  # ends the name of a mean over tokens, which is shown as a loss
COMMAND = "teachergrid calibrate-judge"
NONE_YET = (
    "nothing shows how far it can be trusted: it saw each pair in one order, and no second judge decided. Let a second judge, or the same "
    f"with `order: both`, judge the suite; `{COMMAND}` then tells it"
)


def tables(data: PageData) -> list[dict]:
    """Return per score {"name", "what": its numbers are, "judge": its `marks`, "columns", "rows"}.

    Scores are those of suites, of the tasks of suites that have several, and what a checker or judge measures of a task beside its
    score. A score is left out where it alone is AP.
    """
    primary = data.settings["grid"].get("performance") or []
    rows = data.inputs["performance"]
    names = dict.fromkeys(row["measure"] for row in rows if row["measure"].count("/") in (1, 2))
    tasks = Counter(name.rpartition("/")[0] for name in names if name.count("/") == 2 and ":" not in name)
    shown = [name for name in names if name.count("/") == 1 or ":" in name or tasks[name.rpartition("/")[0]] > 1]
    return [_table(data, name, [row for row in rows if row["measure"] == name]) for name in shown if [name] != primary]


def _table(data: PageData, name: str, rows: list[dict]) -> dict:
    columns = places(data)
    row_of = {(row["base"], row["panel"] if row["kind"] == "student" else None, _name(row)): row for row in rows}
    lines = []
    for unit in dict.fromkeys(map(_name, rows)):
        cell_rows = [row_of.get((base, panel, unit)) or row_of.get((base, None, unit)) or {} for base, panel in columns]
        values = [(row.get("value"), row.get("low"), row.get("high")) for row in cell_rows]
        shown = _loss if name.endswith(LOG_PROBABILITY) else text.within
        lines.append({"name": unit, "cells": [{"value": v[0], "text": shown(*v)} for v in values]})
    title = f"{name.removesuffix(LOG_PROBABILITY)}: loss, nats a token" if name.endswith(LOG_PROBABILITY) else name
    return {"name": title, "what": _what(data, name), "judge": marks(data, name), "columns": columns, "rows": lines}


def _what(data: PageData, name: str) -> str:
    """Return what the numbers of a score are."""
    if name.endswith(LOG_PROBABILITY):
        return "The mean loss of a token of the reference answers under the model, lower is better"
    if judge_of(name) in data.inputs["losses"]:
        return "The probability that the model gives a token of the reference answers, their geometric mean, 0 to 100"
    return "The share of items won or right, 0 to 100"


def _loss(value: float | None, low: float | None, high: float | None) -> str:
    """Return a mean log-probability, in hundredths of a nat, as the loss that it is."""
    loss, least, most = (None if end is None else 0.0 - end / 100 for end in (value, high, low))
    return text.within(loss, least, most, digits=3)


def _name(row: dict) -> str:
    return row["unit"] if row["kind"] == "student" else row["model"]


def marks(data: PageData, score: str) -> dict:
    """Return what a page says of a score's judge wherever it shows the score.

    score: suite/judge/... Returns: {"circular": metrics that use the judge's reward, "kin": whose kin the judge is, in words, or None,
        "trust": how far it can be trusted, as a sentence, or None for a checker and for a loss}.
    """
    suite, judge = score.split("/")[:2]
    kin = data.settings["kin"].get(judge)
    return {
        "circular": data.inputs["circular"].get(judge, []),
        "kin": in_words(kin["family"], kin["names"]) if kin else None,
        "trust": None if judge in (CHECKER, *data.inputs["losses"]) else trust(data, suite, judge),
    }


def behind(data: PageData, scores: list[str]) -> list[dict]:
    """Return {"judge", and its `marks`} of the judges of several scores, each judge of a suite once."""
    no_judge = (CHECKER, *data.inputs["losses"])
    named = {"/".join(score.split("/")[:2]): score for score in reversed(scores) if judge_of(score) not in no_judge}
    return [{"score": name, **marks(data, score)} for name, score in sorted(named.items())]


def trust(data: PageData, suite: str, judge: str) -> str:
    """Return what the stored verdicts say about a judge, as a sentence without its name."""
    asked = data.inputs["derived"].get(judge, judge)
    found = next(
        (row for row in data.inputs["trust"]["judges"] if (row["suite"], row["judge"]) == (suite, asked)), None
    )
    if found is None:
        return f"no verdict of it is at hand; `{COMMAND}` tells how far it can be trusted once it has judged"
    pairs = [row for row in data.inputs["trust"]["pairs"] if row["suite"] == suite and asked in row["judges"]]
    position, length, correct = found["position"], found["length"], found["correct"]
    parts = []
    if found["by_reward"]:
        parts.append("it reads one answer at a time, so the order of two cannot matter")
    elif position["n"]:
        first = f", {text.percent(position['to_first'])} of these to the first" if position["flips"] else ""
        parts.append(
            f"the order changes the winner in {text.percent(position['flips'])} of {_n(position)} pairs{first}"
        )
    if length["n"]:
        parts.append(f"the longer answer wins {text.percent(length['longer'])} of {_n(length)}")
    if correct["n"]:
        parts.append(
            f"the right answer wins {text.percent(correct['right'])} of {_n(correct)} over a wrong one, by the checker"
        )
    parts += [_agreement(row, asked) for row in pairs if row["agreement"]["n"]]
    if not pairs:
        known = found["by_reward"] or position["n"] or correct["n"]
        parts.append("no second judge decided, so that agreement is unknown" if known else NONE_YET)
    if found["missing"]:
        parts.append(f"{text.count(found['missing'])} of {text.count(found['verdicts'])} verdicts are missing")
    of = f"as {asked}, whose verdicts it takes: " if asked != judge else ""
    return of + "; ".join(parts)


def _agreement(row: Row, judge: str) -> str:
    """Return how a judge agrees with another one. row: of the pairs of trust.as_json."""
    other = next(name for name in row["judges"] if name != judge)
    found, kappa = row["agreement"], text.number(row["agreement"]["kappa"], 2)
    ranks = (
        f", and ranks {row['models']} models with rho {text.number(row['rho'], 2)}" if row["rho"] is not None else ""
    )
    return f"agrees with {other} on {text.percent(found['agreement'])} of {_n(found)} answers (kappa {kappa}){ranks}"


def _n(found: Row) -> str:
    return text.count(found["n"])


# --- verdicts to read

OUTCOMES = {1: "won", 0: "tie", -1: "lost"}


def verdicts(data: PageData) -> list[dict]:
    """Return the verdicts to read by suite: {"suite", "items": rows of the input with marks, outcomes in words, and long texts cut}."""
    by_suite: dict[str, list[dict]] = {}
    for row in data.inputs["verdicts"]:
        others = [f"{judge}: {outcome(score)}" for judge, score in (row.get("others") or {}).items()]
        by_suite.setdefault(row["suite"], []).append(
            {
                **row,
                "question": text.clipped(row.get("question"), 1500),
                "answer": text.clipped(row.get("answer")),
                "opponent_answer": text.clipped(row.get("opponent_answer")),
                "outcome": outcome(row.get("score")),
                "others": others,
                "orders": [_order(order) for order in row.get("orders") or []],
                "mark": marks(data, f"{row['suite']}/{row['judge']}"),
            }
        )
    return [{"suite": suite, "items": items} for suite, items in by_suite.items()]


def _order(order: Row) -> Row:
    return {**order, "outcome": outcome(order.get("score")), "text": text.clipped(order.get("text"))}


def outcome(score: float | None) -> str:
    """Return won, tie or lost, from the model's view."""
    return "no verdict" if score is None else OUTCOMES[(score > 0.5) - (score < 0.5)]
