"""What the stored verdicts say about the judges that gave them: of each judge alone, and of each two that judged the same suite.

The command `calibrate-judge` tells it of all results, and a report of the judges of its grid.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from ..store import artifacts, origin
from . import calibration
from .calibration import Agreement, Correct, Cost, Item, Length, Position
from .protocols import Verdict

_NO_JUDGE = ("identical", "empty", "baseline empty")  # verdicts that needed none
Side = dict[
    tuple[str, str, int], tuple[int, float | None]
]  # {(task, id, sample): characters of the answer, its checker's score}


class JudgeFound(NamedTuple):
    """A judge's numbers over all models that it judged in a suite. reasons: {why verdicts are missing: how many}."""

    suite: str
    judge: str
    models: int
    verdicts: int
    missing: int
    reasons: dict[str, int]
    position: Position
    length: Length
    correct: Correct
    cost: Cost
    by_reward: bool = False  # it reads one answer at a time, so that the order of two cannot matter


class PairFound(NamedTuple):
    """How two judges of a suite agree: on items, and on the ranks of models by their mean scores."""

    suite: str
    judges: tuple[str, str]
    agreement: Agreement
    models: int
    rho: float | None


class Found(NamedTuple):
    judges: list[JudgeFound]
    pairs: list[PairFound]


class _Judged(NamedTuple):
    """All that a judge said in a suite."""

    scores: dict[Item, float | None]
    more: list[int]  # by how many characters each answer is longer than its opponent's
    truth: list[
        float
    ]  # by how much a checker's score of each answer is above that of its opponent's; 0 where it is unknown
    verdicts: list[Verdict]
    cost: list[float | None]
    reasons: Counter[str]
    by_reward: bool


def calibrated(results: Path) -> Found:
    """Return the numbers of all judges that have compared or rated answers. results: the folder."""
    return of_files(sorted((results / "scores").glob("*/*/*.parquet")))


def first_hand(paths: Iterable[str | Path]) -> list[Path]:
    """Return the scores by judges that decide themselves: not by checkers, and not derived from another judge's verdicts.

    paths: of artifacts.SCORES, `{results}/scores/{model}/{suite}/{judge}.parquet`.
    """
    return [path for path in map(Path, paths) if _asked(path) or (origin.read(path) or {}).get("rule") == "judge"]


def _asked(path: Path) -> bool:
    """Whether a language model was asked for the verdicts behind these scores."""
    return (path.parents[3] / "verdicts" / path.relative_to(path.parents[2])).exists()


def of_files(paths: Iterable[str | Path]) -> Found:
    """Return the numbers of the judges that gave these scores. paths: as `first_hand` takes them; others are left out."""
    judged: dict[tuple[str, str], _Judged] = {}
    read: dict[Path, Side] = {}
    for path in first_hand(paths):
        model, suite, judge = path.with_suffix("").parts[-3:]
        part = judged.setdefault((suite, judge), _Judged({}, [], [], [], [], Counter(), not _asked(path)))
        _add(part, path, model, _sides(path, model, read))
    judges = [_of_judge(suite, judge, part) for (suite, judge), part in judged.items()]
    pairs = [
        _of_pair(suite, (one, other), judged[suite, one], judged[suite, other])
        for (suite, one), (suite_too, other) in combinations(judged, 2)
        if suite == suite_too
    ]
    return Found(judges, pairs)


def _add(part: _Judged, path: Path, model: str, sides: tuple[Side, Side]) -> None:
    """Add the scores of one model. sides: what is known of the answers of the model, and of its opponent."""
    for row in artifacts.read(path, artifacts.SCORES).to_pylist():
        key = row["task"], row["id"], row["sample"]
        part.scores[model, f"{row['task']}", f"{row['id']}/{row['sample']}"] = row["score"]
        if row["score"] is None:
            part.reasons[(row["reason"] or "no reason").partition(":")[0]] += 1
        if row["verdict"] in _NO_JUDGE:
            continue
        (length, right), (length_too, right_too) = (side.get(key, (0, None)) for side in sides)
        orders = (None, None) if part.by_reward else (row["first"], row["second"])
        part.more.append(length - length_too if length_too else 0)
        part.truth.append(0.0 if right is None or right_too is None else right - right_too)
        part.verdicts.append(Verdict(row["score"], row["verdict"], first=orders[0], second=orders[1]))
        part.cost.append(row["cost"])


