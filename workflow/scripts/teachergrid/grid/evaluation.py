"""The rows of the jobs that evaluate a model: its answers to a suite, their check, their comparison with an opponent's answers."""

from functools import cache

from ..cost import resources, workload
from ..engines.engine import ENGINES
from ..instructions import sizes
from ..spec import canonical
from ..spec.canonical import picked, without
from ..spec.ids import Model
from ..tasks import checkers
from .builder import Builder
from .config_data import tasks_of
from .rows import AnswerRow, JudgeRow, ScorePart, VerifyRow

CHAT = ("template", "template_args", "system", "plain", "refused_prompts")


def answer_row(build: Builder, model: str, suite: str) -> AnswerRow:
    """Return the row of the job in which a model answers a suite. A student answers with the chat settings of its base."""
    student = Model.parse(model).student
    prompts, items = _prompts(build, suite)
    format = format_of(build.config, model)
    return {
        **_answers(build, student.base if student else model, suite),
        "asked": _asked(build, suite, format),
        "students": [model] if student else [],
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
        # both sides are scored
        "rows": 2 * items,
    }


@cache
def _answers(build: Builder, name: str, suite: str) -> ScorePart:
    """Return spec and cost of answering a suite. name: of a reference or a base."""
    entry = build.config["references"].get(name) or build.config["bases"][name]
    chat = {**picked(entry, "model", *CHAT), "format": entry.get("format", "chat")}
    tasks = {n: _put(task, chat["format"]) for n, task in tasks_of(build.config, suite).items()}
    of_suite = build.config["suites"][suite]
    unused = ENGINES[of_suite["engine"]].unused
    row = build.with_model(
        # in specs the chat settings of a student also lie under `reference`
        "reference",
        chat if chat["format"] == "plain" else without(chat, "plain"),
        unused=unused,
        tasks=tasks,
        suite=without(picked(of_suite, "engine", "batch", "shard"), *unused),
    )
    longest = max(workload.longest(task["sampling"]) for task in tasks.values())
    return {**row, "tokens": min(longest, resources.USUAL_TOKENS)}


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
    return canonical.dump(
        tasks={n: picked(task, "fields", "checker", "checker_version") for n, task in tasks.items()},
        **({"libraries": libraries} if libraries else {}),
    )


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
    prompts = build.config["instructions"].get(task["instructions"])
    return sizes.drawn(prompts) if prompts else sizes.count(task["prompts"])


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
