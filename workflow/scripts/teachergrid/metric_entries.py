"""What an entry of `metrics` in the config must hold."""

from .errors import BadInput
from .expressions import OWN, RANK_CAP, compiled, needs, settled, swept
from .names import known


def check(config: dict, where: str, metric: dict) -> None:
    """Raise BadInput, naming the key under `where` and the remedy, unless a metric can be computed with this config."""
    if (metric["formula"] == OWN) == (metric["expression"] is None):
        raise BadInput(f"{where}: state either 'formula' or 'expression'")
    if (metric["formula"] == OWN) == (metric["best"] is None):
        raise BadInput(f"{where}.best: goes with an expression: highest or lowest, where a better student is expected")
    try:
        parameter, values = swept(metric)
    except BadInput as error:
        raise BadInput(f"{where}.expression: {error}") from None
    if values is None:
        raise BadInput(
            f"{where}.{parameter}: the formula needs it; state a list of numbers, the first is the primary one"
        )
    if metric["below"] is not None and compiled(metric) is None:
        raise BadInput(f"{where}.below: '{metric['formula']}' has no value of a single response; leave it out")
    for joined in settled(metric, "reward"):
        if joined["reward"] is None:
            what = "the expression" if metric["formula"] == OWN else f"formula '{metric['formula']}'"
            raise BadInput(f"{where}.reward: {what} needs a reward; known: {', '.join(config['rewards'])}")
        known(f"{where}.reward", joined["reward"], config["rewards"])
    if metric["formula"] == "embedding_similarity" and config["rewards"][metric["reward"]]["similarity"] is None:
        raise BadInput(f"{where}.reward: '{metric['reward']}' compares no embeddings; name a reward with `similarity`")
    for joined in [metric, *settled(metric, "likelihood")]:
        known(f"{where}.scorer", joined["scorer"], ["self", *config["bases"], *config["scorers"]])
        if joined["format"] not in ("chat", "plain"):
            raise BadInput(f"{where}.expression: there is no format '{joined['format']}'; it is chat or plain")
    likelihood = config["likelihood"]
    if "ranks" in needs(metric) and (not likelihood["tokens"] or likelihood["rank_cap"] < RANK_CAP):
        raise BadInput(
            f"{where}: takes ranks of tokens up to {RANK_CAP}; config.likelihood needs `tokens: true` and a `rank_cap` of at "
            f"least {RANK_CAP} (which takes the likelihoods again), or leave this metric out"
        )
