"""Verdicts of judges to read side by side: where judges disagree, where the order of the answers decides, ties, and a usual one.

Which are shown follows a rule and a hash, never what they say: of each suite the largest disagreements of two judges about one answer, then
for each judge a verdict that the order turns round, a tie, and a decided one, each drawn by the sha256 of its key.
"""

import hashlib
from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from ..store import artifacts, origin

DISAGREE, FLIP, TIE, USUAL = "two judges disagree", "the order decides", "a tie", "a decided verdict"
OF_EACH = {DISAGREE: 2, FLIP: 1, TIE: 1, USUAL: 1}  # how many a suite shows: of all judges together, then of each
AT_MOST = 6  # of a suite
NO_JUDGE = ("identical", "empty", "baseline empty")  # verdicts that needed none
COLUMNS = ["task", "id", "sample", "score", "first", "second", "verdict"]
Item = tuple[str, str, int]  # task, id, sample


class Chosen(NamedTuple):
    """A verdict that is shown. rank: the least come first."""

    rank: tuple[float, str]
    why: str
    suite: str
    judge: str
    model: str
    item: Item
    others: dict[str, float | None]  # {other judge: its score of the same answer}


def shown(paths: Iterable[str | Path]) -> list[dict]:
    """Return the verdicts to show, with the texts that were judged and what the judge said.

    Args:
        paths: of artifacts.SCORES, `{results}/scores/{model}/{suite}/{judge}.parquet`, by judges that decide themselves.
    Returns: {"suite", "judge", "model", "task", "id", "why", "score", "verdict", "answer", "opponent": its name or None,
        "opponent_answer", "orders": [{"order", "score", "text"}], "others": {judge: score}}.
    """
    files = {path.with_suffix("").parts[-3:]: path for path in map(Path, paths)}
    rows = []
    for suite in sorted({suite for _, suite, _ in files}):
        of_suite = {(model, judge): path for (model, where, judge), path in files.items() if where == suite}
        rows += [_row(one, files[one.model, suite, one.judge]) for one in _chosen(suite, of_suite)]
    return rows


def _chosen(suite: str, files: Mapping[tuple[str, str], Path]) -> list[Chosen]:
    """Return the verdicts of a suite that are shown. files: {(model, judge): scores}."""
    best: dict[tuple[str, str], list[Chosen]] = {}
    for model in sorted({model for model, _ in files}):
        scores = {judge: _scores(path) for (name, judge), path in files.items() if name == model}
        for one in _candidates(suite, model, scores):
            key = (one.why, "" if one.why == DISAGREE else one.judge)
            best[key] = sorted([*best.get(key, []), one])[: OF_EACH[one.why]]
    chosen: dict[tuple[str, str, Item], Chosen] = {}
    for why in OF_EACH:
        for (reason, _), several in sorted(best.items()):
            for one in several if reason == why else ():
                chosen.setdefault((one.model, one.judge, one.item), one)
    return [*chosen.values()][:AT_MOST]


def _candidates(suite: str, model: str, scores: Mapping[str, Mapping[Item, dict]]) -> Iterable[Chosen]:
    """Yield the verdicts on a model's answers that may be shown."""
    for one, other in combinations(sorted(scores), 2):
        for item, row in scores[one].items():
            second = scores[other].get(item)
            if second is not None and _side(row["score"]) != _side(second["score"]):
                apart = float(abs(_side(row["score"]) - _side(second["score"])))
                rank = (-apart, _digest(suite, model, one, *map(str, item)))
                yield Chosen(rank, DISAGREE, suite, one, model, item, {other: second["score"]})
    for judge, rows in scores.items():
        for item, row in rows.items():
            rank = (0.0, _digest(suite, model, judge, *map(str, item)))
            yield Chosen(rank, _kind(row), suite, judge, model, item, {})


def _side(score: float) -> int:
    """Return 1 for won, 0 for a tie, -1 for lost."""
    return (score > 0.5) - (score < 0.5)


def _kind(row: dict) -> str:
    first, second = row["first"], row["second"]
    if first is not None and second is not None and _side(first) * _side(second) < 0:
        return FLIP
    return TIE if row["score"] == 0.5 else USUAL


def _scores(path: Path) -> dict[Item, dict]:
    """Return the verdicts that a judge has given."""
    rows = artifacts.read(path, artifacts.SCORES, COLUMNS).to_pylist()
    known = (row for row in rows if row["score"] is not None and row["verdict"] not in NO_JUDGE)
    return {_item(row): row for row in known}


def _item(row: Mapping) -> Item:
    return row["task"], row["id"], row["sample"]


def _digest(*parts: str) -> str:
    return hashlib.sha256("/".join(parts).encode()).hexdigest()


# --- the texts


def _row(one: Chosen, path: Path) -> dict:
    """Return a verdict as it is shown. path: of its scores, which say from which files they were made."""
    made_from = [path.parents[4] / name for name in (origin.read(path) or {}).get("inputs", {})]
    answers = [name for name in made_from if name.parts[-3:-2] == ("answers",) and name.exists()]
    others = [name for name in answers if name.parent.name != one.model]
    judged = _scores(path)[one.item]
    own = next((name for name in answers if name not in others), None)
    return {
        **{key: getattr(one, key) for key in ("suite", "judge", "model", "why", "others")},
        **dict(zip(("task", "id"), one.item, strict=False)),
        "score": judged["score"],
        "verdict": judged["verdict"],
        "answer": _text(own, one.item),
        "opponent": others[0].parent.name if others else None,
        "opponent_answer": _text(others[0], one.item) if others else None,
        "orders": _orders(one, judged, made_from),
    }


def _text(path: Path | None, item: Item) -> str | None:
    """Return an answer, None where there is none."""
    if path is None:
        return None
    rows = artifacts.read(path, artifacts.ANSWERS, ["task", "id", "sample", "answer"])
    return next((row["answer"] for row in rows.to_pylist() if _item(row) == item), None)


def _orders(one: Chosen, judged: Mapping, made_from: Iterable[Path]) -> list[dict]:
    """Return what the judge said in each order in which it saw the answers; [] for a reward, which says nothing."""
    scores = {"model first": judged["first"], "model second": judged["second"], "alone": judged["score"]}
    files = [name for name in made_from if name.parts[-4:-3] == ("verdicts",) and name.exists()]
    said = (row for name in files for row in artifacts.read(name, artifacts.VERDICTS).to_pylist())
    return [
        {"order": row["order"], "score": scores.get(row["order"]), "text": row["text"]}
        for row in said
        if _item(row) == one.item
    ]
