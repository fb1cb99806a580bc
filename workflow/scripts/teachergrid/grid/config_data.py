"""Checks of what training data is made of: files, derived corpora, teachers, and suites whose prompts are removed."""

import math
import os
import re
from collections.abc import Iterable
from pathlib import Path

from ..data import sizes
from ..engines.engine import generates
from ..errors import BadInput
from ..evolution.entries import made_by
from ..hub import pins
from ..metrics.variants import Metric
from ..spec.spelling import known
from ..tasks import checkers


def check(config: dict) -> None:
    """Raise BadInput for an entry that contradicts itself or names something that the config does not have."""
    for name, corpus in config["corpora"].items():
        where = f"config.corpora.{name}"
        _choice(where, corpus, config)
        _ratios(where, corpus, config)
        _size(where, corpus, config)
        _rows(where, corpus, config)
    for kind in ("teachers", "tasks"):
        for name, entry in config[kind].items():
            if kind == "tasks" or generates(entry["engine"]):
                _greedy(f"config.{kind}.{name}.sampling", entry["sampling"])
            _second_try(f"config.{kind}.{name}.sampling", entry["sampling"])
    for name, teacher in config["teachers"].items():
        if teacher["of"] is not None:
            _stripped(f"config.teachers.{name}", teacher, config["teachers"])
    for name, entry in config["instructions"].items():
        _decontaminated(f"config.instructions.{name}.decontaminate", name, entry["decontaminate"], config)


def check_files(config: dict) -> None:
    """Raise BadInput for a data file that is missing or cannot be read, and for a sample above its rows."""
    read = {name: entry["source"] for name, entry in config["instructions"].items() if not is_made(entry)}
    paths = {f"instructions.{name}.source": source for name, source in read.items()}
    paths |= {f"tasks.{n}.prompts": task["prompts"] for n, task in config["tasks"].items() if not task["instructions"]}
    shown = ((n, task["shots"]["source"]) for n, task in config["tasks"].items() if shots_of(task))
    paths |= {f"tasks.{n}.shots.source": path for n, path in shown if path and path not in config["instructions"]}
    for where, path in paths.items():
        require_rows(f"config.{where}", path)
    for name, entry in config["instructions"].items():
        rows = most_rows(entry)
        if rows < (entry["sample"] or 0):
            raise BadInput(
                f"config.instructions.{name}.sample: {entry['sample']} rows cannot be drawn from '{entry['source']}', which "
                f"has {rows}; lower it"
            )


def is_made(entry: dict) -> bool:
    """Whether a set is made from other sets, and not read from a source. entry: of config.instructions."""
    return "made" in entry


def shots_of(task: dict) -> int:
    """Return how many examples a task shows at most."""
    return max(task["chat"]["shots"], task["plain"]["shots"])


def check_tasks(config: dict) -> None:
    """Raise BadInput for a task that states no items, or two sources of them, and for examples or a checker that cannot work."""
    for name, task in config["tasks"].items():
        where, instructions = f"config.tasks.{name}", task["instructions"]
        if (task["prompts"] is None) == (instructions is None):
            raise BadInput(f"{where}: state either 'prompts' or 'instructions'")
        if instructions is not None:
            known(f"{where}.instructions", instructions, config["instructions"])
        _examples(f"{where}.shots", task)
        if task["checker"] is not None:
            checkers.refuse_wrong(f"{where}.checker", task)


def _examples(where: str, task: dict) -> None:
    number, shots = shots_of(task), task["shots"]
    if shots["examples"] and shots["source"]:
        raise BadInput(f"{where}: state either `source` or `examples`")
    if number and not shots["source"] and len(shots["examples"]) < number:
        raise BadInput(
            f"{where}: {number} examples are to be shown and {len(shots['examples'])} are stated; state more `examples`, or a `source`"
        )


def check_published(config: dict) -> None:
    """Raise BadInput for a file of responses that is missing or cannot be read."""
    # only teachers that a grid or corpus names: the file of another teacher may not exist yet
    named = {teacher for block in config["grids"].values() for teacher in block["teachers"]}
    named |= {teacher for corpus in config["corpora"].values() for teacher in corpus["teachers"]}
    for name in sorted(named):
        teacher = config["teachers"][name]
        if teacher["source"] is not None:
            require_rows(f"config.teachers.{name}.source", teacher["source"])


def require_file(where: str, path: str) -> None:
    """Raise BadInput where a file is missing. where: the config's key."""
    if not os.path.isfile(path):
        raise BadInput(f"{where}: there is no file '{path}' (paths start at {Path.cwd()})")


def require_rows(where: str, path: str) -> None:
    """Raise BadInput for a data file that is missing, of an unknown kind, or broken as far as counting its rows shows it."""
    if path.startswith(pins.HUB):
        return
    if {"{", "}"} & {*path}:
        raise BadInput(f"{where}: '{path}' has braces, which mark wildcards in Snakemake; rename the file or folder")
    if not os.path.exists(path):
        require_file(where, path)
    try:
        sizes.count(path)
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from error


def most_rows(entry: dict) -> float:
    """Return how many rows the source of a set has; infinite where they cannot be counted. entry: of config.instructions."""
    found = sizes.rows(entry)
    return found.number if found.is_counted else math.inf


