"""The rows of the jobs that evaluate a model: its answers to a suite, their check, their comparison with an opponent's answers."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from ..cost import resources, workload
from ..data import sizes
from ..engines import openai
from ..engines.engine import ENGINES
from ..engines.requests import requests_of
from ..evaluation import asking
from ..evaluation.protocols import BOTH, PROTOCOLS
from ..hub import pins
from ..spec import canonical
from ..spec.canonical import picked, without
from ..spec.ids import Model
from ..stats.sample_size import detectable_difference
from ..store import artifacts
from ..store.results import RESULTS
from ..tasks import checkers
from .builder import NO_MODEL, Builder
from .config_data import asked_judge, tasks_of
from .rows import AnswerRow, AskRow, JudgeRow, LossRow, ModelPart, ReadRow, ScorePart, VerifyRow

_PROMPT = 200  # tokens of a judge's prompt around what it judges
CHAT = ("template", "template_args", "system", "plain", "refused_prompts")


def answer_row(build: Builder, model: str, suite: str) -> AnswerRow:
    """Return the row of the job in which a model answers a suite. A student answers with the chat settings of its base."""
    student = Model.parse(model).student
    prompts, items = _prompts(build, suite)
    if (reference := build.config["references"].get(model)) and reference["source"] is not None:
        part = _published(build, model, suite)
        files = [] if pins.is_data_set(reference) else [*pins.answers(reference).values()]
        return {**part, "asked": None, "students": [], "files": files, "prompts": prompts, "rows": items}
    format = format_of(build.config, model)
    return {
        **_answers(build, student.base if student else model, suite),
        "asked": _asked(build, suite, format),
        "students": [model] if student else [],
        "files": [],
        "prompts": [*prompts, *_examples(build, suite, format)],
        "rows": items,
    }


def format_of(config: dict, model: str) -> str:
    """Return the format in which a model is asked: a reference's own, and chat for students."""
    return config["references"][model]["format"] if model in config["references"] else "chat"


def verify_row(build: Builder, suite: str) -> VerifyRow:
    """Return the row of the job that checks a model's answers to a suite."""
    prompts, items = _prompts(build, suite)
    return {"spec": _verify_spec(build, suite), "prompts": prompts, "rows": items}


def judge_row(build: Builder, model: str, suite: str, judge: str) -> JudgeRow:
    """Return the row of the job that compares a model's answers to a suite with those of the judge's opponent."""
    opponent = build.config["judges"][judge]["baseline"]
    prompts, items = _prompts(build, suite)
    answered = answer_row(build, model, suite)
    return {
        **_judge(build, judge, suite),
        "limit": workload.of_row("answer", dict(answered)).get("limit"),
        "writer": workload.parameters(dict(answered)),
        "asked": answered["asked"],
        # the opponent compared with itself is a tie, and needs no other answers
        "baselines": [opponent] if opponent != model else [],
        "suites": [suite],
        "prompts": prompts,
        # those of the opponent are scored once for all models; the opponent's own job, which scores none, stands for that
        "rows": items,
    }


def add_judge(build: Builder, rows: dict[str, dict[str, Any]], model: str, suite: str, judge: str) -> str | None:
    """Add the jobs in which a judge judges a model's answers to a suite, and return the opponent whose answers they read.

    rows: {rule: {cell: row}}.
    """
    cell, entry = f"{model}/{suite}/{judge}", build.config["judges"][judge]
    if entry["reward"] is not None:
        rows["judge"][cell] = judge_row(build, model, suite, judge)
        return entry["baseline"]
    if entry["loss"] is not None:
        rows["loss"][cell] = loss_row(build, model, suite)
        return None
    asked = asked_judge(build.config, judge)
    rows["ask"][f"{model}/{suite}/{asked}"] = ask_row(build, model, suite, asked)
    rows["score"][cell] = score_row(build, model, suite, judge)
    return build.config["judges"][asked]["baseline"]


def loss_row(build: Builder, model: str, suite: str) -> LossRow:
    """Return the row of the job that computes a model's loss of the reference answers of a suite."""
    student = Model.parse(model).student
    prompts, items = _prompts(build, suite)
    format = format_of(build.config, model)
    return {
        **_losses(build, student.base if student else model, suite),
        "asked": _asked(build, suite, format),
        "students": [model] if student else [],
        "prompts": prompts,
        "rows": items,
    }


