"""What the stored verdicts of a folder of results say about its judges: of each judge alone, and of each two that judged the same suite."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from ..store import artifacts, origin
from . import calibration
from .calibration import Agreement, Cost, Item, Length, Position
from .protocols import Case, Verdict

_NO_JUDGE = ("identical", "empty", "baseline empty")  # verdicts that needed none


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
    cost: Cost


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
    cases: list[Case]
    verdicts: list[Verdict]
    cost: list[float | None]
    reasons: Counter[str]


def calibrated(results: Path) -> Found:
    """Return the numbers of all language models that have judged. results: the folder."""
    judged: dict[tuple[str, str], _Judged] = {}
    for path in sorted((results / "verdicts").glob("*/*/*.parquet")):
        model, suite, judge = path.relative_to(results / "verdicts").with_suffix("").parts
        scored = results / "scores" / model / suite / f"{judge}.parquet"
        if scored.exists():
            part = judged.setdefault((suite, judge), _Judged({}, [], [], [], Counter()))
            _add(part, scored, model, results.parent)
    judges = [_of_judge(suite, judge, part) for (suite, judge), part in judged.items()]
    pairs = [
        _of_pair(suite, (one, other), judged[suite, one], judged[suite, other])
        for (suite, one), (suite_too, other) in combinations(judged, 2)
        if suite == suite_too
    ]
    return Found(judges, pairs)


def _add(part: _Judged, path: Path, model: str, root: Path) -> None:
    """Add the scores of one model. root: of the paths that a file says it was made from."""
    texts = _texts(path, model, root)
    for row in artifacts.read(path, artifacts.SCORES).to_pylist():
        key = row["task"], row["id"], row["sample"]
        part.scores[model, f"{row['task']}", f"{row['id']}/{row['sample']}"] = row["score"]
        if row["score"] is None:
            part.reasons[(row["reason"] or "no reason").partition(":")[0]] += 1
        if row["verdict"] in _NO_JUDGE:
            continue
        answer, opponent = (of_model.get(key) for of_model in texts)
        part.cases.append(Case(*key, None, "", answer or "", opponent))
        part.verdicts.append(Verdict(row["score"], row["verdict"], first=row["first"], second=row["second"]))
        part.cost.append(row["cost"])


def _texts(path: Path, model: str, root: Path) -> tuple[dict, dict]:
    """Return the answers {(task, id, sample): text} of the model and of its opponent, by what the scores were made from."""
    inputs = (origin.read(path) or {}).get("inputs", {})
    answers = [root / name for name in inputs if "answers" in Path(name).parts and (root / name).exists()]
    own = [name for name in answers if name.parent.name == model]
    return _answers(own), _answers([name for name in answers if name.parent.name != model])


def _answers(paths: list[Path]) -> dict[tuple[str, str, int], str]:
    columns = ["task", "id", "sample", "answer"]
    rows = (row for path in paths for row in artifacts.read(path, artifacts.ANSWERS, columns).to_pylist())
    return {(row["task"], row["id"], row["sample"]): row["answer"] for row in rows}


def _of_judge(suite: str, judge: str, part: _Judged) -> JudgeFound:
    missing = sum(score is None for score in part.scores.values())
    return JudgeFound(
        suite,
        judge,
        len({model for model, _, _ in part.scores}),
        len(part.scores),
        missing,
        dict(part.reasons),
        calibration.position(part.verdicts),
        calibration.length(part.cases, part.verdicts),
        calibration.cost(part.cost),
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
            f"  order: {_share(one.position.flips)} of {one.position.n} pairs in both orders change the winner, "
            f"{_share(one.position.to_first)} of these to the answer shown first",
            f"  length: the longer answer wins {_share(one.length.longer)} of {one.length.n}",
            f"  cost: {_usd(one.cost)}",
        ]
    for two in found.pairs:
        kappa = "-" if two.agreement.kappa is None else f"{two.agreement.kappa:.2f}"
        rho = "-" if two.rho is None else f"{two.rho:.3f}"
        text.append(
            f"{two.suite}: {' and '.join(two.judges)} agree on {_share(two.agreement.agreement)} of {two.agreement.n} items "
            f"(kappa {kappa}); Spearman of {two.models} models' means {rho}"
        )
    return text


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _usd(cost: Cost) -> str:
    if cost.usd is None:
        return "unknown: no price is stated"
    return f"{cost.usd:.4g} USD, {cost.usd_each:.2g} a verdict"
