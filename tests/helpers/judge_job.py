"""Jobs in which a tiny model judges, also as a program that can be killed: python judge_job.py REPO FOLDER"""

import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from generations import MODEL
from judged_rows import answers, prompts
from teachergrid.evaluation import asking
from teachergrid.evaluation.cases import cases
from teachergrid.evaluation.protocols import Case
from teachergrid.spec import canonical, schema

ENTRY = schema.filled({"protocol": "pairwise"}, schema.definition("judge"))
OWN = ENTRY | {"engine": "transformers", "batch": 2, "shard": 2}
ITEMS = {"open": prompts(q1="1?", q2="2?", q3="3?", q4="4?")}
JUDGED = cases(answers(q1="a", q2="b", q3="", q4="d"), answers(q1="A", q2="b", q3="C", q4="D"), ITEMS, "pairwise")
MANY = 40


def settings_of(entry: dict) -> dict:
    """Return the part `judge` of a spec as a job reads it."""
    return canonical.load(canonical.dump(judge=asking.settings_of(entry)))["judge"]


def told(repo: str, work: Path, judged: Sequence[Case] = JUDGED, **entry) -> pa.Table:
    """Return what a model says of answers. entry: keys of the judge."""
    settings = {"judge": settings_of(OWN | entry), "model": MODEL | {"repo": repo, "api": None}}
    return asking.ask(judged, settings, work, work, "ask/m/s/j")


def many(repo: str, work: Path) -> pa.Table:
    """Return what a model says of MANY answers, each in both orders."""
    texts = {f"q{i}": f"{i}?" for i in range(MANY)}
    sides = answers(**texts), answers(**{name: text + "!" for name, text in texts.items()})
    return told(repo, work, cases(*sides, {"open": prompts(**texts)}, "pairwise"), max_tokens=24)


if __name__ == "__main__":
    many(sys.argv[1], Path(sys.argv[2]))
