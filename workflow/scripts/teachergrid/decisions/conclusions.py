"""What a grid shows and what to run next, in sentences for its first screen. From the rows of artifacts.EFFECTS."""

from collections.abc import Iterable, Mapping

from ..analysis.performance import AP, Unit
from ..analysis.scores import UNIT_WORDS
from ..stats import comparison
from . import across, components, contrasts, fronts

FIRM = 0.05  # p up to which something counts as shown
SHOWN = 3  # cells that are proposed
WORTH = 0.005  # points of expected regret; less is no reason to run anything


class Effects:
    """The rows of artifacts.EFFECTS, to look one up."""

    def __init__(self, rows: list[dict]) -> None:
        self.rows = rows

    def all(self, effect: str, **wanted: object) -> list[dict]:
        """Return the rows with a value of this effect whose columns are as wanted."""
        found = [row for row in self.rows if row["effect"] == effect and row.get("value") is not None]
        return [row for row in found if all(row.get(key) == value for key, value in wanted.items())]

    def one(self, effect: str, **wanted: object) -> dict | None:
        return next(iter(self.all(effect, **wanted)), None)


def equals(rows: list[dict], base: str, panel: str, limit: float) -> dict:
    """Return {"equivalent": units shown to be as good as the best within the limit, "smallest_equivalent": the smallest of them}."""
    effects = Effects(rows)
    here = {"base": base, "panel": panel}
    found = [row for row in effects.all(across.EQUIVALENT, **here) if -limit < row["low"] and row["high"] < limit]
    smallest = effects.one(across.SMALLEST, **here)
    return {
        "equivalent": [row["subject"] for row in found],
        "smallest_equivalent": smallest["subject"] if smallest else None,
        "smallest_difference": limit,
    }


def on_the_front(rows: list[dict], base: str, panel: str) -> dict[str, float]:
    """Return {teacher that none beats for as little: its cost over that of the cheapest}, the cheapest first; {} where costs are unknown."""
    effects = Effects(rows)
    costs = {row["subject"]: row["value"] for row in effects.all(fronts.COST, base=base, panel=panel)}
    names = [row["subject"] for row in effects.all(fronts.FRONT, base=base, panel=panel) if row.get("other") is None]
    return {name: costs[name] for name in sorted(names, key=costs.__getitem__)}


def known(settings: Mapping, bases: Mapping[str, dict], effect_rows: list[dict], names: Mapping[str, str]) -> list[str]:
    """Return in sentences what the grid shows at the 5 % level.

    Args:
        bases: {base: answer} of the recommendation.
        names: {metric: its name in the config}: the primary metric, then the baselines; {} without a primary one.
    """
    effects, panels = Effects(effect_rows), {answer["panel"] for answer in bases.values()}
    sentences = [text for base, answer in bases.items() for text in _of_base(settings, base, answer)]
    for panel in sorted(panels):
        sentences += [*_over_bases(effects, panel), *_of_metrics(effects, panel, names)]
    return sentences


def _of_base(settings: Mapping, base: str, answer: dict) -> Iterable[str]:
    if answer["best"] is None:
        return
    (word, _), behind = UNIT_WORDS[settings["grid"]["compare"]], answer["units"] - 1 - len(answer["tied"])
    if answer["tied"] and behind:
        yield f"{base}: the best {word} is among {_listed([answer['best'], *answer['tied']])}; {'the other one scores' if behind == 1 else f'the other {behind} score'} lower."
    elif behind:
        yield f"{base}: {answer['best']} is the best of the {answer['units']}."
    if answer["equivalent"]:
        limit = answer["smallest_difference"]
        verb = "is" if len(answer["equivalent"]) == 1 else "are"
        yield f"{base}: {_listed(answer['equivalent'])} {verb} as good as {answer['best']}, to within {limit:g} points."


def _over_bases(effects: Effects, panel: str) -> Iterable[str]:
    alike = effects.one(across.CONCORDANCE, panel=panel, subject=AP)
    if alike and alike["p"] <= FIRM:
        text = f"The bases rank them alike (Kendall's W {alike['value']:.2f}, {_p(alike['p'])})."
        common = effects.one(across.ONE_FOR_ALL, panel=panel, other="mean")
        own = effects.one(across.OWN, panel=panel)
        if common and own:
            text += (
                f" {common['subject']} for all of them is expected to lose {common['value']:.1f} "
                f"[{common['low']:.1f}, {common['high']:.1f}] points against the truly best of each; the best seen of each loses {own['value']:.1f}."
            )
        yield text
    depends = effects.one(across.INTERACTION, panel=panel)
    if depends and depends["p"] <= FIRM:
        yield (
            f"Which base you have matters: {100 * depends['value']:.0f} % of the true differences are peculiar to a base "
            f"({_p(depends['p'])}, against the noise of items{' and seeds' if _has_seeds(effects) else '; that of seeds is unknown'})."
        )


