"""Which responses a derived corpus takes."""

import hashlib
import json
import math
from collections import Counter

import pytest
from tables import distributions, entry, instructions, likelihoods, responses, rewards
from teachergrid.errors import BadInput
from teachergrid.metrics.join import join
from teachergrid.spec import schema
from teachergrid.store import artifacts, inputs, origin
from teachergrid.training.examples import examples
from teachergrid.training.select import select, write

INSTRUCTIONS = instructions("i1", "i2", "i3")


IDS = ("i1", "i2", "i3", "i4")
REWARD = entry("reward_mean", reward="rm")


def frames(scores: dict, text: dict | None = None) -> dict:
    """scores: {teacher: rewards of IDS, each a number or a reason}; text: {(teacher, id): response}."""
    return {
        teacher: join(
            {teacher: responses({(id, 0): (text or {}).get((teacher, id), f"{teacher} says {id}") for id in IDS})},
            {"rm": {teacher: rewards({(id, 0): score for id, score in zip(IDS, row, strict=True)})}},
            {},
            text=False,
        )
        for teacher, row in scores.items()
    }


def corpus(**settings) -> dict:
    """A config entry with all its defaults, as a job gets it."""
    return schema.filled({"by": "rm", "seed": 0, **settings}, schema.definition("corpus"))


def taken(given: dict, metrics: dict | None = None, categories=None, **settings) -> list[dict]:
    settings = corpus(**settings)
    metrics = metrics if metrics is not None else {"rm": REWARD}
    rows = select(settings, metrics if settings["by"] or settings["least"] else {}, given, categories)
    artifacts.table(rows, artifacts.CORPUS)
    return rows


def chosen(choose: str, scores: dict, metric=REWARD, seed=0, **settings) -> dict:
    rows = taken(frames(scores, **settings), {"rm": metric}, choose=choose, seed=seed)
    return {row["id"]: row["teacher"] for row in rows}


SCORES = {"a": [1, 5, -2, 0.5], "b": [2, 4, -1, 0.25], "c": [3, 3, -3, 0.75]}


def test_least_leaves_out_what_does_not_reach_it():
    long = {"rm": REWARD, "other": entry("reward_mean", reward="rm", offset=1)}
    rows = taken(frames(SCORES), long, choose="all", by=None, least={"other": 4})
    assert {(row["id"], row["teacher"]) for row in rows} == {("i1", "c"), ("i2", "a"), ("i2", "b"), ("i2", "c")}
    assert {row["id"] for row in taken(frames(SCORES), long, choose="best", least={"other": 5})} == {"i2"}
    one = {"a": [1, "no answer", 1, 1]}
    assert {row["id"] for row in taken(frames(one), {"rm": REWARD}, choose="all", by=None, least={"rm": 0})} == {
        "i1",
        "i3",
        "i4",
    }


def test_best_and_worst():
    assert chosen("best", SCORES) == {"i1": "c", "i2": "a", "i3": "b", "i4": "c"}
    assert chosen("worst", SCORES) == {"i1": "a", "i2": "c", "i3": "c", "i4": "b"}


def test_why():
    rows = taken(frames(SCORES))
    assert rows[0] == {"id": "i1", "sample": 0, "teacher": "c", "why": "best of 3 by reward_mean/rm: 3"}
    assert taken(frames(SCORES), choose="worst")[3]["why"] == "worst of 3 by reward_mean/rm: 0.25"


def test_the_best_of_a_metric_where_lower_is_better_is_the_lowest():
    def scored(*losses):
        keys = [(id, 0) for id in IDS]
        rows = {key: (1, 1, 0, -1, -loss, 0, -1, 0) for key, loss in zip(keys, losses, strict=True)}
        return {("self", "chat"): {"t": likelihoods(rows)}}, {"t": responses(dict.fromkeys(keys, "text"))}

    both = {
        name: join(texts, {}, table)
        for name, (table, texts) in {"x": scored(1, 2, 3, 4), "y": scored(4, 3, 2, 1)}.items()
    }
    rows = taken(both, {"nll": entry("nll_mean")}, by="nll")
    assert [row["teacher"] for row in rows] == ["x", "x", "y", "y"]


