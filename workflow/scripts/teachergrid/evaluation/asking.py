"""A language model as a judge: what it is asked about one model's answers, and what it says (artifacts.VERDICTS).

What is said is paid for, so it is kept as it is: how replies are read, and what becomes of them, is in `verdicts`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, cast

import pyarrow as pa

from ..data import loading
from ..engines import openai, rows
from ..engines.engine import ENGINES
from ..engines.requests import Endpoint, Output, Request, Sampling, Setup
from ..spec import canonical
from ..spec.canonical import picked, without
from ..spec.settings import ChatSettings
from ..store import artifacts
from ..store.results import RESULTS
from . import judge_prompts, protocols
from .cases import cases as cases_of
from .protocols import BOTH, PROTOCOLS, Case

# a judge's prompt has a system message of its own; an endpoint has a template of its own
CHAT: ChatSettings = {"template": "own", "template_args": {}, "system": None}


class Question(NamedTuple):
    """A request about a case. order: in which the answers are shown."""

    case: Case
    order: str
    request: Request


@dataclass(frozen=True)
class Judge:
    """A judge as its spec has it.

    protocol: its name. both: whether both orders are asked. prompts: {name: text}. sampling: of its replies.
    """

    protocol: str
    both: bool
    prompts: Mapping[str, str]
    sampling: Sampling

    @classmethod
    def of(cls, settings: Mapping) -> "Judge":
        """Return the judge of the part `judge` of a spec. Raises BadInput, with the remedy, where an official prompt was not fetched."""
        prompts = {name: judge_prompts.resolved(name, text) for name, text in settings["prompts"].items()}
        return cls(settings["protocol"], settings["order"] == BOTH, prompts, settings["sampling"])

    def questions(self, cases: Sequence[Case]) -> list[Question]:
        """Return all that the judge has to be asked about cases, case by case."""
        how = PROTOCOLS[self.protocol]
        made = []
        for case in cases:
            orders = protocols.asked(how, case, self.both)
            for order, request in zip(orders, protocols.requests(how, case, orders, self.prompts), strict=True):
                made.append(Question(case, order, request._replace(sampling=self.sampling)))
        return made


def settings_of(entry: dict) -> dict:
    """Return what decides a judge's verdicts beside its model: the part `judge` of their spec. entry: of the config."""
    how, version = PROTOCOLS[entry["protocol"]], entry["prompt_version"]
    names = {how.prompt(category) for category in (None, *protocols.CATEGORIES)}
    sampling: Sampling = {**how.sampling, "max_tokens": entry["max_tokens"] or how.sampling["max_tokens"]}
    if how.logprobs:
        sampling["top_logprobs"] = how.logprobs
    loaded = ("engine", "template", "template_args", "refused_prompts", "batch", "shard")
    return {
        **without(picked(entry, *loaded), *ENGINES[entry["engine"]].unused),
        "protocol": entry["protocol"],
        "order": entry["order"],
        "prompts": {
            name: judge_prompts.mark(name)
            if entry["prompt"] == judge_prompts.OWN
            else entry["prompt"] or judge_prompts.load(name, version)
            for name in sorted(names)
        },
        "sampling": sampling,
    }


def unanswered(spec: str, prompts: Sequence[str], baselines: Sequence[str], model: str, suite: str) -> int:
    """Return how many requests about answers that are there the log of an endpoint's requests does not answer.

    Args:
        spec, prompts, baselines: of the job; model, suite: whose answers it judges.
    Raises:
        FileNotFoundError, BadInput: answers or prompts are not there, or cannot be read.
    """
    parts = canonical.load(spec)
    paths = [f"{RESULTS}/answers/{name}/{suite}.parquet" for name in (model, *baselines)]
    own, *others = (artifacts.read(path, artifacts.ANSWERS) for path in paths)
    tasks = loading.load_tasks(parts["tasks"], prompts)
    judged = cases_of(own, (*others, own)[0], tasks, parts["judge"]["protocol"])
    requests = [question.request for question in Judge.of(parts["judge"]).questions(judged)]
    return openai.unanswered(requests, {"teacher": CHAT, "model": parts["model"]}, Path(RESULTS))


def ask(cases: Sequence[Case], settings: Mapping, work: Path, results: Path, job: str) -> pa.Table:
    """Return what a judge says about cases (artifacts.VERDICTS), case by case.

    Args:
        settings: {"judge": see settings_of, "model": its model, "endpoint": that serves it, where one does}.
        work: folder of unfinished shards.
        results, job: the folder of results, and rule/cell, by which the log of what was paid is kept.
    Raises:
        BadInput: as its engine does.
    """
    entry = settings["judge"]
    judge, served = Judge.of(entry), settings.get("endpoint")
    endpoint = Endpoint.of(served["name"], served) if served else None
    questions = judge.questions(cases)
    print(f"{len(questions)} requests about {len(cases)} answers", flush=True)
    if not questions:  # the opponent against itself, or all answers empty
        return artifacts.VERDICTS.empty_table()
    asked = [question.request for question in questions]
    price = endpoint.price if endpoint and None not in (endpoint.price.usd_in, endpoint.price.usd_out) else None

    def row(number: int, output: Output) -> dict:
        case, order, _ = questions[number]
        cost = price.of(output["prompt_tokens"], output["response_tokens"]) if price else None
        logprobs = output.get("logprobs")
        return {
            **{"task": case.task, "id": case.id, "sample": case.sample, "order": order, "cost": cost},
            "text": output["text"],
            "finish_reason": output["finish_reason"],
            "logprobs": None if logprobs is None else [{"token": name, "logprob": value} for name, value in logprobs],
            "prompt_tokens": output["prompt_tokens"],
            "response_tokens": output["response_tokens"],
        }

    chat = cast(ChatSettings, CHAT | picked(entry, "template", "template_args", "refused_prompts"))
    setup = Setup(
        settings["model"],
        chat,
        requests=asked,
        batch=entry["batch"],
        shard=entry["shard"],
        work=work,
        endpoint=endpoint,
        job=job,
        results=results,
    )
    made = rows.made(entry["engine"], setup, [len(asked)], row, artifacts.VERDICTS, "verdicts")
    return pa.concat_tables(made.tables)