def label_stripped(config: dict) -> None:
    """Give each stripped teacher the model and sampling of the teacher whose responses it strips: labels and counts need them."""
    for teacher in config["teachers"].values():
        if teacher["of"] is not None:
            source = config["teachers"][teacher["of"]]
            teacher |= {"model": source["model"], "sampling": source["sampling"]}


def metrics_of(corpus: dict) -> list[str]:
    """Return the names of the metrics that a corpus chooses by, sorted."""
    by = corpus["by"] if isinstance(corpus["by"], dict) else [corpus["by"]] if corpus["by"] else []
    pairs = [corpus["pairs"]["by"]] if corpus["pairs"] else []
    return sorted({*by, *corpus["least"], *pairs})


def choosing_rewards(config: dict, corpus: dict) -> list[str]:
    """Return the rewards that decide which rows a derived corpus takes, sorted. corpus: of config.corpora."""
    names = metrics_of({**corpus, "pairs": None})  # no student is trained on pairs
    return sorted({reward for name in names for reward in Metric(config["metrics"][name]).rewards if reward})


def _choice(where: str, corpus: dict, config: dict) -> None:
    for metric in metrics_of(corpus):
        known(_key_of(where, metric, corpus), metric, config["metrics"])
        formula = config["metrics"][metric]["formula"]
        if Metric(config["metrics"][metric]).expression is None:
            raise BadInput(
                f"{_key_of(where, metric, corpus)}: '{metric}' ({formula}) has no value of a single response; choose by another metric"
            )
    if corpus["pairs"] and corpus["pairs"]["by"] in config["metrics"]:
        sign, pairs = Metric(config["metrics"][corpus["pairs"]["by"]]).sign, corpus["pairs"]
        if sign * pairs["good"] <= sign * pairs["bad"]:
            raise BadInput(
                f"{where}.pairs.bad: {pairs['bad']:g} is as good as `good`, {pairs['good']:g}; state a worse one"
            )
    if corpus["choose"] in ("best", "worst") and not corpus["by"]:
        raise BadInput(
            f"{where}.by: `choose: {corpus['choose']}` needs a metric; known: {', '.join(config['metrics'])}"
        )


def _key_of(where: str, metric: str, corpus: dict) -> str:
    """Return the key that names a metric."""
    if metric in corpus["least"]:
        return f"{where}.least"
    return f"{where}.pairs.by" if corpus["pairs"] and corpus["pairs"]["by"] == metric else f"{where}.by"


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


def _rows(where: str, corpus: dict, config: dict) -> None:
    """Check that there are as many responses as the corpus has rows."""
    source = config["instructions"][corpus["instructions"]]
    samples = [config["teachers"][name]["sampling"]["samples"] for name in corpus["teachers"]]
    rows = most_rows(source) if source["sample"] is None else source["sample"]
    most = rows * (sum(samples) if corpus["choose"] == "all" else 1)
    if corpus["rows"] is not None and corpus["rows"] > most:
        raise BadInput(f"{where}.rows: there are {most} responses to choose from at most; lower it")


def _second_try(where: str, sampling: dict) -> None:
    first, again = sampling["max_tokens"], sampling["max_tokens_again"]
    if again is not None and again <= first:
        raise BadInput(
            f"{where}.max_tokens_again: {again} is no more than `max_tokens`, {first}; raise it, or remove it"
        )


def _greedy(where: str, sampling: dict) -> None:
    """Check that several responses to one instruction can differ."""
    if sampling["samples"] == 1:
        return
    for key, value, remedy in (
        ("temperature", 0, "state a temperature above 0"),
        ("top_k", 1, "state a higher one, or 0"),
    ):
        if sampling[key] == value:
            raise BadInput(
                f"{where}.samples: all {sampling['samples']} responses to an instruction would be equal with `{key}: {value}`; "
                f"{remedy}, or `samples: 1`"
            )


def _stripped(where: str, teacher: dict, teachers: dict) -> None:
    known(f"{where}.of", teacher["of"], teachers)
    if teachers[teacher["of"]]["of"] is not None:
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


def tasks_of(config: dict, suite: str) -> dict[str, dict]:
    """Return {name: config entry} of a suite's tasks, sorted by name."""
    return {name: config["tasks"][name] for name in sorted(config["suites"][suite]["tasks"])}


def made_set(path: str) -> str | None:
    """Return the instruction set whose job writes a file; None where no job does."""
    name = Path(path).name.removesuffix(".parquet")
    return name if path == made_by(name) else None


def asked_judge(config: dict, judge: str) -> str:
    """Return the judge whose model is asked for a judge's verdicts: its own, or that of which it is derived."""
    return config["judges"][judge]["of"] or judge


def losses(config: dict, suite: str, judges: Iterable[str]) -> set[str]:
    """Return suite/judge of those judges that load the model whose answers they judge."""
    return {f"{suite}/{name}" for name in judges if name in config["judges"] and config["judges"][name]["loss"]}


def pattern(config: dict, rule: str) -> str:
    """Return a pattern of the judges whose scores a rule makes: `judge` by a reward, `loss`, `score` from a language model's verdicts."""
    rules = {
        name: "judge" if judge["reward"] else "loss" if judge["loss"] else "score"
        for name, judge in config["judges"].items()
    }
    return "|".join(re.escape(name) for name in sorted(rules) if rules[name] == rule) or "(?!)"
