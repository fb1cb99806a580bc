"""Checks of what training data is made of: derived corpora, stripped teachers, and suites whose prompts are removed."""

from ..errors import BadInput
from ..metrics.variants import Metric
from ..spec.spelling import known


def check(config: dict) -> None:
    """Raise BadInput for an entry that contradicts itself or names something that the config does not have."""
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
    """Give each stripped teacher the model and sampling of the teacher whose responses it strips: labels and counts need them."""
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
            raise BadInput(
                f"{where}.by: '{metric}' ({formula}) has no value of a single response; choose by another metric"
            )
    if corpus["choose"] in ("best", "worst") and not corpus["by"]:
        raise BadInput(
            f"{where}.by: `choose: {corpus['choose']}` needs a metric; known: {', '.join(config['metrics'])}"
        )


def _ratios(where: str, corpus: dict, config: dict) -> None:
    if not corpus["ratios"]:
        return
    if corpus["choose"] != "random":
        raise BadInput(f"{where}.ratios: ratios need a random choice; write `choose: random`")
    for teacher in corpus["ratios"]:
        known(f"{where}.ratios", teacher, config["teachers"])
    if lacking := [teacher for teacher in corpus["teachers"] if teacher not in corpus["ratios"]]:
        raise BadInput(f"{where}.ratios: there is none for '{lacking[0]}'; state one for each teacher")


def _size(where: str, corpus: dict, config: dict) -> None:
    if corpus["share"] and corpus["rows"]:
        raise BadInput(f"{where}: state either `share` or `rows`")
    if corpus["each"] and not (corpus["share"] or corpus["rows"]):
        raise BadInput(f"{where}.each: needs `share` or `rows`")
    if corpus["counted_by"] is not None:
        known(f"{where}.counted_by", corpus["counted_by"], ["self", *config["bases"], *config["scorers"]])
        if corpus["tokens"] and "chat" not in config["likelihood"]["formats"]:
            raise BadInput(
                f"{where}.counted_by: tokens are counted in chat format; add it to config.likelihood.formats"
            )


def _stripped(where: str, teacher: dict, teachers: dict) -> None:
    known(f"{where}.of", teacher["of"], teachers)
    if teachers[teacher["of"]]["engine"] == "stripped":
        raise BadInput(
            f"{where}.of: '{teacher['of']}' is stripped itself; name the teacher that generated the responses"
        )


def _decontaminated(where: str, name: str, suites: list[str], config: dict) -> None:
    """Check the suites whose prompts are removed from the instruction set `name`."""
    for suite in suites:
        known(where, suite, config["suites"])
        for task in config["suites"][suite]["tasks"]:
            known(f"config.suites.{suite}.tasks", task, config["tasks"])
            prompt_set = config["tasks"][task]["instructions"]
            if prompt_set and (prompt_set == name or config["instructions"][prompt_set]["decontaminate"]):
                raise BadInput(
                    f"{where}: task '{task}' of suite '{suite}' consists of config.instructions.{prompt_set}, which is "
                    "this set or is decontaminated itself; remove one of the two"
                )