def test_lark_compares_the_teachers_of_a_prompt():
    """Losses 1 and 3, Brier scores 0.2 and 0.9; each alone has B / L."""

    def scored(loss, brier):
        table = {("i1", 0): (1, 1, 0, -1, -loss, 0, -1, 0)}
        sure = {("i1", 0): (0.5, 0, brier, 0, 1, 0)}
        both = {("self", "chat"): {"t": likelihoods(table)}}
        both["self", f"{inputs.DISTRIBUTIONS}chat"] = {"t": distributions(sure)}
        return join({"t": responses({("i1", 0): "yes"})}, {}, both, text=False)

    rows = taken({"a": scored(1, 0.2), "b": scored(3, 0.9)}, {"lark": entry("lark")}, by="lark")
    value = 3 / 4 * (2 * 0.9 / 3 - (0.2 + 0.9) / 4)
    assert [(row["teacher"], row["why"]) for row in rows] == [("b", f"best of 2 by lark/chat: {value:.3g}")]


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


def test_random_takes_every_teacher_and_depends_on_the_seed():
    picks = [chosen("random", SCORES, seed=seed) for seed in range(12)]
    assert {pick["i1"] for pick in picks} == {"a", "b", "c"}
    assert chosen("random", SCORES, seed=3) == picks[3]


def test_an_unsuitable_metric_is_refused():
    with pytest.raises(BadInput, match="compression"):
        taken(frames(SCORES), {"rm": entry("compression")})


def test_the_same_rows_for_other_reasons_are_the_same_bytes(tmp_path):
    rows = [{"id": "i1", "sample": 0, "teacher": "a", "why": "best of 2 by car: 1"}]
    for name, why in (("one", "best of 2 by car: 1"), ("two", "best of 2 by car: 0.9")):
        made_from = {"rule": "select", "spec": json.dumps({"why": why}), "inputs": {}}
        write(tmp_path / name, [{**row, "why": why} for row in rows], made_from)
        assert origin.read(tmp_path / name) == made_from
        assert artifacts.read(f"{tmp_path / name}.why", artifacts.CORPUS)["why"].to_pylist() == [why]
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    # and it is what SFT reads
    assert examples({"a": responses({("i1", 0): "text"})}, str(tmp_path / "one"), [INSTRUCTIONS])[0][0][1] == "text"


def answers(teacher: str, values: dict, words: dict | None = None, tokens: dict | None = None):
    """A frame of one teacher. values: {(id, sample): reward or reason}; words: {(id, sample): how many}."""
    text = {key: " ".join(["word"] * (words or {}).get(key, 2)) for key in values}
    return join({teacher: responses(text, tokens)}, {"rm": {teacher: rewards(values)}}, {}, text=False)


def test_best_of_n_samples_of_one_teacher():
    given = {"t": answers("t", {("i1", 0): 1, ("i1", 1): 3, ("i1", 2): 2, ("i2", 0): "failed", ("i2", 1): -1})}
    assert [(row["id"], row["sample"]) for row in taken(given)] == [("i1", 1), ("i2", 1)]
    assert [(row["id"], row["sample"]) for row in taken(given, choose="worst")] == [("i1", 0), ("i2", 1)]
    assert [row["sample"] for row in taken(given, choose="all", by=None)] == [0, 1, 2, 0, 1]
    assert [row["sample"] for row in taken(given, choose="all")] == [0, 1, 2, 1]


def test_an_infinite_reward_is_none():
    given = {"t": answers("t", {("i1", 0): math.inf, ("i1", 1): 3})}
    assert [row["sample"] for row in taken(given)] == [1]


def mixed(*losses_and_rewards) -> dict:
    """Frames of teachers a, b ... with one instruction each place; (loss, reward) or None for no loss."""
    given = {}
    for teacher, cells in zip("abc", losses_and_rewards, strict=False):
        keys = [(f"i{i}", 0) for i in range(1, len(cells) + 1)]
        scored = {
            key: "no loss" if loss is None else (1, 1, 0, -1, -loss, 0, -1, 0)
            for key, (loss, _) in zip(keys, cells, strict=True)
        }
        points = {key: reward for key, (_, reward) in zip(keys, cells, strict=True)}
        given[teacher] = join(
            {teacher: responses(dict.fromkeys(keys, "text"))},
            {"rm": {teacher: rewards(points)}},
            {("self", "chat"): {teacher: likelihoods(scored)}},
            text=False,
        )
    return given


