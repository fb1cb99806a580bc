"""Auto Evol-Instruct's optimisation of its method (2406.00770): a model reads what its method did, and writes better ones.

A step rewrites a mini-batch with the method so far, lets the model say what went wrong, and lets it write several new methods. Each
rewrites the same dev set, the model answers, and rules on the answers count failures. The method with the fewest failures is taken if
it has fewer than the one before; else the optimisation is over.

One model evolves, optimises and answers, so it is loaded once. What it wrote is kept after each call, so that a kill loses one.
"""

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from ..engines import engine
from ..engines.requests import Endpoint, Request, Sampling, Setup
from ..errors import BadInput
from ..store import origin
from . import elimination, texts
from .steps import Row, last_turn

EVOLVE, WRITE = "evolve", "write"  # greedy; and sampled, for several opinions
DRAWN = {EVOLVE: (0.0, 1.0), WRITE: (0.6, 0.95)}  # temperature and top_p, as 2406.00770 has them
# an answer that says that the instruction was no harder, or not one to answer; the rules are 2406.00770's
STAGNANT = ("understood", "thank you", "what", "that is correct", "great")
UNQUALIFIED = ("sure",)
LOST = "please provide"
LONGEST = 12_000  # words of a prompt at most, which are about as many tokens
_FENCE = re.compile(r"```[\w-]*\n(.*?)\n```", re.S)


class Prompt(NamedTuple):
    """A prompt. id: of its draws, which no other prompt of the job has. how: EVOLVE or WRITE."""

    id: str
    text: str
    how: str


# gets prompts and returns what the model wrote to each
Ask = Callable[[Sequence[Prompt]], list[str]]


class Asker:
    """Asks a model, and keeps what it wrote in a folder: a call that was made before is read from there."""

    def __init__(self, ask: Ask, folder: Path) -> None:
        self._ask, self._folder = ask, folder

    def __call__(self, name: str, prompts: list[tuple[str, str]], how: str) -> list[str]:
        """Return what the model wrote. name: of the call. prompts: [(id within the call, text)]."""
        asked = [Prompt(f"{name}/{id}", text, how) for id, text in prompts]
        digest = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]
        path = self._folder / f"{name.replace('/', '-')}-{digest}.json"
        if path.is_file():
            written: list[str] = json.loads(path.read_text())
            return written
        written = self._ask(asked)
        origin.replace_text(path, json.dumps(written, ensure_ascii=False))
        return written


def asker(settings: dict[str, Any], folder: Path, results: Path, job: str) -> Asker:
    """Return what asks the teacher of an evolution; its model is loaded at the first call that was not made before.

    Args:
        settings: `teacher`, `model`, `optimise`, and `endpoint` where one serves the model.
        folder: of the job's unfinished work. results: the folder of results. job: rule/cell.
    """
    teacher, seed = settings["teacher"], settings["optimise"]["seed"]
    samplings = {how: _sampling(teacher["sampling"]["max_tokens"], seed, *drawn) for how, drawn in DRAWN.items()}
    # what comes later follows from what the model writes, and an engine wants to know how long a prompt may be
    longest = Request("longest", 0, [{"role": "user", "content": "word " * LONGEST}], None, samplings[WRITE])
    setup = Setup(settings["model"], teacher, requests=[longest], batch=teacher["batch"], work=folder)
    if entry := settings.get("endpoint"):
        setup = replace(setup, endpoint=Endpoint.of(entry["name"], entry), job=job, results=results)
    generate = engine.load(teacher["engine"], setup)

    def ask(prompts: Sequence[Prompt]) -> list[str]:
        requests = [
            Request(prompt.id, 0, [{"role": "user", "content": prompt.text}], None, samplings[prompt.how])
            for prompt in prompts
        ]
        outputs = dict(generate(requests))
        return [outputs[number]["text"] for number in range(len(requests))]

    return Asker(ask, folder)