@cache
def _losses(build: Builder, name: str, suite: str) -> ModelPart:
    """Return spec and cost of a model's losses: as of likelihoods, with the sums alone. name: of a reference or a base."""
    entry = build.config["references"].get(name) or build.config["bases"][name]
    tasks = {task: picked(settings, "fields") for task, settings in tasks_of(build.config, suite).items()}
    if entry["model"] is None:  # published answers have no model
        return {"spec": canonical.dump(tasks=tasks), **NO_MODEL, "nodes": 1}
    format = entry.get("format", "chat")
    chat = picked(entry, "model", *(key for key in CHAT if format == "plain" or key != "plain"))
    sums = {"formats": [format], "tokens": False, "distributions": False, "subset": None}
    return build.with_model("base", chat, likelihood=build.config["likelihood"] | sums, tasks=tasks)


def ask_row(build: Builder, model: str, suite: str, judge: str) -> AskRow:
    """Return the row of the job that asks a language model for verdicts on a model's answers to a suite."""
    entry, prompts = build.config["judges"][judge], _prompts(build, suite)[0]
    alone = PROTOCOLS[entry["protocol"]].alone
    answered = answer_row(build, model, suite)
    written = workload.usual(dict(workload.settings("answer", answered["spec"])))
    orders = 1 if alone or (entry["protocol"] == "alpaca_eval2" and entry["order"] != BOTH) else 2
    samples = max(task["sampling"]["samples"] for task in tasks_of(build.config, suite).values())
    return {
        **_ask(build, judge, suite),
        **build.endpoint(entry["model"], entry["engine"]),
        "asked": _PROMPT + (answered["asked"] or workload.PROMPT) + (1 if alone else 2) * written,
        "baselines": _baselines(entry, model),
        "suites": [suite],
        "prompts": prompts,
        "rows": orders * samples * answered["rows"],
    }


def score_row(build: Builder, model: str, suite: str, judge: str) -> ReadRow:
    """Return the row of the job that reads a language model's verdicts on a model's answers to a suite."""
    asked = asked_judge(build.config, judge)
    prompts, items = _prompts(build, suite)
    entry = build.config["judges"][judge]
    return {
        "spec": _score_spec(build, judge, suite),
        "asked": [asked],
        "baselines": _baselines(build.config["judges"][asked], model),
        "suites": [suite],
        "prompts": prompts,
        "files": [entry["gamed"]] if entry["gamed"] and entry["gamed_revision"] is None else [],
        "rows": items,
    }


def unanswered_responses(row: dict) -> int:
    """Return how many requests of a teacher that an endpoint serves its log does not answer. row: rows.GenerateRow."""
    path = Path(RESULTS, "instructions", f"{row['instructions'][0]}.parquet")
    instructions, parts = artifacts.read(path, artifacts.INSTRUCTIONS), canonical.load(row["spec"])
    return openai.unanswered(requests_of(instructions, parts["teacher"]["sampling"]), parts, Path(RESULTS))


def unanswered(row: dict, cell: str) -> int:
    """Return what asking.unanswered does, for the plan, which imports no room with models. row: of the rule `ask`."""
    return asking.unanswered(row["spec"], row["prompts"], row["baselines"], *cell.split("/")[:2])


def _baselines(entry: dict, model: str) -> list[str]:
    return [entry["baseline"]] if entry["baseline"] not in (None, model) else []


@cache
def _ask(build: Builder, judge: str, suite: str) -> ModelPart:
    entry = build.config["judges"][judge]
    settings = asking.settings_of(entry) | {"model": entry["model"]}
    tasks = {name: picked(task, "fields") for name, task in tasks_of(build.config, suite).items()}
    engine = ENGINES[entry["engine"]]
    row = build.with_model("judge", settings, unused=engine.unused, tasks=tasks)
    return {**row, **NO_MODEL} if engine.by_endpoint else row


@cache
def _score_spec(build: Builder, judge: str, suite: str) -> str:
    entry = build.config["judges"][judge]
    asked = build.config["judges"][asked_judge(build.config, judge)]
    tasks = {name: picked(task, "fields") for name, task in tasks_of(build.config, suite).items()}
    # a file counts by its content
    own = picked(entry, "control", *(["gamed", "gamed_revision"] if entry["gamed_revision"] else []))
    return canonical.dump(judge=picked(asked, "protocol", "order") | own, tasks=tasks)


@cache
def _answers(build: Builder, name: str, suite: str) -> ScorePart:
    """Return spec and cost of answering a suite. name: of a reference or a base."""
    entry = build.config["references"].get(name) or build.config["bases"][name]
    chat = {**picked(entry, "model", *CHAT), "format": entry.get("format", "chat")}
    tasks = {n: _put(task, chat["format"]) for n, task in tasks_of(build.config, suite).items()}
    of_suite = build.config["suites"][suite]
    unused = ENGINES[of_suite["engine"]].unused
    own = without(picked(of_suite, "engine", "batch", "shard"), *unused)
    asked = chat if chat["format"] == "plain" else without(chat, "plain")
    # in specs the chat settings of a student also lie under `reference`
    row = build.with_model("reference", asked, unused=unused, tasks=tasks, suite=own)
    longest = max(workload.longest(task["sampling"]) for task in tasks.values())
    return {**row, "tokens": min(longest, resources.USUAL_TOKENS)}