MIXED = {"rm": REWARD, "nll": entry("nll_mean")}


def test_a_mix_weighs_standardised_values():
    # rewards 0, 4, 2, 2: mean 2, sd sqrt 2; losses 1, 3, 3, 1: mean 2, sd 1, low is good
    given = mixed([(1, 0), (3, 2)], [(3, 4), (1, 2)])
    by_reward = taken(given, MIXED, by={"rm": 3, "nll": 1})
    assert [row["teacher"] for row in by_reward] == ["b", "b"]
    # of b: 3 * 2 / sqrt 2 - 1; of a: the opposite
    assert by_reward[0]["why"] == f"best of 2 by 1 nll_mean/chat + 3 reward_mean/rm: {6 / math.sqrt(2) - 1:.3g}"
    assert [row["teacher"] for row in taken(given, MIXED, by={"rm": 1, "nll": 3})] == ["a", "b"]
    assert [row["teacher"] for row in taken(given, MIXED, by={"rm": 1, "nll": 3}, choose="worst")] == ["b", "a"]


def test_what_lacks_a_value_of_a_mix_is_not_chosen_and_moves_no_mean():
    given = mixed([(1, 0), (3, 2), (None, 1e9)], [(3, 4), (1, 2), ("x", 1)][:2])
    assert [row["id"] for row in taken(given, MIXED, by={"rm": 3, "nll": 1})] == ["i1", "i2"]
    assert f"{6 / math.sqrt(2) - 1:.3g}" in taken(given, MIXED, by={"rm": 3, "nll": 1})[0]["why"]


def test_a_metric_that_is_the_same_everywhere_decides_nothing_in_a_mix():
    given = mixed([(1, 5), (3, 5)], [(3, 5), (1, 5)])
    assert [row["teacher"] for row in taken(given, MIXED, by={"rm": 9, "nll": 1})] == ["a", "b"]


MANY = tuple(f"q{i}" for i in range(3000))


def drawn(ratios: dict, teachers: str = "abc", **settings) -> dict:
    given = {teacher: answers(teacher, dict.fromkeys([(id, 0) for id in MANY], 1)) for teacher in teachers}
    rows = taken(given, choose="random", by=None, ratios=ratios, **settings)
    return {row["id"]: row["teacher"] for row in rows}


def test_ratios():
    picks = drawn({"a": 1, "b": 2, "c": 1})
    shares = Counter(picks.values())
    assert len(picks) == 3000 and abs(shares["b"] - 1500) < 110 and abs(shares["a"] - 750) < 95  # 4 sigma
    more = drawn({"a": 1, "b": 6, "c": 1})
    # b gains, and nothing moves between the others
    assert {more[id] for id in MANY if more[id] != picks[id]} == {"b"} and Counter(more.values())["b"] > 2100
    assert {id: t for id, t in drawn({"a": 1, "b": 2}, "ab").items() if picks[id] != "c"} == {
        id: t for id, t in picks.items() if t != "c"
    }
    assert drawn({"a": 2, "b": 4, "c": 2}) == picks != drawn({"a": 1, "b": 2, "c": 1}, seed=1)


def test_ratios_skip_a_teacher_without_an_answer():
    given = {"a": answers("a", {("i1", 0): 1}, {("i1", 0): 0}), "b": answers("b", {("i1", 0): 1, ("i1", 1): 1})}
    rows = taken(given, choose="random", by=None, ratios={"a": 1000, "b": 1})
    assert [row["teacher"] for row in rows] == ["b"] and rows[0]["why"] == "random of 2 with ratio 1"


