"""The answer of a grid in plain data: what to take for each base, how sure that is, and what cannot be said."""

from ..analysis.correlations import WITHOUT_SELF_PAIRS
from ..analysis.evidence import circular_in_ap
from ..analysis.performance import AP, Performance, Unit
from ..analysis.scores import UNIT_WORDS
from ..metrics.variants import Metric
from ..stats import sample_size
from . import conclusions

# columns of artifacts.PERFORMANCE that an answer repeats for its best unit
OF_THE_BEST = (
    *("value", "low", "high", "p_best", "gain", "gain_low", "gain_high", "p_gain"),
    *("corpus", "teacher", "recipe", "seeds", "self_pair"),
)


def recommendation(
    settings: dict,
    units: list[Unit],
    performance: Performance,
    correlations: list[dict],
    effects: list[dict],
    missing: list[str],
) -> dict:
    """Return {"bases": {base: answer}, "known" and "cannot_say": [sentences], "next": what to run, "gated", "missing"}, of plain YAML types.

    An answer is that of the base's best panel; with several panels all of them are listed under "panels".

    Args:
        correlations, effects: rows of artifacts.CORRELATIONS and EFFECTS.
        missing: what the grid needs and does not have, in words.
    """
    bases: dict[str, dict] = {}
    doubts: list[tuple[str, str]] = []  # (base, or base and panel; sentence)
    for base in dict.fromkeys(unit.base for unit in units):
        untuned, panels = performance.untuned.get(base), {}
        for panel in dict.fromkeys(unit.panel for unit in units if unit.base == base):
            rows = [row for row in _ap(performance.rows, "student") if (row["base"], row["panel"]) == (base, panel)]
            rows = [row for row in rows if row.get("value") is not None]
            panels[panel] = _answer(settings, rows, performance, base, panel, correlations)
            panels[panel]["detectable"] = _detectable(base, panel, effects)
            limit = settings["grid"]["smallest_difference"]
            panels[panel] |= conclusions.equals(effects, base, panel, limit)
            panels[panel]["front"] = conclusions.on_the_front(effects, base, panel)
            where = base if len(panels) == 1 else f"{base} ({panel})"
            doubts += [(where, text) for text in _doubts(settings, rows, panels[panel], untuned)]
        best = max(panels, key=lambda panel: -1 if panels[panel]["value"] is None else panels[panel]["value"])
        bases[base] = {**panels[best], **({"panels": panels} if len(panels) > 1 else {})}
    gated = {unit.corpus: unit.gated for unit in units if unit.gated}
    names = _planned_metrics(correlations)
    doubts_of_all = conclusions.unknown(effects, bases, names) + _about_all(list(bases), list(gated), missing)
    return {
        "compare": settings["grid"]["compare"],
        "performance": list(settings["grid"]["performance"]),
        "bases": bases,
        "known": conclusions.known(settings, bases, effects, names),
        "cannot_say": _grouped(doubts) + doubts_of_all,
        "next": conclusions.proposals(units, effects),
        "gated": gated,
        "missing": missing,
    }


def _planned_metrics(correlations: list[dict]) -> dict[str, str]:
    """Return {metric: its name in the config} of the primary metric and then the baselines; {} without a primary one."""
    roles = {row["metric"]: (row["role"], row["entry"]) for row in correlations if row["own"]}
    found = {role: {m: entry for m, (own, entry) in roles.items() if own == role} for role in ("primary", "baseline")}
    own = {metric: entry for metric, entry in found["primary"].items() if not metric.endswith(WITHOUT_SELF_PAIRS)}
    return {**own, **found["baseline"]} if own else {}


def teachers_of(settings: dict, cell: dict) -> list[str]:
    """Return the teachers whose responses the corpus of a student (or of a unit's row) holds."""
    if cell["teacher"]:
        return [cell["teacher"]]
    return settings.get("corpora", {}).get(cell["corpus"], {}).get("teachers", [])


def terms(settings: dict, cell: dict, key: str) -> str | None:
    """Return the licence or output_terms of these teachers, or None where none states any."""
    texts = [settings["teachers"].get(teacher, {}).get(key) for teacher in teachers_of(settings, cell)]
    return "; ".join(dict.fromkeys(text for text in texts if text)) or None


def _ap(rows: list[dict], kind: str) -> list[dict]:
    return [row for row in rows if row["kind"] == kind and row["measure"] == AP]


def _answer(
    settings: dict, rows: list[dict], performance: Performance, base: str, panel: str, correlations: list[dict]
) -> dict:
    """Return the answer of one panel on one base. rows: of its students that have an AP."""
    untuned = performance.untuned.get(base)
    references = {row["model"]: row.get("value") for row in _ap(performance.rows, "reference") if row["base"] == base}
    answer = {"best": None, "value": None, "panel": panel, "units": len(rows), "references": references}
    if not rows:
        return {**answer, "reason": "no student has a performance"}
    best = max(rows, key=lambda row: round(row["value"], 9))
    return {
        **answer,
        "best": best["unit"],
        **{key: best.get(key) for key in OF_THE_BEST},
        "tied": [row["unit"] for row in rows if row.get("tied_with_best") and row is not best],
        "untuned_reference": untuned,
        "untuned_format": next((r["format"] for r in settings["references"] if r["name"] == untuned), None),
        "untuned_value": references.get(untuned),
        "licence": terms(settings, best, "licence"),
        "output_terms": terms(settings, best, "output_terms"),
        "primary_metric": _primary(settings, base, panel, correlations),
        "reason": None,
    }