@cache
def _published(build: Builder, name: str, suite: str) -> ScorePart:
    """Return spec and cost of reading answers that were published. The content of a file counts as an input."""
    entry = build.config["references"][name]
    reference = picked(entry, "engine", "fields", "written_by", "allow_missing", "by_category")
    if pins.is_data_set(entry):
        reference |= picked(entry, "source", "revision", "split")
    else:  # of a file only the place in the inputs
        reference["by_category"] = {name: str(number) for number, name in enumerate(sorted(entry["by_category"]), 1)}
    tasks = {task: picked(settings, "fields") for task, settings in tasks_of(build.config, suite).items()}
    spec = canonical.dump(reference=reference, tasks=tasks, suite={})
    return {"spec": spec, **NO_MODEL, "nodes": 1, "tokens": resources.USUAL_TOKENS}


def _put(task: dict, format: str) -> dict:
    """Return what decides a model's answers to a task: of how it is put only what concerns the model's format."""
    put = picked(task, "fields", "prompt_version", "sampling", format)
    # the content of a file of examples counts as an input, so its name stays out of the spec
    return {**put, "shots": without(task["shots"], "source")} if task[format]["shots"] else put


@cache
def _examples(build: Builder, suite: str, format: str) -> list[str]:
    """Return the files of the examples that a suite's tasks show to a model of a format, in the order of the tasks."""
    tasks = tasks_of(build.config, suite).values()
    return [task["shots"]["source"] for task in tasks if task[format]["shots"] and task["shots"]["source"]]


@cache
def _verify_spec(build: Builder, suite: str) -> str:
    tasks = tasks_of(build.config, suite)
    kinds = {task["checker"]["kind"] for task in tasks.values() if task["checker"]}
    libraries = {name: version for kind in sorted(kinds) for name, version in checkers.versions(kind).items()}
    parts = {n: picked(task, "fields", "checker", "checker_version") for n, task in tasks.items()}
    return canonical.dump(tasks=parts, **({"libraries": libraries} if libraries else {}))


@cache
def _judge(build: Builder, judge: str, suite: str) -> ScorePart:
    entry = build.config["judges"][judge]
    reward = without(build.config["rewards"][entry["reward"]], "plain")
    tasks = {name: picked(task, "fields") for name, task in tasks_of(build.config, suite).items()}
    row = build.with_model("reward", reward, tasks=tasks, judge=picked(entry, "tie"))
    return {**row, "tokens": min(reward["max_length"], resources.USUAL_TOKENS)}


@cache
def _prompts(build: Builder, suite: str) -> tuple[list[str], int]:
    """Return the prompt files of a suite and how many items they hold."""
    tasks = tasks_of(build.config, suite).values()
    return [task["prompts"] for task in tasks], sum(_items(build, task) for task in tasks)


def _items(build: Builder, task: dict) -> int:
    is_set = task["instructions"] in build.config["instructions"]
    return build.drawn(task["instructions"]) if is_set else sizes.count(task["prompts"])


def detectable(build: Builder, answered: Iterable[str]) -> list[dict[str, Any]]:
    """Return {suite, task, items, unpaired, paired} of each benchmark: differences of two models, in points, that it mostly detects.

    answered: model/suite of the jobs `answer`. See sample_size.detectable_difference.
    """
    found = []
    for suite in sorted({cell.split("/")[1] for cell in answered}):
        for name, task in tasks_of(build.config, suite).items():
            if items := _items(build, task):
                kinds = {"unpaired": False, "paired": True}
                points = {word: round(100 * detectable_difference(items, kind), 1) for word, kind in kinds.items()}
                found.append({"suite": suite, "task": name, "items": items, **points})
    return found


@cache
def _asked(build: Builder, suite: str, format: str) -> float | None:
    """Return the mean tokens of a suite's prompts, by the tasks whose files are at hand. An example counts as much as a question."""
    total = items = 0.0
    for task in tasks_of(build.config, suite).values():
        of_set = task["instructions"] in build.config["instructions"]
        asked = build.asked(task["instructions"]) if of_set else sizes.prompt_tokens(task["prompts"], task)
        if asked is not None:
            number = _items(build, task)
            total, items = total + number * asked * (1 + task[format]["shots"]), items + number
    return total / items if items else None
