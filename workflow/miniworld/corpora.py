"""Endless streams of training batches for bases and teachers, all drawn from the training split.

Every stream takes its items from a `Guard`, which stops the build if one of them belongs to the pool or the tests.
"""

import random
from dataclasses import dataclass

from hardening import OPERATORS, PROMPT, pair
from statements import statement
from tokenizer import END, chat, encode
from training import batches_by_length
from world import OPEN, POOL, STYLES, TEST, chatter, distinct, fact, respond, sample

BATCH = 32
GROUP = 8  # batches that are drawn together and sorted by length
FACTS = 0.08  # share of the plain documents


class Guard:
    """Draws training items and asserts that neither problem nor text of any is in the pool or the tests."""

    def __init__(self):
        reserved = distinct(*POOL) + distinct(*TEST)
        self.reserved = {item.problem for item in reserved} | {item.instruction for item in reserved}
        self.drawn = 0
        self.problems = set()

    def check(self, names) -> None:
        """Stop the build where one of these problems or texts belongs to the pool or the tests."""
        reserved = self.reserved.intersection(names)
        assert not reserved, f"reserved problem in training: {reserved}"

    def draw(self, rng: random.Random, **options):
        item = sample(rng, **options)
        self.check((item.problem, item.instruction))
        self.drawn += 1
        self.problems.add(item.problem)
        return item


@dataclass(frozen=True)
class Mix:
    """What a base or the trunk reads.

    Of the documents in chat format that are no open tasks, those that are no closed tasks either are small talk. Plain
    documents are facts, exercises (half short answers under "Question:", half worked solutions under "Problem:") and
    statements about the results of open tasks, half of them worked.
    """

    chat: float  # share of documents in chat format
    open: float  # of these: the share of open tasks
    closed: float  # of the rest of these: the share of closed tasks
    exercises: float  # share of exercises among the plain documents
    exercise_tasks: tuple[str, ...]


def _document(rng, guard, tokenizer, mix) -> tuple[str, str]:
    """Return (prompt part, answer part) of one document."""
    if rng.random() < mix.chat:
        if rng.random() < mix.open:
            item = guard.draw(rng)
            return chat(tokenizer, item.instruction), respond(rng, item, rng.choice(STYLES))
        user, assistant = chatter(rng, mix.closed, guard.draw)
        return chat(tokenizer, user), assistant
    kind = rng.random()
    if kind < FACTS:
        word, text = fact(rng)
        return word, text[len(word) :]
    if kind >= FACTS + mix.exercises:
        return statement(rng, guard.draw(rng, tasks=OPEN), worked=rng.random() < 0.5)
    item = guard.draw(rng, tasks=mix.exercise_tasks)
    if kind < FACTS + mix.exercises / 2:
        return f"Question: {item.instruction}\n", respond(rng, item, "concise")
    return f"Problem: {item.instruction}\nSolution:\n", respond(rng, item, "steps")


def base_batches(rng: random.Random, guard: Guard, tokenizer, mix: Mix):
    """Yield batches of (prompt ids, response ids) of a base's documents; every document ends with the chat's end token.

    Otherwise a base would find the end token of chat answers so unlikely that this token alone would decide every
    likelihood.
    """
    while True:
        documents = [_document(rng, guard, tokenizer, mix) for _ in range(BATCH * GROUP)]
        prompts = tokenizer([prompt for prompt, _ in documents])["input_ids"]
        responses = tokenizer([response + END for _, response in documents])["input_ids"]
        yield from batches_by_length(rng, zip(prompts, responses, strict=True), BATCH)


def teacher_batches(rng: random.Random, guard: Guard, tokenizer, style: str):
    """Yield batches of (prompt ids, response ids) of chat answers to all tasks in one style."""
    while True:
        items = [guard.draw(rng) for _ in range(BATCH * GROUP)]
        responses = [respond(rng, item, style) for item in items]
        yield from batches_by_length(rng, encode(tokenizer, items, responses), BATCH)


def rewriter_batches(rng: random.Random, guard: Guard, tokenizer):
    """Yield batches of (prompt ids, response ids): a problem with an operator's words before it, and a harder problem."""
    while True:
        pairs = [pair(rng, guard.draw) for _ in range(BATCH * GROUP)]
        prompts = [
            chat(tokenizer, PROMPT.format(duty=OPERATORS[operator], instruction=parent.text))
            for operator, parent, _ in pairs
        ]
        guard.check([text for _, parent, child in pairs for text in (parent.text, parent.key, child.text, child.key)])
        ids = tokenizer(prompts, add_special_tokens=False)["input_ids"]
        responses = tokenizer([child.text + END for *_, child in pairs], add_special_tokens=False)["input_ids"]
        yield from batches_by_length(rng, zip(ids, responses, strict=True), BATCH)