def _sampling(max_tokens: int, seed: int, temperature: float, top_p: float) -> Sampling:
    drawn: Sampling = {
        "temperature": temperature,
        "top_p": top_p,
        "top_k": 0,
        "max_tokens": max_tokens,
        "samples": 1,
        "seed": seed,
    }
    return drawn


def optimise(name: str, rows: list[Row], settings: dict[str, Any], ask: Asker) -> dict[str, Any]:
    """Return {"method", "failure_rate", "start", "steps", "stopped"}: the best method, and all that was tried.

    Args:
        name: of the evolution, for messages.
        rows: of the set that is evolved; the dev set and the mini-batches are drawn from it.
        settings: `steps`, `batch`, `dev`, `candidates`, `rounds`, `seed`; `texts`: method, analyse, improve, final and labels.
    Raises:
        BadInput: there are fewer rows than dev set and one mini-batch need.
    """
    needed = settings["dev"] + settings["batch"]
    if len(rows) < needed:
        raise BadInput(
            f"config.evolutions.{name}.optimise: the set has {len(rows)} instructions, and dev set and mini-batch need {needed}; lower "
            "`dev` or `batch`"
        )
    drawn = sorted(rows, key=lambda row: _drawn(settings["seed"], row["id"]))
    dev, rest = drawn[: settings["dev"]], drawn[settings["dev"] :]
    method = settings["texts"]["method"]
    rate = failure_rate(dev, method, settings, ask, "start")
    result: dict[str, Any] = {"start": {"method": method, "failure_rate": rate}, "steps": []}
    stopped = f"after {settings['steps']} steps"
    for number in range(1, settings["steps"] + 1):
        first = (number - 1) * settings["batch"] % len(rest)
        batch = [rest[(first + i) % len(rest)] for i in range(settings["batch"])]
        step = _step(number, method, batch, dev, settings, ask)
        tried = [candidate for candidate in step["candidates"] if candidate["failure_rate"] is not None]
        best = min(tried, key=lambda candidate: candidate["failure_rate"], default=None)
        step["taken"] = step["candidates"].index(best) if best and best["failure_rate"] < rate else None
        result["steps"].append(step)
        print(f"step {number}: {_said(step, rate)}")
        if best is None or step["taken"] is None:
            stopped = f"after step {number}, which found no method with fewer failures"
            break
        method, rate = best["method"], best["failure_rate"]
    return {"method": method, "failure_rate": rate, **result, "stopped": stopped}


def _drawn(seed: int, id: str) -> bytes:
    return hashlib.sha256(f"{seed}/{id}".encode()).digest()


def _said(step: dict[str, Any], rate: float) -> str:
    rates = ", ".join(
        candidate["reason"] if candidate["failure_rate"] is None else f"{candidate['failure_rate']:.0%}"
        for candidate in step["candidates"]
    )
    return f"failures {rate:.0%} before; of the new methods {rates}"


def _step(
    number: int, method: str, batch: list[Row], dev: list[Row], settings: dict[str, Any], ask: Asker
) -> dict[str, Any]:
    """Return what one step tried: {"step", "trajectories", "candidates"}."""
    where, words = f"step-{number}", settings["texts"]
    trajectories = trajectories_of(batch, method, settings, ask, where)
    shown = "\n\n".join(_shown(place, stages) for place, stages in enumerate(trajectories, 1))
    drafts = range(1, settings["candidates"] + 1)
    analysis = texts.filled(words["analyse"], {"trajectories": shown})
    feedback = ask(f"{where}/analysis", [(str(i), analysis) for i in drafts], WRITE)
    improve = [texts.filled(words["improve"], {"method": method, "feedback": said}) for said in feedback]
    replies = ask(f"{where}/methods", [(str(i), text) for i, text in zip(drafts, improve, strict=True)], WRITE)
    candidates: list[dict[str, Any]] = []
    for i, said, reply in zip(drafts, feedback, replies, strict=True):
        text = fenced(reply)
        reason = useless(text, method, words["final"], [one["method"] for one in candidates])
        rate = None if reason else failure_rate(dev, text, settings, ask, f"{where}/{i}")
        candidates.append({"method": text, "feedback": said, "failure_rate": rate, "reason": reason})
    ids = [row["id"] for row in batch]
    return {
        "step": number,
        "trajectories": [{"id": id, "stages": stages} for id, stages in zip(ids, trajectories, strict=True)],
        "candidates": candidates,
    }