def _detectable(base: str, panel: str, effects: list[dict]) -> float | None:
    """Return the smallest difference in points between two units that four of five such grids would find."""
    key = base, panel, "detectable"
    return next((row["value"] for row in effects if (row["base"], row["panel"], row["effect"]) == key), None)


def _primary(settings: dict, base: str, panel: str, correlations: list[dict]) -> dict | None:
    """Return what the primary metric would have chosen, and the AP that this choice loses.

    A metric that shares a reward with a judge behind AP has no verdict, but {"circular": names of these judges}.
    """
    rows = [row for row in correlations if (row["base"], row["panel"]) == (base, panel)]
    judges = _circular_judges(settings)
    if judges:
        name = Metric(settings["metrics"][settings["grid"]["primary"]]).name
        found = next((row for row in rows if row["metric"] == name), None)
        blank = {"metric": name, "choice": None, "regret": None, "rho": None}
        return None if found is None else {**blank, "n": found["n"], "circular": judges}
    for row in rows:
        if row["role"] == "primary":
            choice = {"metric": row["metric"], "choice": row.get("choice"), "regret": row.get("regret_1")}
            return {**choice, "rho": row.get("rho"), "n": row["n"]}
    return None


def _circular_judges(settings: dict) -> list[str]:
    """Return the judges behind AP that decide by a reward which the primary metric uses."""
    primary = settings["grid"]["primary"]
    return [judge for judge, entries in circular_in_ap(settings).items() if primary in entries]


# --- what cannot be said


def _doubts(settings: dict, rows: list[dict], answer: dict, untuned: str | None) -> list[str]:
    """Return in sentences what the numbers of one panel on one base do not show."""
    if not rows:
        return ["nothing: no student has a performance."]
    doubts = _about_circularity(settings) + _about_ranking(settings["grid"]["compare"], rows, answer)
    if untuned is None:
        doubts.append("whether tuning helps at all: there is no score of the untuned base.")
    doubts += _against_untuned(rows, untuned)
    if answer["self_pair"]:
        doubts.append(
            f"{answer['best']} descends from this very base: whether another base would gain as much is not known."
        )
    if max(len(row["seeds"]) for row in rows) == 1:
        doubts.append(
            "how much another SFT seed would change: there is one. Intervals, P(best) and the noise ceiling leave its noise out, "
            "so they look surer than they are."
        )
    primary = answer["primary_metric"]
    if primary and primary["rho"] is None and "circular" not in primary:
        doubts.append(f"whether {settings['grid']['primary']} predicts performance: its correlation is undefined.")
    return doubts


def _about_circularity(settings: dict) -> list[str]:
    """Return which metrics share a reward with a judge behind AP, so that they cannot be tested."""
    return [
        f"whether {', '.join(sorted(entries))} predict{'s' if len(entries) == 1 else ''} performance: the judge {judge} decides "
        f"performance by the reward {settings['judges'][judge]['reward']}, which is part of "
        f"{'it' if len(entries) == 1 else 'them'}. That they agree is circular."
        for judge, entries in circular_in_ap(settings).items()
    ]


def _about_ranking(word: str, rows: list[dict], answer: dict) -> list[str]:
    """Return what is open about the order of the units. word: the grid's `compare`."""
    if len(rows) == 1:
        return [f"nothing is compared: there is one {UNIT_WORDS[word][0]} only."]
    doubts = []
    values = [row["value"] for row in rows]
    if max(values) - min(values) < 1e-9:
        doubts.append("all students perform equally: there is no ranking, and no metric can predict one.")
    elif answer["tied"]:
        doubts.append(
            f"{answer['best']} is statistically tied with {', '.join(answer['tied'])}: the difference is within the noise."
        )
        if answer["detectable"] is not None:
            doubts.append(
                f"differences from the best below {answer['detectable']:.1f} points: the power to find them is below 80 %."
            )
    if note := sample_size.small_n_note(sum(row["teacher"] is not None for row in rows), UNIT_WORDS[word][1]):
        doubts.append(note)
    return doubts


def _against_untuned(rows: list[dict], untuned: str | None) -> list[str]:
    """Return which students are worse than the untuned base, or may be."""
    with_gain = [row for row in rows if row.get("gain") is not None and row.get("gain_low") is not None]
    worse = [row["unit"] for row in with_gain if row["gain_high"] < 0]
    unsure = [row["unit"] for row in with_gain if row["gain_low"] <= 0 <= row["gain_high"]]
    texts = [f"students of {', '.join(worse)} are worse than the untuned base ({untuned})."] if worse else []
    if unsure:
        texts.append(
            f"whether students of {', '.join(unsure)} differ from the untuned base ({untuned}): "
            "the interval of the gain contains 0."
        )
    return texts


def _grouped(doubts: list[tuple[str, str]]) -> list[str]:
    """Return each sentence once, with all the bases that it is true of."""
    by_text: dict[str, list[str]] = {}
    for base, text in doubts:
        by_text.setdefault(text, []).append(base)
    return [f"{', '.join(bases)}: {text}" for text, bases in by_text.items()]


def _about_all(bases: list[str], gated: list[str], missing: list[str]) -> list[str]:
    """Return what the grid as a whole cannot say. gated: corpora that a health gate stopped."""
    texts = []
    if len(bases) == 1:
        texts.append("other bases: this grid has one, so nothing shows whether its best is best elsewhere.")
    if gated:
        texts.append(f"{', '.join(gated)}: stopped by a health gate, and left out of all statistics.")
    if missing:
        texts.append(f"{len(missing)} results are missing (see `missing`); the statistics use the rest.")
    return texts
