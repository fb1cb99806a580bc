"""Derived judges: the scores of another judge, with what judges like for its own sake held fixed: length, or style.

They need no model and cost nothing. Each answer has one value whose mean is the controlled rate and whose spread is its noise. A rate at
equal style is fitted for each model with the opponent alone, so that it stays when other models come.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from ..data.reasoning import strip
from ..errors import BadInput
from ..hub import needs
from ..stats.battles import Rate, Style, difference, style_controlled
from ..stats.length_control import Anchor, Benchmark, Controlled, Judged, length_controlled
from ..store import artifacts
from .cases import cases, instruction_of
from .protocols import BOTH, Case, Verdict
from .verdicts import coverage, decided, parts, score_row, scores


class Scored(NamedTuple):
    """Scores of a judge (artifacts.SCORES), and what was fitted for them, where something was."""

    table: pa.Table
    fit: dict | None


def scored(
    answers: pa.Table,
    opponent: pa.Table,
    items: Mapping[str, pa.Table],
    rows: pa.Table,
    settings: Mapping,
    gamed: str | None = None,
) -> Scored:
    """Return the scores of a model's answers by what a judge said of them.

    Args:
        answers, opponent: artifacts.ANSWERS.
        items: {task: its prompts}.
        rows: artifacts.VERDICTS.
        settings: {"protocol", "order", "control", "gamed", "gamed_revision"}; the last two where length is controlled by a file of the hub.
        gamed: AlpacaEval's file, where length is controlled by one that is here.
    Raises:
        BadInput: as cases.cases, length_benchmark and by_length do, and where the hub's file was not fetched.
    """
    judged = cases(answers, opponent, items, settings["protocol"])
    verdicts = decided(judged, rows, settings["protocol"], settings["order"] == BOTH)
    table = scores(judged, verdicts, rows, settings["protocol"])
    found = coverage(table)
    print(
        f"{found.n - found.missing} of {found.n} verdicts{''.join(f'; {n}: {why}' for why, n in found.reasons.items())}"
    )
    if settings["control"] == "style":
        controlled, rates = by_style(judged, verdicts, table)
        return Scored(controlled, {name: {"rate": rate.rate, "reason": rate.reason} for name, rate in rates.items()})
    if settings["control"] == "length":
        path = Path(gamed) if gamed else needs.file_of(settings["gamed"], settings["gamed_revision"])
        if len(items) != 1:
            raise BadInput(
                "control of length: the suite has other tasks than AlpacaEval's; judge that in a suite of its own"
            )
        [(name, prompts)] = items.items()
        benchmark = length_benchmark(prompts, opponent.filter(pc.equal(opponent["task"], name)), path)
        controlled, fitted = by_length(judged, table, benchmark)
        return Scored(controlled, {task: _told(fit) for task, fit in fitted.items()})
    return Scored(table, None)


def _told(fit: Controlled) -> dict:
    weights = dict(zip(("length", "difficulty", "model"), fit.weights, strict=True))
    return {"rate": fit.rate, "c": fit.c, "weights": weights, "missing": fit.missing}


def write_fit(path: str, fit: dict | None) -> None:
    """Write what was fitted beside the scores; without a fit there is no such file."""
    if fit is None:
        Path(path).unlink(missing_ok=True)
    else:
        Path(path).write_text(json.dumps(fit, indent=1) + "\n")


# what Arena-Hard counts as style (lmarena/arena-hard-auto, utils/add_markdown_info.py). There a length is in tokens of GPT-4o; here words
# and signs are counted, so that both sides are measured alike without a tokenizer from elsewhere
_CODE = re.compile(r"```([^`]*)```")
_HEADERS = re.compile(r"^#{1,6}\s", re.MULTILINE)
_LISTS = [re.compile(pattern, re.MULTILINE) for pattern in (r"^\s*\d+\.\s", r"^\s*[-*+]\s")]
_BOLD = [re.compile(pattern) for pattern in (r"\*\*[^*\n]+\*\*", r"__[^_\n]+__")]
_TOKEN = re.compile(r"\w+|[^\w\s]")
# columns of AlpacaEval's df_gamed.csv
_INDEX, _DIFFICULTY, _LENGTH, _PREFERENCE = "index", "instruction_difficulty", "std_delta_len", "preference"


def length_benchmark(items: pa.Table, opponent: pa.Table, gamed: Path) -> Benchmark:
    """Return what the control of length needs of AlpacaEval 2.

    Args:
        items: the task's prompts (artifacts.INSTRUCTIONS), all of them in the benchmark's order: the file knows them by their number.
        opponent: its answers to them (artifacts.ANSWERS).
        gamed: AlpacaEval's df_gamed.csv: two baselines that make answers short or long, with the difficulty of each instruction.
    Raises:
        BadInput: the file is none of that kind, or has not one difficulty for each item.
    """
    try:
        rows = pyarrow.csv.read_csv(gamed)
        index, difficulty, length, score = (
            np.asarray(rows[name].to_numpy(), float) for name in (_INDEX, _DIFFICULTY, _LENGTH, _PREFERENCE)
        )
        if not np.isfinite([index, difficulty, length, score]).all() or not ((score >= 0) & (score <= 1)).all():
            raise ValueError("a value is missing, or no share of a win")
    except (pa.ArrowInvalid, KeyError, ValueError) as error:
        raise BadInput(f"{gamed}: not AlpacaEval's df_gamed.csv ({error}); fetch it again") from error
    by_number = dict(zip(index.astype(int).tolist(), difficulty.tolist(), strict=True))
    if sorted(by_number) != [*range(items.num_rows)]:
        raise BadInput(
            f"{gamed}: difficulties of {len(by_number)} instructions, and the task has {items.num_rows}; length can be "
            "controlled only with all of them, in the benchmark's order"
        )
    texts = {row["id"]: instruction_of(row["messages"]) for row in items.select(["id", "messages"]).to_pylist()}
    lengths = {texts[row["id"]]: len(strip(row["answer"])) for row in opponent.to_pylist() if row["id"] in texts}
    return Benchmark(
        {text: by_number[number] for number, text in enumerate(texts.values())},
        lengths,
        Anchor(length, difficulty, score),
    )


def by_length(
    judged: Sequence[Case], table: pa.Table, benchmark: Benchmark, c: float | None = None
) -> tuple[pa.Table, dict[str, Controlled]]:
    """Return artifacts.SCORES of a length-controlled win rate, and {task: what was fitted}, to be stored beside it.

    Only a judge's own scores of AlpacaEval's items can be controlled with its difficulties; with another judge than the benchmark's the
    rate is defined, but not comparable with the leaderboard.

    Args:
        judged: the cases.
        table: artifacts.SCORES of the judge that is controlled, of the same cases.
        benchmark: difficulties by instruction, the opponent's lengths and the anchor.
        c: see length_control.length_controlled.
    Raises:
        BadInput: a case is not of the benchmark, or several answers to one instruction.
    """
    rows = table.to_pylist()
    fitted, made = {}, []
    for task in dict.fromkeys(case.task for case in judged):
        members = [i for i, case in enumerate(judged) if case.task == task]
        known = [
            Judged(judged[i].instruction, rows[i]["score"], len(strip(judged[i].answer)))
            for i in members
            if rows[i]["score"] is not None
        ]
        try:
            fitted[task] = length_controlled(known, benchmark, c)
        except ValueError as error:
            raise BadInput(f"task {task}, control of length: {error}") from error
        values = dict(zip(fitted[task].instructions, fitted[task].values.tolist(), strict=True))
        for i in members:
            value = None if rows[i]["score"] is None else values[judged[i].instruction]
            made.append(_derived(judged[i], rows[i], value, rows[i]["reason"]))
    return artifacts.table(made, artifacts.SCORES), fitted


def by_style(judged: Sequence[Case], verdicts: Sequence[Verdict], table: pa.Table) -> tuple[pa.Table, dict[str, Rate]]:
    """Return artifacts.SCORES of the win rate at the opponent's style, and {task/category: its rate}.

    Args:
        judged, verdicts: of the same cases, by an Arena-Hard protocol or any that compares two answers.
        table: artifacts.SCORES of the judge that is controlled.
    """
    rows = table.to_pylist()
    made: list[dict] = [{} for _ in judged]
    rates = {}
    for part in parts(judged):
        gains = [verdicts[i].gains or _one_battle(verdicts[i].score) for i in part]
        shapes = [
            difference(style_of(strip(judged[i].answer)), style_of(strip(judged[i].opponent or ""))) for i in part
        ]
        rate = style_controlled(gains, np.array(shapes))
        category = judged[part[0]].category
        rates["/".join(filter(None, (judged[part[0]].task, category)))] = rate
        for i, value in zip(part, rate.values.tolist(), strict=True):
            reason = rate.reason or rows[i]["reason"]
            made[i] = _derived(judged[i], rows[i], value, reason) | {"category": category}
    return artifacts.table(made, artifacts.SCORES), rates


def _one_battle(score: float | None) -> tuple[float, ...]:
    return () if score is None else (score,)


def _derived(case: Case, row: dict, value: float | None, reason: str | None) -> dict:
    """Return a row of a derived judge. It has no category: the rate of a part is not the mean of the part's values."""
    return {**score_row(case, value, reason), "category": None, "verdict": row["verdict"]}


def style_of(text: str) -> Style:
    """Return the style of an answer. Code blocks count as length alone."""
    blocks = _CODE.findall(text)
    prose = text
    for block in blocks:  # what stands between the fences goes wherever it stands, the fences stay: as in the source
        prose = prose.replace(block, "")
    lists = sum(len(pattern.findall(prose)) for pattern in _LISTS)
    bold = sum(len(pattern.findall(prose)) for pattern in _BOLD)
    return Style(len(_TOKEN.findall(text)), len(_HEADERS.findall(prose)), lists, bold)
