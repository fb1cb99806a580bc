"""How a language model is asked for a verdict: one row of PROTOCOLS for each name that `protocol` may have in a judge's entry.

A protocol says which prompt a judge gets, in which orders the two answers are shown, how the judge's tokens are drawn, how its reply is
read, and how the replies in several orders become one verdict. What needs no judge (equal or empty answers) is decided here, too.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ..data.reasoning import strip
from ..engines.requests import Request, Sampling
from ..stats.battles import battles
from . import judge_prompts, replies
from .replies import Read, Reply

BOTH = "both"  # `order` of a judge that is asked in both orders, whatever its protocol says
CREATIVE = "creative_writing"
CATEGORIES = (CREATIVE,)  # of items that a protocol has another prompt for
# which answer the judge sees first; ALONE: it sees one answer
MODEL_FIRST, MODEL_SECOND, ALONE = "model first", "model second", "alone"


class Case(NamedTuple):
    """An answer that a judge may be asked about.

    answer, opponent: texts; opponent None: the judge sees one answer. lacking: why there is nothing to judge. Of FollowBench only: steps,
    the instructions from the plain one to this one; group and level; ruled, what its rules say of the answer, where they check it.
    """

    task: str
    id: str
    sample: int
    category: str | None
    instruction: str
    answer: str
    opponent: str | None = None
    lacking: str | None = None
    steps: tuple[str, ...] = ()
    group: int = 0
    level: int = 0  # the number of constraints
    ruled: bool | None = None


class Verdict(NamedTuple):
    """The verdict on a case. score: 0..1 for the model; None: missing, with a reason.

    first, second: the model's score in the order MODEL_FIRST and MODEL_SECOND. gains: of an Arena-Hard protocol, in the question's
    battles. satisfied: of FollowBench, each constraint.
    """

    score: float | None
    verdict: str | None = None
    reason: str | None = None
    first: float | None = None
    second: float | None = None
    gains: tuple[float, ...] = ()
    satisfied: tuple[bool, ...] = ()


class Protocol(NamedTuple):
    """See the module. orders: from the instruction to the orders that are asked. logprobs: how many are needed of the first token."""

    prompt: Callable[[str | None], str]  # from the item's category to the prompt's name
    orders: Callable[[str], tuple[str, ...]]
    sampling: Sampling
    read: Callable[[Reply, Case], Read]
    join: Callable[[dict[str, Read]], Verdict]  # from {order: what was read}
    logprobs: int = 0

    @property
    def alone(self) -> bool:
        """Whether the judge sees one answer, without an opponent."""
        return self.orders("") == (ALONE,)


def alpaca_order(instruction: str, seed: int = 0) -> str:
    """Return the one order in which AlpacaEval 2 shows a pair, drawn from the instruction itself."""
    switched = random.Random(f"is_switched_outputs{instruction}{seed}").choices([False, True], k=1)[0]
    return MODEL_FIRST if switched else MODEL_SECOND


def without_call(case: Case) -> Verdict | None:
    """Return the verdict on a case that needs no judge, else None."""
    if case.lacking:
        return Verdict(None, None, case.lacking)
    if case.ruled is not None:
        return Verdict(float(case.ruled), "satisfied" if case.ruled else "not satisfied", satisfied=(case.ruled,))
    answer = strip(case.answer).strip()
    if case.opponent is None:
        return None if answer else Verdict(0.0, "empty", satisfied=(False,) * case.level)
    opponent = strip(case.opponent).strip()
    if answer == opponent:
        return Verdict(0.5, "identical", first=0.5, second=0.5, gains=(0.5, 0.5))
    if not answer:
        return Verdict(0.0, "empty", first=0.0, second=0.0, gains=(0.0, 0.0))
    return None if opponent else Verdict(1.0, "baseline empty", first=1.0, second=1.0, gains=(1.0, 1.0))


def asked(protocol: Protocol, case: Case, both: bool = False) -> tuple[str, ...]:
    """Return the orders in which a judge has to be asked about a case. both: in both orders, whatever the protocol says."""
    if without_call(case):
        return ()
    return (MODEL_FIRST, MODEL_SECOND) if both and not protocol.alone else protocol.orders(case.instruction)


def requests(protocol: Protocol, case: Case, orders: Sequence[str], prompts: Mapping[str, str]) -> list[Request]:
    """Return what a judge is asked about a case, one request for each order.

    prompts: {name: text}, see judge_prompts. A request's id is task/id/order, so that each has its own draws.
    """
    template = prompts[protocol.prompt(case.category)]
    answer, opponent = strip(case.answer), strip(case.opponent or "")
    made = []
    for order in orders:
        shown = (opponent, answer) if order == MODEL_SECOND else (answer, opponent)
        messages = judge_prompts.filled(template, case.instruction, shown, case.steps, case.level)
        id = f"{case.task}/{case.id}/{order}"
        made.append(Request(id, case.sample, messages, case.category, protocol.sampling))
    return made


def decide(protocol: Protocol, case: Case, given: dict[str, Reply], orders: Sequence[str]) -> Verdict:
    """Return the verdict on a case from a judge's replies {order: reply}. orders: those that had to be asked."""
    if verdict := without_call(case):
        return verdict
    read = {order: protocol.read(given[order], case) for order in orders if order in given}
    missing = [order for order in orders if order not in given]
    return protocol.join(read | dict.fromkeys(missing, Read(None, None, "the judge was not asked")))