def _has_seeds(effects: Effects) -> bool:
    return bool(effects.all(components.VARIANCE, subject="seed"))


def _planned(effects: Effects, panel: str, names: Mapping[str, str]) -> list[tuple[dict, float]]:
    """Return the comparisons of the primary metric with the baselines, over all bases or on the only one, with Holm's p."""
    rows = [row for row in effects.all(contrasts.RHO, panel=panel) if row.get("p") is not None]
    where = contrasts.POOLED if any(row["base"] == contrasts.POOLED for row in rows) else None
    rows = [row for row in rows if where in (None, row["base"]) and {row["subject"], row["other"]} <= {*names}]
    primary = next(iter(names), None)
    rows = [row for row in rows if row["subject"] == primary]
    return list(zip(rows, comparison.holm([row["p"] for row in rows]).tolist(), strict=True))


def _of_metrics(effects: Effects, panel: str, names: Mapping[str, str]) -> Iterable[str]:
    for row, p in _planned(effects, panel, names):
        if p <= FIRM:
            how = "better" if row["value"] > 0 else "worse"
            yield (
                f"{names[row['subject']]} ranks them {how} than {names[row['other']]}: rho differs by "
                f"{row['value']:+.2f} ({_p(p)}, Holm)."
            )


def unknown(effect_rows: list[dict], bases: Mapping[str, dict], names: Mapping[str, str]) -> list[str]:
    """Return in sentences which of the questions about bases and metrics are open."""
    effects, texts = Effects(effect_rows), []
    for panel in sorted({answer["panel"] for answer in bases.values()}):
        alike = effects.one(across.CONCORDANCE, panel=panel, subject=AP)
        if alike and alike["p"] > FIRM:
            texts.append(f"whether the bases rank them alike: Kendall's W {alike['value']:.2f}, {_p(alike['p'])}.")
        open_ones = [(row, p) for row, p in _planned(effects, panel, names) if p > FIRM]
        if open_ones:
            listed = [f"{names[row['other']]} ({row['value']:+.2f}, {_p(p)})" for row, p in open_ones]
            texts.append(
                f"whether {names[open_ones[0][0]['subject']]} ranks better than {_listed(listed)}: difference of rho, Holm-adjusted p."
            )
    return texts


def proposals(units: list[Unit], effect_rows: list[dict]) -> list[dict]:
    """Return what to run next, the most useful first: {"text", "include": cells to add to the grid's `include`, or None}."""
    effects = Effects(effect_rows)
    found: list[dict] = []
    rows = sorted(effects.all(components.NEXT), key=lambda row: -row["value"])
    cells = {(unit.base, unit.panel, unit.unit): unit for unit in units}
    chosen = [(row, cells[row["base"], row["panel"], row["subject"]]) for row in rows[:SHOWN] if row["value"] >= WORTH]
    if chosen:
        named = _listed([f"{row['subject']} on {row['base']} ({row['value']:.2f})" for row, _ in chosen])
        assumed = next((f" It {row['reason']}." for row, _ in chosen if row.get("reason")), "")
        found.append(
            {
                "text": "One more training seed of "
                + named
                + ": in brackets, by how many points each lowers the expected loss of "
                f"taking the best seen.{assumed}",
                "include": [_cell(unit) for _, unit in chosen],
            }
        )
    errors = []
    for base in dict.fromkeys(row["base"] for row in effects.all(components.AFTER)):
        now, more = (
            effects.one(components.AFTER, base=base, subject=subject, other="error")
            for subject in ("now", f"{components.MORE_ITEMS} more items")
        )
        errors += [f"{base} from {now['value']:.1f} to {more['value']:.1f}"] if now and more else []
    if errors:
        text = f"{components.MORE_ITEMS} more benchmark items would lower the standard error of a difference: {_listed(errors)} points."
        found.append({"text": text, "include": None})
    return found


def _cell(unit: Unit) -> dict:
    """Return the cell of one more seed of a unit, as the config's `include` states it."""
    return {"base": unit.base, "corpus": unit.corpus, "recipe": unit.recipe, "seed": max(unit.students, default=0) + 1}


def _listed(names: list[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _p(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p {p:.3f}"
