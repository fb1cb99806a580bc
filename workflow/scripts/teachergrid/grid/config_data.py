"""Checks of what makes training data: derived corpora, teachers that are another one's responses, suites that are removed."""

from ..errors import BadInput
from ..metrics.variants import Metric
from ..spec.spelling import known


def check(config: dict) -> None:
    """Raise BadInput for what contradicts itself or names what is not there."""
    for name, corpus in config["corpora"].items():
        where = f"config.corpora.{name}"
        _choice(where, corpus, config)
        _ratios(where, corpus, config)
        _size(where, corpus, config)
    for name, teacher in config["teachers"].items():
        if teacher["engine"] == "stripped":
            _stripped(f"config.teachers.{name}", teacher, config["teachers"])
    for name, entry in config["instructions"].items():
        _decontaminated(f"config.instructions.{name}.decontaminate", name, entry["decontaminate"], config)


def label_stripped(config: dict) -> None:
    """Give each stripped teacher the model and the sampling of the one that generated, for labels and counts."""
    for teacher in config["teachers"].values():
        if teacher["engine"] == "stripped":
            source = config["teachers"][teacher["of"]]
            teacher |= {"model": source["model"], "sampling": source["sampling"]}


def metrics_of(corpus: dict) -> list[str]:
    """Return the names of the metrics that a corpus chooses by, sorted."""
    if isinstance(corpus["by"], dict):
        return sorted(corpus["by"])
    return [corpus["by"]] if corpus["by"] else []


def _choice(where: str, corpus: dict, config: dict) -> None:
    for metric in metrics_of(corpus):
        known(f"{where}.by", metric, config["metrics"])
        formula = config["metrics"][metric]["formula"]
        if Metric(config["metrics"][metric]).expression is None:
            raise BadInput(f"{where}.by: '{metric}' ({formula}) has no value of a single response; choose by another")
    if corpus["choose"] in ("best", "worst") and not corpus["by"]:
        raise BadInput(
            f"{where}.by: `choose: {corpus['choose']}` needs a metric; known: {', '.join(config['metrics'])}"
        )


def _ratios(where: str, corpus: dict, config: dict) -> None:
    if not corpus["ratios"]:
        return
    if corpus["choose"] != "random":
        raise BadInput(f"{where}.ratios: ratios are drawn; say `choose: random`")
    for teacher in corpus["ratios"]:
        known(f"{where}.ratios", teacher, config["teachers"])
    if lacking := [teacher for teacher in corpus["teachers"] if teacher not in corpus["ratios"]]:
        raise BadInput(f"{where}.ratios: none of '{lacking[0]}'; state one for each of the teachers")


def _size(where: str, corpus: dict, config: dict) -> None:
    if corpus["share"] and corpus["rows"]:
        raise BadInput(f"{where}: state either `share` or `rows`")
    if corpus["each"] and not (corpus["share"] or corpus["rows"]):
        raise BadInput(f"{where}.each: needs `share` or `rows`")
    if corpus["tokens"] and corpus["counted_by"] is not None:
        known(f"{where}.counted_by", corpus["counted_by"], ["self", *config["bases"], *config["scorers"]])
        if "chat" not in config["likelihood"]["formats"]:
            raise BadInput(
                f"{where}.counted_by: tokens are counted in chat format; add it to config.likelihood.formats"
            )


def _stripped(where: str, teacher: dict, teachers: dict) -> None:
    known(f"{where}.of", teacher["of"], teachers)
    if teachers[teacher["of"]]["engine"] == "stripped":
        raise BadInput(f"{where}.of: '{teacher['of']}' is stripped itself; name the teacher that generated")


def _decontaminated(where: str, name: str, suites: list[str], config: dict) -> None:
    """name: of the set that these suites' prompts are removed from."""
    for suite in suites:
        known(where, suite, config["suites"])
        for task in config["suites"][suite]["tasks"]:
            known(f"config.suites.{suite}.tasks", task, config["tasks"])
            made_of = config["tasks"][task]["instructions"]
            if made_of and (made_of == name or config["instructions"][made_of]["decontaminate"]):
                raise BadInput(
                    f"{where}: task '{task}' of suite '{suite}' consists of config.instructions.{made_of}, which waits for "
                    "this set or is decontaminated itself; take one of the two out"
                )