def fenced(reply: str) -> str:
    """Return the last fenced block of a reply; the reply itself where there is none."""
    blocks = _FENCE.findall(reply)
    return (blocks[-1] if blocks else reply).strip()


def useless(text: str, before: str, labels: list[str], others: list[str]) -> str | None:
    """Return why a method that a model wrote is not tried; None where it is. labels: of the section with the result."""
    if "{instruction}" not in text:
        return "no place for the instruction"
    if labels and not any(label.casefold() in text.casefold() for label in labels):
        return "no label for the result"
    return "the same as before" if text in (before.strip(), *others) else None


def trajectories_of(rows: list[Row], method: str, settings: dict[str, Any], ask: Asker, where: str) -> list[list[str]]:
    """Return for each row its instruction and what it became in each round; a round that failed to write one ends a row."""
    stages = [[last_turn(row)] for row in rows]
    going = list(range(len(rows)))
    for number in range(1, settings["rounds"] + 1):
        written = evolved([stages[i][-1] for i in going], method, settings, ask, f"{where}/round-{number}")
        for i, text in zip(going, written, strict=True):
            stages[i].append(text)
        going = [i for i in going if stages[i][-1]]
    return stages


def evolved(instructions: list[str], method: str, settings: dict[str, Any], ask: Asker, where: str) -> list[str]:
    """Return what a method makes of instructions; "" where the section with the result was not written."""
    prompts = [texts.filled(method, {"instruction": text}) for text in instructions]
    replies = ask(where, [(str(i), text) for i, text in enumerate(prompts)], EVOLVE)
    how = {"final": settings["texts"]["final"], "labels": settings["texts"]["labels"], "published": False}
    return [elimination.written(reply, how) for reply in replies]


def failure_rate(dev: list[Row], method: str, settings: dict[str, Any], ask: Asker, where: str) -> float:
    """Return the share of the dev set that fails (see `failed`); an instruction that the method did not write fails, too."""
    written = evolved([last_turn(row) for row in dev], method, settings, ask, f"{where}/dev")
    there = [(str(i), text) for i, text in enumerate(written) if text]
    answers = ask(f"{where}/answers", there, EVOLVE) if there else []
    return (len(written) - len(there) + sum(failed(answer) for answer in answers)) / len(dev)


def failed(answer: str) -> bool:
    """Return whether an answer shows that the evolution failed, by 2406.00770's rules.

    It begins with Understood, Thank you, What, That is correct or Great and ends with a question mark: the instruction became no harder.
    It begins with Sure and ends with one: it lacks what it needs. It holds "please provide": something of the instruction was lost.
    """
    said = answer.strip().casefold()
    asks_back = said.endswith("?") and said.startswith((*STAGNANT, *UNQUALIFIED))
    return asks_back or LOST in said


def _shown(place: int, stages: list[str]) -> str:
    lines = [f"Case {place}", *(f"Stage {number}: {text or '(nothing)'}" for number, text in enumerate(stages))]
    return "\n".join(lines)


def calls(settings: dict[str, Any]) -> int:
    """Return how many prompts an optimisation puts to its model at most."""
    on_dev = 2 * settings["dev"]
    step = settings["batch"] * settings["rounds"] + settings["candidates"] * (2 + on_dev)
    return int(on_dev + settings["steps"] * step)
