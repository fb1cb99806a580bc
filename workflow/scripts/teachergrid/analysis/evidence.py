"""Which of a grid's scores may be called primary: those by judges that have no reason to favour a teacher, or the primary metric.

Two kinds of judges have such a reason. One is of the family of a teacher or base, or is that very model: it may favour what its kin
writes. The other decides by a reward that the primary metric uses, too, or by which the rows of a corpus were chosen: that the two
agree is circular. AP is the mean of the scores by all other judges, unless the grid names a judge in `primary_judges`. Where no other
score is left, AP keeps them all, and says so.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ..metrics.variants import Metric


class Primary(NamedTuple):
    """What AP is the mean of."""

    scores: list[str]  # of the grid's `performance`
    left_out: dict[str, str]  # {score that is no part of AP: why, in words}
    evidence: list[str]  # what AP rests on, as sentences, where a judge behind it is not independent


def circular(judges: Mapping[str, Mapping], entries: Mapping[str, Mapping]) -> dict[str, list[str]]:
    """Return {judge: the metrics that use the reward by which it decides}. That such a metric agrees with it proves nothing.

    judges: {name: settings}; entries: of the config's metrics. Judges without such a metric are left out.
    """
    metrics_of = {}
    for name, judge in judges.items():
        shared = [entry for entry, settings in entries.items() if judge.get("reward") in Metric(settings).rewards]
        if judge.get("reward") and shared:
            metrics_of[name] = shared
    return metrics_of


def circular_in_ap(settings: Mapping) -> dict[str, list[str]]:
    """Return `circular` of the judges whose scores are AP, or part of it. settings: of `summary.summarise`."""
    judges = settings.get("judges", {})
    names = set(map(judge_of, settings["grid"]["performance"]))
    return circular({name: judges[name] for name in sorted(names & set(judges))}, settings["metrics"])


def judge_of(score: str) -> str:
    """Return the judge of a score, suite/judge/..."""
    return score.split("/")[1]


def primary(settings: Mapping) -> Primary:
    """Return what AP is the mean of, and what it rests on. settings: of `summary.summarise`."""
    grid = settings["grid"]
    reasons = _reasons(settings)
    wanted = set(grid.get("primary_judges") or [])
    doubted = {score: reasons[judge] for score in grid["performance"] if (judge := judge_of(score)) in reasons}
    left_out = {score: why for score, why in doubted.items() if judge_of(score) not in wanted}
    kept = [score for score in grid["performance"] if score not in left_out]
    if not kept:
        kept, left_out = list(grid["performance"]), {}
    shown = {judge_of(score): reason for score, reason in doubted.items() if score in kept}
    return Primary(kept, left_out, _sentences(shown, {*map(judge_of, kept)}))


def with_primary(settings: Mapping, found: Primary) -> dict:
    """Return the settings of `summary.summarise` with AP as the mean of what may be called primary."""
    grid = settings["grid"]
    weights = {name: weight for name, weight in (grid.get("weights") or {}).items() if name in found.scores}
    return {**settings, "grid": {**grid, "performance": found.scores, "weights": weights}}


def _reasons(settings: Mapping) -> dict[str, str]:
    """Return {judge behind `performance`: why it may favour a teacher or the primary metric}."""
    reasons = {}
    corpora = settings.get("corpora", {}).items()
    shared, metric = circular_in_ap(settings), settings["grid"]["primary"]
    for judge in sorted(set(map(judge_of, settings["grid"]["performance"]))):
        kin = (settings.get("kin") or {}).get(judge)
        reward = settings.get("judges", {}).get(judge, {}).get("reward")
        parts = [in_words(kin["family"], kin["names"])] if kin else []
        if metric in shared.get(judge, []):
            parts.append(f"decides by the reward {reward}, which the primary metric {metric} uses")
        if chosen := sorted(name for name, corpus in corpora if reward and reward in corpus.get("rewards", [])):
            parts.append(f"decides by the reward {reward}, by which the rows of {_listed(chosen)} were chosen")
        if parts:
            reasons[judge] = " and ".join(parts)
    return reasons


def in_words(family: str | None, names: Iterable[str]) -> str:
    """Return whose kin a judge is. family: None where it is the very model of these teachers and bases."""
    listed = _listed(sorted(names))
    return f"is the model behind {listed}" if family is None else f"is of the family {family}, as {listed}"


def _listed(names: list[str], shown: int = 4) -> str:
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")


def _sentences(shown: Mapping[str, str], judges: set[str]) -> list[str]:
    """Return what AP rests on. shown: {judge that is not independent: why}. judges: all behind AP."""
    if not shown:
        return []
    listed = "; ".join(f"{judge}, which {reason}" for judge, reason in shown.items())
    what = f"judge{'s that are' if len(shown) > 1 else ' that is'} not independent: {listed}"
    if judges == {*shown}:
        return [f"Performance rests on {'a ' * (len(shown) == 1)}{what}. No independent score confirms it."]
    return [f"Part of performance is by {'a ' * (len(shown) == 1)}{what}. `primary_judges` wants it so."]
