"""The mini world: instructions with verifiable answers, two answer styles, a verifier and the split by problem.

    rng = random.Random(0)
    item = sample(rng)                      # a problem of the training split
    text = respond(rng, item, "steps")      # "1 + 2 + 0 = 3 . Answer: 3"
    verify(item.answer, text)               # True

A problem is a task and its content without phrasing and format constraint. A tenth of all open problems, chosen by a
hash of the problem, is for tests only, a tenth for the pool of instructions only; whatever trains a base, a teacher or
the reward model draws from the rest. Standard library only.
"""

import hashlib
import random
import re
from dataclasses import dataclass

from problems import CATEGORY_OF, MEMBER, TASKS, WORDS

STYLES = ("concise", "steps")
# These tasks have few distinct problems, so they are never in the pool or the tests; bases know them in chat format.
CLOSED = ("spell", "unit", "mul")
OPEN = tuple(task for task in TASKS if task not in CLOSED)
LEVELS = (1, 2, 3)
SPLIT_OF_HASH = {0: "test", 1: "pool"}  # all other remainders are for training
POOL = ("pool", 800, 2024)  # split, distinct problems, seed
TEST = ("test", 700, 2025)

CONSTRAINTS = {
    "none": ((), lambda answer: answer),
    "upper": (("Use upper case.", "Write the answer in capital letters."), str.upper),
    "brackets": (("Put the answer in brackets.", "Wrap the answer in square brackets."), "[ {} ]".format),
    "end": (("End with the word done.", "Finish with the word done."), "{} done".format),
    "twice": (("Say the answer twice.", "Give the answer two times."), "{0} and {0}".format),
}
SMALL_TALK = (
    ("Hello", "Hello ! How can I help you ?"),
    ("Thank you", "You are welcome !"),
    ("Good bye", "Have a good day !"),
)


@dataclass(frozen=True)
class Item:
    """One instruction with its right answer."""

    task: str
    level: int
    instruction: str
    answer: str  # what a right response has after "Answer:"
    raw: str  # the answer before the format constraint
    constraint: str
    steps: str  # the worked solution
    problem: str  # key of the problem: equal for all phrasings and constraints
    first: str  # the first phrasing, without constraint

    def row(self) -> dict:
        """Return the line of a data file."""
        return {
            "instruction": self.instruction,
            "answer": self.answer,
            "category": self.task,
            "level": self.level,
            "problem": self.problem,
        }


def problem_key(task: str, phrasing: str) -> str:
    """Return the key of a problem from its first phrasing; a sum is the same problem in both orders."""
    if task == "add" or phrasing.startswith("Add "):
        phrasing = " ".join([phrasing.split()[0], *sorted(re.findall(r"\d+", phrasing))])
    return f"{task}|{phrasing}"


def split_of(task: str, problem: str) -> str:
    """Return the split ("test", "pool" or "train") that a problem belongs to."""
    if task in CLOSED:
        return "train"
    digest = hashlib.sha256(problem.encode()).hexdigest()
    return SPLIT_OF_HASH.get(int(digest, 16) % 10, "train")


def sample(rng: random.Random, split="train", tasks=None, levels=LEVELS, constrained=0.35) -> Item:
    """Draw one item of a split; `constrained` is the share with a format constraint."""
    tasks = tasks or (tuple(TASKS) if split == "train" else OPEN)
    while True:
        task, level = rng.choice(tasks), rng.choice(levels)
        phrasings, raw, steps = TASKS[task](rng, level)
        instruction, constraint = rng.choice(phrasings), "none"
        if rng.random() < constrained:
            fitting = [c for c in CONSTRAINTS if c != "none" and (c != "upper" or re.search("[a-z]", raw))]
            constraint = rng.choice(fitting)
            joint = " " if instruction.endswith("?") else " . "
            instruction += joint + rng.choice(CONSTRAINTS[constraint][0])
        problem = problem_key(task, phrasings[0])
        if split_of(task, problem) == split:
            answer = CONSTRAINTS[constraint][1](raw)
            return Item(task, level, instruction, answer, raw, constraint, steps, problem, phrasings[0])


def distinct(split: str, n: int, seed: int) -> list[Item]:
    """Return n items of a split, no problem twice."""
    rng, items = random.Random(seed), {}
    while len(items) < n:
        item = sample(rng, split)
        items.setdefault(item.problem, item)
    return list(items.values())


def respond(rng: random.Random, item: Item, style: str, answer: str | None = None) -> str:
    """Return the response in a style, to the right answer or to another one."""
    final = f"Answer: {answer or item.answer}"
    return final if style == "concise" else f"{item.steps} {final}"


def corrupt(rng: random.Random, item: Item) -> str:
    """Return a wrong final answer of the right form: two parts are exchanged, or one is replaced by a similar one."""
    right = item.raw.split()
    all_equal = len(right) > 1 and len(set(right)) == 1
    wrong = right
    while wrong == right:
        wrong = right[:]
        i = rng.randrange(len(wrong))
        if len(wrong) > 1 and rng.random() < 0.5:
            j = rng.randrange(len(wrong))
            wrong[i], wrong[j] = wrong[j], wrong[i]
        elif wrong[i].isdigit():
            wrong[i] = str(max(0, int(wrong[i]) + rng.choice((-10, -2, -1, 1, 2, 10))))
        else:
            wrong[i] = rng.choice("abcdefghijklmnoprstuvwxyz" if len(wrong[i]) == 1 else WORDS)
        if wrong == right and all_equal:
            wrong = [*right, right[-1]]
    return CONSTRAINTS[item.constraint][1](" ".join(wrong))


def extract(text: str) -> str | None:
    """Return the stripped text after the last "Answer:" up to the end of its line; None without one."""
    return text.rsplit("Answer:", 1)[1].split("\n")[0].strip() if "Answer:" in text else None


def verify(answer: str, text: str) -> bool:
    """Return whether a response gives exactly this answer."""
    return extract(text) == answer


def fact(rng: random.Random) -> tuple[str, str]:
    """Return a word and a text of facts about it."""
    word = rng.choice(WORDS)
    letters = " ".join(word)
    kind = MEMBER[CATEGORY_OF[word]]
    return word, f"{word} is {kind} . {word} is spelled {letters} . In capital letters : {word.upper()} ."


def chatter(rng: random.Random, closed: float, draw=sample) -> tuple[str, str]:
    """Return (user, assistant): a closed task with probability `closed`, else small talk that contains no task at all."""
    if rng.random() < closed:
        item = draw(rng, tasks=CLOSED)
        return item.instruction, respond(rng, item, rng.choice(STYLES))
    if rng.random() < 0.2:
        return rng.choice(SMALL_TALK)
    word, text = fact(rng)
    return rng.choice(("Tell me about {}", "What do you know about {}?")).format(word), text