def _sides(path: Path, model: str, read: dict[Path, Side]) -> tuple[Side, Side]:
    """Return what is known of the answers of the model, and of its opponent, by what the scores were made from.

    read: opponents that were read before, to which this adds.
    """
    root = path.parents[4]  # of the paths that a file says it was made from
    inputs = (origin.read(path) or {}).get("inputs", {})
    answers = [root / name for name in inputs if "answers" in Path(name).parts and (root / name).exists()]
    own: Side = {}
    other: Side = {}
    for name in answers:
        if name.parent.name == model:
            own |= _side(name)
            continue
        if name not in read:
            read[name] = _side(name)
        other |= read[name]
    return own, other


def _side(path: Path) -> Side:
    """Return the length of each answer of a file, and its checker's score where there is one."""
    columns = ["task", "id", "sample"]
    checked = path.parents[2] / "scores" / path.parent.name / path.stem / "verify.parquet"
    right = artifacts.read(checked, artifacts.SCORES, [*columns, "score"]).to_pylist() if checked.exists() else []
    score = {(row["task"], row["id"], row["sample"]): row["score"] for row in right}
    rows = artifacts.read(path, artifacts.ANSWERS, [*columns, "answer"]).to_pylist()
    keys = [(row["task"], row["id"], row["sample"]) for row in rows]
    return {key: (len(row["answer"]), score.get(key)) for key, row in zip(keys, rows, strict=True)}


def _of_judge(suite: str, judge: str, part: _Judged) -> JudgeFound:
    missing = sum(score is None for score in part.scores.values())
    scores = [verdict.score for verdict in part.verdicts]
    return JudgeFound(
        suite,
        judge,
        len({model for model, _, _ in part.scores}),
        len(part.scores),
        missing,
        dict(part.reasons),
        calibration.position(part.verdicts),
        calibration.length(part.more, scores),
        calibration.correct(part.truth, scores),
        calibration.cost(part.cost),
        part.by_reward,
    )


def _of_pair(suite: str, judges: tuple[str, str], one: _Judged, other: _Judged) -> PairFound:
    models, rho = calibration.rank_agreement(_means(one.scores), _means(other.scores))
    return PairFound(suite, judges, calibration.agreement(one.scores, other.scores), models, rho)


def _means(scores: Mapping[Item, float | None]) -> dict[str, float]:
    of_model: dict[str, list[float]] = defaultdict(list)
    for (model, _, _), score in scores.items():
        if score is not None:
            of_model[model].append(score)
    return {model: sum(values) / len(values) for model, values in of_model.items()}


# --- shown


def as_json(found: Found) -> dict[str, Any]:
    """Return the numbers as JSON holds them."""

    def plain(value: Any) -> Any:
        return {name: plain(item) for name, item in value._asdict().items()} if hasattr(value, "_asdict") else value

    return {"judges": [plain(one) for one in found.judges], "pairs": [plain(one) for one in found.pairs]}


def lines(found: Found) -> list[str]:
    """Return the numbers as text."""
    text = []
    for one in found.judges:
        why = ", ".join(f"{number} {reason}" for reason, number in sorted(one.reasons.items()))
        text += [
            f"{one.suite}/{one.judge}: {one.verdicts} verdicts on {one.models} models, {one.missing} missing"
            + (f" ({why})" if why else ""),
            _order(one),
            f"  length: the longer answer wins {_share(one.length.longer)} of {one.length.n}",
        ]
        if one.correct.n:
            text.append(
                f"  checker: the right answer wins {_share(one.correct.right)} of {one.correct.n} over a wrong one"
            )
        text += [] if one.by_reward else [f"  cost: {_usd(one.cost)}"]
    for two in found.pairs:
        kappa = "-" if two.agreement.kappa is None else f"{two.agreement.kappa:.2f}"
        rho = "-" if two.rho is None else f"{two.rho:.3f}"
        text.append(
            f"{two.suite}: {' and '.join(two.judges)} agree on {_share(two.agreement.agreement)} of {two.agreement.n} items "
            f"(kappa {kappa}); Spearman of {two.models} models' means {rho}"
        )
    return text


def _order(one: JudgeFound) -> str:
    if one.by_reward:
        return "  order: a reward reads one answer at a time, so no order can matter"
    return (
        f"  order: {_share(one.position.flips)} of {one.position.n} pairs in both orders change the winner, "
        f"{_share(one.position.to_first)} of these to the answer shown first"
    )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _usd(cost: Cost) -> str:
    if cost.usd is None:
        return "unknown: no price is stated"
    return f"{cost.usd:.4g} USD, {cost.usd_each:.2g} a verdict"