# --- from what was read in each order to a verdict


def _of_model(order: str, read: Read) -> float | None:
    """Return the model's score; what was read is that of the answer shown second, or of the only one."""
    return read.score if read.score is None or order != MODEL_FIRST else 1 - read.score


def _joined(read: dict[str, Read], score: float | None, verdict: str | None) -> Verdict:
    """Return a verdict with its scores in both orders; the reasons of what could not be read are joined."""
    reasons = dict.fromkeys(one.reason for one in read.values() if one.reason)
    by_order = {order: _of_model(order, one) for order, one in read.items()}
    return Verdict(score, verdict, "; ".join(reasons) or None, by_order.get(MODEL_FIRST), by_order.get(MODEL_SECOND))


def _mean(read: dict[str, Read]) -> Verdict:
    """Return the mean over orders; missing where one is."""
    scores = [_of_model(order, one) for order, one in read.items()]
    known = [score for score in scores if score is not None]
    if len(known) < len(scores):
        return _joined(read, None, None)
    score = sum(known) / len(known)
    return _joined(read, score, "won" if score > 0.5 else "lost" if score < 0.5 else "tie")


def _agreed(read: dict[str, Read]) -> Verdict:
    """Return what both orders say; where they disagree, the answers are a tie."""
    verdict = _mean(read)
    if verdict.score is None or verdict.first == verdict.second:
        return verdict
    return verdict._replace(score=0.5, verdict="orders disagree")


def _alone(read: dict[str, Read]) -> Verdict:
    one = read[ALONE]
    return Verdict(one.score, one.label, one.reason, satisfied=one.satisfied)


def _games(read: dict[str, Read], both: bool) -> Verdict:
    """Return the share of battles that the model wins. Game 1 has the baseline first, game 2 the model."""
    labels = {order: read[order].label if read[order].score is not None else None for order in read}
    first, second = labels.get(MODEL_SECOND), labels.get(MODEL_FIRST)
    gains = battles(first, second, both)
    verdict = ", ".join(label or "no label" for label in (first, second))
    joined = _joined(read, sum(gains) / len(gains) if gains else None, verdict if gains else None)
    # a game that is left out alone is no reason why the question has no score, but is told beside it
    return joined._replace(gains=tuple(gains), reason=None if gains else joined.reason)


def _games_v01(read: dict[str, Read]) -> Verdict:
    return _games(read, both=False)


def _games_v2(read: dict[str, Read]) -> Verdict:
    return _games(read, both=True)


# --- the table


def _named(name: str) -> Callable[[str | None], str]:
    return lambda _: name


def _arena_prompt(category: str | None) -> str:
    return "arena_hard_creative" if category == CREATIVE else "arena_hard"


def _each(reader: Callable[[Reply], Read]) -> Callable[[Reply, Case], Read]:
    return lambda reply, _: reader(reply)


def _list(reply: Reply, case: Case) -> Read:
    return replies.list_on_last_line(reply, case.level)


def _one_order(instruction: str) -> tuple[str, ...]:
    return (alpaca_order(instruction),)


def _both_orders(_: str) -> tuple[str, ...]:
    return MODEL_SECOND, MODEL_FIRST


def _only(_: str) -> tuple[str, ...]:
    return (ALONE,)


def _sampling(max_tokens: int, temperature: float = 0.0) -> Sampling:
    return {
        "temperature": temperature,
        "top_p": 1.0,
        "top_k": 0,
        "max_tokens": max_tokens,
        "samples": 1,
        "seed": None if temperature == 0 else 0,
    }


PROTOCOLS = {
    # the probabilities of the first token decide, so what is drawn does not matter
    "alpaca_eval2": Protocol(
        _named("alpaca_eval2"), _one_order, _sampling(1, 1.0), _each(replies.choice_by_logprobs), _mean, logprobs=5
    ),
    "pairwise": Protocol(_named("pairwise"), _both_orders, _sampling(1024), _each(replies.choice_in_brackets), _agreed),
    "arena_hard_v0.1": Protocol(
        _named("arena_hard"), _both_orders, _sampling(4096), _each(replies.label_of_v01), _games_v01
    ),
    "arena_hard_v2": Protocol(_arena_prompt, _both_orders, _sampling(16000), _each(replies.label_of_v2), _games_v2),
    "followbench": Protocol(_named("followbench"), _only, _sampling(1024), _list, _alone),
    "single": Protocol(_named("single"), _only, _sampling(1024), _each(replies.rating_in_brackets), _alone),
}