def test_matched_takes_only_what_every_teacher_answered(capsys):
    scores = {"a": [1, "failed", 1, 1], "b": [2, 2, 2, 2], "c": [3, 3, 3, 3]}
    text = {("c", "i3"): " "}
    rows = taken(frames(scores, text), matched=True)
    assert [row["id"] for row in rows] == ["i1", "i4"]
    assert "2 of 4 instructions left out: not every teacher has a response with a value of" in capsys.readouterr().out
    # an undefined value is no obstacle where none is asked for
    rows = taken(frames(scores, text), matched=True, by=None, choose="all")
    assert [row["id"] for row in rows] == ["i1"] * 3 + ["i2"] * 3 + ["i4"] * 3


def test_teachers_with_nothing_in_common():
    given = {"a": answers("a", {("i1", 0): 1}), "b": answers("b", {("i2", 0): 1})}
    assert [row["teacher"] for row in taken(given)] == ["a", "b"]
    with pytest.raises(BadInput, match="none of 2 instructions is left: not every teacher has a usable response"):
        taken(given, matched=True)


def ten(**words):
    """Ten instructions with rewards 0 to 9, in categories x (7), y (2) and none (1)."""
    keys = [(f"i{i}", 0) for i in range(10)]
    categories = {f"i{i}": "x" if i < 7 else "y" if i < 9 else None for i in range(10)}
    return {"t": answers("t", {key: i for i, key in enumerate(keys)}, **words)}, categories


def ids(rows) -> set:
    return {row["id"] for row in rows}


def test_the_best_share():
    given, _ = ten()
    assert ids(taken(given, share=0.3)) == ids(taken(given, rows=3)) == {"i7", "i8", "i9"}
    assert ids(taken(given, share=0.2, choose="worst")) == {"i0", "i1"}
    assert taken(given, rows=3)[0]["why"] == "best of 1 by reward_mean/rm: 7; number 3 of 10, 3 kept"
    assert len(taken(given, share=0.001)) == 1 and len(taken(given, share=1)) == 10
    with pytest.raises(BadInput, match="asks for 11 of 10 rows"):
        taken(given, rows=11)
    by_hash = sorted(range(10), key=lambda i: hashlib.sha256(f"0/i{i}/t/0".encode()).digest())[:4]
    for settings in ({"choose": "random"}, {"choose": "all", "by": None}):
        assert ids(taken(given, share=0.4, **settings)) == {f"i{i}" for i in by_hash}


def test_each_category_keeps_the_same_share(capsys):
    given, categories = ten()
    # 3.5, 1 and 0.5 of 5: equal remainders go by lot
    first = min(("x", "none"), key=lambda name: hashlib.sha256(f"0/category {name}".encode()).digest())
    rows = taken(given, categories=categories, share=0.5, each=["category"])
    assert ids(rows) == {"i4", "i5", "i6", "i8", {"x": "i3", "none": "i9"}[first]}
    (why,) = [row["why"] for row in rows if row["id"] == "i8"]
    assert why == "best of 1 by reward_mean/rm: 8; number 1 of 2 in category y, 1 kept"
    # 2.1, 0.6 and 0.3 of 3: a category with too few rows loses all, and the log says so
    assert ids(taken(given, categories=categories, share=0.3, each=["category"])) == {"i5", "i6", "i8"}
    assert "none of 1 rows kept in category none" in capsys.readouterr().out
    with pytest.raises(BadInput, match="no instruction has a category"):
        taken(given, categories=dict.fromkeys(categories), share=0.5, each=["category"])


def test_a_metric_that_loves_length_cannot_pick_the_long_ones():
    keys = [(f"i{i:02}", 0) for i in range(40)]
    words = {key: 1 + i for i, key in enumerate(keys)}
    given = {"t": answers("t", {key: float(words[key]) for key in keys}, words)}
    assert ids(taken(given, share=0.25)) == {f"i{i}" for i in range(30, 40)}
    # one of each tenth of four, its longest
    assert ids(taken(given, share=0.25, each=["length"])) == {f"i{i:02}" for i in range(3, 40, 4)}
    assert "in tenth 1 of lengths" in taken(given, share=0.25, each=["length"])[0]["why"]


