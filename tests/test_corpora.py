"""Which responses a derived corpus takes, and the examples that SFT sees."""

import hashlib

import pytest
from tables import entry, likelihoods, responses, rewards
from teachergrid import artifacts
from teachergrid.corpora import examples, select
from teachergrid.errors import BadInput
from teachergrid.frames import frame

IDS = ("i1", "i2", "i3", "i4")
REWARD = entry("reward_mean", reward="rm")


def frames(scores: dict, text: dict | None = None) -> dict:
    """scores: {teacher: rewards of IDS, each a number or a reason}; text: {(teacher, id): response}."""
    return {
        teacher: frame(
            {teacher: responses({(id, 0): (text or {}).get((teacher, id), f"{teacher} says {id}") for id in IDS})},
            {"rm": {teacher: rewards({(id, 0): score for id, score in zip(IDS, row, strict=True)})}},
            {},
            text=False,
        )
        for teacher, row in scores.items()
    }


def chosen(choose: str, scores: dict, metric=REWARD, seed=0, **settings) -> dict:
    rows = select({"choose": choose}, metric, frames(scores, **settings), seed)
    artifacts.table(rows, artifacts.CORPUS)
    return {row["id"]: row["teacher"] for row in rows}


SCORES = {"a": [1, 5, -2, 0.5], "b": [2, 4, -1, 0.25], "c": [3, 3, -3, 0.75]}


def test_best_and_worst():
    assert chosen("best", SCORES) == {"i1": "c", "i2": "a", "i3": "b", "i4": "c"}
    assert chosen("worst", SCORES) == {"i1": "a", "i2": "c", "i3": "c", "i4": "b"}


def test_why():
    rows = select({"choose": "best"}, REWARD, frames(SCORES), 0)
    assert rows[0] == {"id": "i1", "sample": 0, "teacher": "c", "why": "best of 3 by reward_mean/rm: 3"}
    assert select({"choose": "worst"}, REWARD, frames(SCORES), 0)[3]["why"] == "worst of 3 by reward_mean/rm: 0.25"


def test_the_best_of_a_metric_where_lower_is_better_is_the_lowest():
    def scored(*losses):
        keys = [(id, 0) for id in IDS]
        rows = {key: (1, 1, 0, -1, -loss, 0, -1, 0) for key, loss in zip(keys, losses, strict=True)}
        return {("self", "chat"): {"t": likelihoods(rows)}}, {"t": responses(dict.fromkeys(keys, "text"))}

    both = {
        name: frame(texts, {}, table)
        for name, (table, texts) in {"x": scored(1, 2, 3, 4), "y": scored(4, 3, 2, 1)}.items()
    }
    rows = select({"choose": "best"}, entry("nll_mean"), both, 0)
    assert [row["teacher"] for row in rows] == ["x", "x", "y", "y"]


def test_undefined_values_and_empty_responses_are_never_chosen(capsys):
    scores = {"a": ["too long", 9, 1, 1], "b": [1, float("nan"), 1, 2], "c": ["too long", "too long", 1, 3]}
    text = {("a", "i2"): " ", ("c", "i4"): ""}
    assert chosen("best", scores, text=text)["i1"] == "b"
    assert "i2" not in chosen("best", scores, text=text) and chosen("best", scores, text=text)["i4"] == "b"
    assert chosen("random", scores, text=text)["i1"] == "b"
    assert "1 of 4 instructions left out: no response with a value of reward_mean/rm" in capsys.readouterr().out


def test_ties_are_broken_by_hash_and_not_by_order():
    tied = {"a": [1, 1, 1, 1], "b": [1, 1, 1, 1], "c": [0, 0, 0, 0]}
    by_hand = {id: min("ab", key=lambda t: hashlib.sha256(f"7/{id}/{t}/0".encode()).digest()) for id in IDS}
    assert chosen("best", tied, seed=7) == by_hand
    assert chosen("best", dict(reversed(tied.items())), seed=7) == by_hand
    assert {tuple(chosen("best", tied, seed=seed).values()) for seed in range(8)} != {tuple(by_hand.values())}


def test_random_takes_every_teacher_and_hangs_on_the_seed():
    picks = [chosen("random", SCORES, seed=seed) for seed in range(12)]
    assert {pick["i1"] for pick in picks} == {"a", "b", "c"}
    assert chosen("random", SCORES, seed=3) == picks[3]


def test_an_unsuitable_metric_is_refused():
    with pytest.raises(BadInput, match="compression"):
        select({"choose": "best"}, entry("compression"), frames(SCORES), 0)


INSTRUCTIONS = artifacts.table(
    [
        {"id": id, "messages": [{"role": "user", "content": f"ask {id}"}], "source": "test", "round": 0}
        for id in ("i1", "i2", "i3")
    ],
    artifacts.INSTRUCTIONS,
)


def test_examples_of_a_whole_teacher():
    table = responses({("i2", 0): "two", ("i1", 1): "one again", ("i1", 0): "one", ("i3", 0): "  \n"})
    rows, left_out = examples({"t": table}, None, [INSTRUCTIONS])
    assert [row[1:] for row in rows] == [("one", "t", "i1", 0), ("one again", "t", "i1", 1), ("two", "t", "i2", 0)]
    assert rows[0][0] == [{"role": "user", "content": "ask i1"}]
    assert left_out == {"empty": 1}


def test_examples_of_a_derived_corpus():
    corpus = artifacts.table(
        [{"id": "i1", "sample": 0, "teacher": "b", "why": ""}, {"id": "i2", "sample": 0, "teacher": "a", "why": ""}],
        artifacts.CORPUS,
    )
    tables = {t: responses({("i1", 0): f"{t} one", ("i2", 0): f"{t} two"}) for t in "ab"}
    rows, left_out = examples(tables, corpus, [INSTRUCTIONS])
    assert [row[1:] for row in rows] == [("b one", "b", "i1", 0), ("a two", "a", "i2", 0)] and left_out == {"empty": 0}


def test_examples_without_their_instruction_are_an_error():
    with pytest.raises(BadInput, match="id 'i9' is in none of the instruction sets"):
        examples({"t": responses({("i9", 0): "nine"})}, None, [INSTRUCTIONS])
