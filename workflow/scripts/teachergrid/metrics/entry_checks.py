"""What an entry of `metrics` in the config must hold."""

from ..errors import BadInput
from ..spec.spelling import known
from .expressions import RANK_CAP
from .variants import OWN, OWN_BASE, Metric


def check(config: dict, where: str, entry: dict) -> None:
    """Raise BadInput unless the metric of an entry can be computed with this config.

    Args:
        where: the entry's place in the config, such as "config.metrics.car"; messages name the key under it and the remedy.
    """
    metric = Metric(entry)
    _check_formula(where, metric)
    _check_parameter(where, metric)
    if entry["below"] is not None and metric.expression is None:
        raise BadInput(f"{where}.below: '{entry['formula']}' has no value of a single response; leave it out")
    _check_rewards(config, where, metric)
    for scorer, text_format in [(entry["scorer"], entry["format"]), *metric.likelihoods]:
        known(f"{where}.scorer", scorer, [OWN_BASE, *config["bases"], *config["scorers"]])
        if text_format not in ("chat", "plain"):
            raise BadInput(f"{where}.expression: there is no format '{text_format}'; it is chat or plain")
    likelihood = config["likelihood"]
    if "ranks" in metric.needs and (not likelihood["tokens"] or likelihood["rank_cap"] < RANK_CAP):
        raise BadInput(
            f"{where}: needs ranks of tokens up to {RANK_CAP}; config.likelihood needs `tokens: true` and a `rank_cap` of at "
            f"least {RANK_CAP} (which computes the likelihoods again), or leave this metric out"
        )

    if "distributions" in metric.needs and not likelihood["distributions"]:
        raise BadInput(
            f"{where}: needs the scorer's distributions; set `likelihood: {{distributions: true}}`. Likelihoods that are there already "
            "are then computed again: `teachergrid plan` shows what that costs. Or leave this metric out"
        )
    if "top" in metric.needs and not likelihood["top"]:
        raise BadInput(
            f"{where}: needs the probabilities of the likeliest tokens; set `likelihood: {{distributions: true, top: true}}`. Likelihoods "
            "that are there already are then computed again: `teachergrid plan` shows what that costs. Or leave this metric out"
        )


def _check_formula(where: str, metric: Metric) -> None:
    own = metric.settings["formula"] == OWN
    if own == (metric.settings["expression"] is None):
        raise BadInput(f"{where}: state either 'formula' or 'expression'")
    if own == (metric.settings["best"] is None):
        raise BadInput(
            f"{where}.best: state it with an expression only, as highest or lowest: which values promise a better student"
        )


def _check_parameter(where: str, metric: Metric) -> None:
    try:
        values = metric.values
    except BadInput as error:
        raise BadInput(f"{where}.expression: {error}") from None
    if values is None:
        raise BadInput(
            f"{where}.{metric.parameter}: the formula needs it; state a list of numbers, the first is the primary one"
        )
    shown = [f"{value:g}" for value in values if value is not None]  # as names of variants have it
    if twice := [value for value in shown if shown.count(value) > 1]:
        raise BadInput(f"{where}.{metric.parameter}: two values are both shown as {twice[0]}; state one of them")


def _check_rewards(config: dict, where: str, metric: Metric) -> None:
    formula, rewards = metric.settings["formula"], config["rewards"]
    for reward in metric.rewards:
        if reward is None:
            what = "the expression" if formula == OWN else f"formula '{formula}'"
            raise BadInput(f"{where}.reward: {what} needs a reward; known: {', '.join(rewards)}")
        known(f"{where}.reward", reward, rewards)
    if formula != "embedding_similarity":
        return
    compared = rewards[metric.settings["reward"]]["similarity"]
    if compared is None:
        raise BadInput(
            f"{where}.reward: '{metric.settings['reward']}' compares no embeddings; name a reward with `similarity`"
        )
    if compared["measure"] != "mean":
        raise BadInput(
            f"{where}.formula: the reward '{metric.settings['reward']}' is a distance; its mean is the formula `reward_mean`"
        )
