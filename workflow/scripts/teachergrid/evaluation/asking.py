"""A language model as a judge: what it is asked about one model's answers, and what it says (artifacts.VERDICTS).

What is said is paid for, so it is kept as it is: how replies are read, and what becomes of them, is in `verdicts`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from ..engines import rows
from ..engines.requests import Endpoint, Output, Request, Sampling, Setup
from ..spec.settings import ChatSettings
from ..store import artifacts
from . import judge_prompts, protocols
from .protocols import BOTH, PROTOCOLS, Case

ENGINE = "openai"
CHAT: ChatSettings = {"template": "own", "template_args": {}, "system": None}  # an endpoint has a template of its own
SHARD = 1024  # rows after which they are saved; what was paid is saved at once, in the log


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


def settings_of(entry: Mapping) -> dict:
    """Return what decides a judge's verdicts beside its model: the part `judge` of their spec. entry: of the config."""
    how, version = PROTOCOLS[entry["protocol"]], entry["prompt_version"]
    names = {how.prompt(category) for category in (None, *protocols.CATEGORIES)}
    sampling: Sampling = {**how.sampling, "max_tokens": entry["max_tokens"] or how.sampling["max_tokens"]}
    if how.logprobs:
        sampling["top_logprobs"] = how.logprobs
    return {
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


def ask(cases: Sequence[Case], settings: Mapping, work: Path, results: Path, job: str) -> pa.Table:
    """Return what a judge says about cases (artifacts.VERDICTS), case by case.

    Args:
        settings: {"judge": see settings_of, "model": its model, "endpoint": that serves it}.
        work: folder of unfinished shards.
        results, job: the folder of results, and rule/cell, by which the log of what was paid is kept.
    Raises:
        BadInput: as engines.openai does.
    """
    judge, endpoint = Judge.of(settings["judge"]), Endpoint.of(settings["endpoint"]["name"], settings["endpoint"])
    questions = judge.questions(cases)
    print(f"{len(questions)} requests about {len(cases)} answers", flush=True)
    if not questions:  # the opponent against itself, or all answers empty
        return artifacts.VERDICTS.empty_table()
    asked = [question.request for question in questions]
    priced = None not in (endpoint.price.usd_in, endpoint.price.usd_out)

    def row(number: int, output: Output) -> dict:
        case, order, _ = questions[number]
        cost = endpoint.price.of(output["prompt_tokens"], output["response_tokens"]) if priced else None
        logprobs = output.get("logprobs")
        return {
            **{"task": case.task, "id": case.id, "sample": case.sample, "order": order, "cost": cost},
            "text": output["text"],
            "finish_reason": output["finish_reason"],
            "logprobs": None if logprobs is None else [{"token": name, "logprob": value} for name, value in logprobs],
            "prompt_tokens": output["prompt_tokens"],
            "response_tokens": output["response_tokens"],
        }

    setup = Setup(
        settings["model"], CHAT, requests=asked, shard=SHARD, work=work, endpoint=endpoint, job=job, results=results
    )
    made = rows.made(ENGINE, setup, [len(asked)], row, artifacts.VERDICTS, "verdicts")
    return pa.concat_tables(made.tables)