def test_both_at_once_keep_the_share_of_each_category():
    keys = [(f"i{i:02}", 0) for i in range(60)]
    given = {"t": answers("t", {key: 1.0 for key in keys}, {key: 1 + i % 20 for i, key in enumerate(keys)})}
    categories = {id: "xyyzzz"[i % 6] for i, (id, _) in enumerate(keys)}
    for each in (["category", "length"], ["length", "category"]):
        rows = taken(given, categories=categories, share=0.2, each=each)
        assert Counter(categories[row["id"]] for row in rows) == {"x": 2, "y": 4, "z": 6}
        # never two of one group while another has none
        places = Counter(row["why"].split(" in ")[1].split(", 1 kept")[0] for row in rows)
        assert set(places.values()) == {1}


def test_responses_of_one_length_are_one_group():
    given, categories = ten()
    assert ids(taken(given, rows=2, each=["length"])) == {"i8", "i9"}
    both = taken(given, categories=categories, rows=5, each=["category", "length"])
    assert "in category x, tenth 10 of lengths" in both[0]["why"]


def counted(end: int = 1, **lengths) -> dict:
    """Frames of a and b; their lengths in the base's tokens without the end token, or a reason."""
    given = {}
    for teacher, row in lengths.items():
        keys = [(id, 0) for id in IDS]
        scored = {
            key: n if isinstance(n, str) else (1, n, end, -1, -1, -1, -1, -1) for key, n in zip(keys, row, strict=True)
        }
        given[teacher] = join(
            {teacher: responses(dict.fromkeys(keys, "text"), dict.fromkeys(keys, 100))},
            {"rm": {teacher: rewards(dict.fromkeys(keys, 1))}},
            {("self", "chat"): {teacher: likelihoods(scored)}},
            text=False,
        )
    return given


BY_HASH = sorted(IDS, key=lambda id: hashlib.sha256(id.encode()).digest())


def test_a_budget_of_tokens(capsys):
    given = counted(a=[9, 9, 9, 9])
    for budget, rows in ((10, 1), (19, 1), (20, 2), (40, 4)):
        assert ids(taken(given, tokens=budget)) == set(BY_HASH[:rows])
    assert taken(given, tokens=10)[0]["why"] == "best of 1 by reward_mean/rm: 1; within 10 tokens"
    # the same instructions whatever the corpus and its seed
    assert ids(taken(counted(b=[9, 9, 9, 9]), tokens=20, seed=5)) == set(BY_HASH[:2])
    assert len(taken(given, tokens=200, counted_by=None)) == 2
    for budget in (41, 9):
        with pytest.raises(BadInput, match=f"`tokens` is {budget}, and 4 rows of known length have 40, the first 10"):
            taken(given, tokens=budget)
    lacking = dict(zip(IDS, [9, 9, 9, 9], strict=True)) | {BY_HASH[0]: "too long"}
    assert ids(taken(counted(a=list(lacking.values())), tokens=20)) == set(BY_HASH[1:3])
    assert "1 of 4 rows left out: their tokens are not known" in capsys.readouterr().out


def test_all_responses_to_an_instruction_come_together():
    rows = taken(counted(a=[9, 9, 9, 9], b=[9, 9, 9, 9]), tokens=40, by=None, choose="all")
    assert sorted((row["id"], row["teacher"]) for row in rows) == sorted((id, t) for id in BY_HASH[:2] for t in "ab")


def test_an_instruction_is_chosen_for_whatever_the_others_are():
    """Of every kind that promises it: half of the instructions gives half of the rows."""
    values = {t: {(f"i{i}", 0): hash_of(f"{t}{i}") for i in range(60)} for t in "abc"}
    whole = {t: answers(t, rows) for t, rows in values.items()}
    half = {t: answers(t, dict(list(rows.items())[::2])) for t, rows in values.items()}
    few = {f"i{i}" for i in range(0, 60, 2)}
    kinds = [{"choose": c} for c in ("best", "worst", "random", "all")]
    for kind in [*kinds, {"choose": "random", "ratios": {"a": 1, "b": 2, "c": 3}}, {"matched": True}]:
        assert [row for row in taken(whole, **kind) if row["id"] in few] == taken(half, **kind)


def hash_of(text: str) -> int:
    return hashlib.sha256(text.encode()).digest()[0]
