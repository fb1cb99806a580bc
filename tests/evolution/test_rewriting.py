"""A round of evolution: who is asked what, and what comes of the answers."""

import pytest
from evolved_rows import ASK, READ, replies, reply, said, seed_row
from teachergrid.evolution import rewriting
from teachergrid.evolution.steps import Given

SEEDS = [seed_row(f"Name {n} cities of France", category="geo") for n in ("two", "three", "four", "five")]
HARDER = [f"Name {n} cities of France that lie on a river and say which" for n in ("two", "three", "four", "five")]


def given(*sets, answers=None):
    return Given("e", [list(rows) for rows in sets], [answers] if answers is not None else [], [])


def ask(*sets, **settings):
    return rewriting.ask(given(*sets), ASK | settings).rows


def read(*sets, answers, **settings):
    return rewriting.read(given(*sets, answers=answers), READ | settings)


def one_round(seeds, *answers, **settings):
    asked = ask(seeds)
    return read(seeds, asked, answers=replies(asked, *answers), **settings)


def test_the_papers_schedule_takes_the_next_operator_each_round():
    """operator of item i in round r, from 0: order[(i + r) mod n] (2412.11231, evol_instruct.py)."""
    first = ask(SEEDS)
    assert [row["operator"] for row in first] == ["a", "b", "c", "a"]
    assert said(first)[:2] == ["A: Name two cities of France", "B: Name three cities of France"]
    made = read(SEEDS, first, answers=replies(first, *HARDER)).rows
    assert [row["operator"] for row in ask(SEEDS, made, round=2)] == ["b", "c", "a", "b"]


def test_an_operator_hangs_on_the_root_also_where_another_row_was_left_out():
    """Else two evolvers that fail on different rows would apply different operators to the same instruction."""
    first = ask(SEEDS)
    made = read(SEEDS, first, answers=replies(first, "Sorry, I cannot help.", *HARDER[1:]), retry=False).rows
    second = ask(SEEDS, made, round=2, retry=False)
    assert [row["operator"] for row in second] == ["c", "a", "b"]


def test_a_random_schedule_is_the_same_for_all_evolvers_and_moves_little_with_another_operator():
    seeds = [seed_row(f"item {i}") for i in range(60)]
    drawn = [row["operator"] for row in ask(seeds, schedule="random", seed=1)]
    assert {*drawn} == {"a", "b", "c"}
    assert drawn == [row["operator"] for row in ask(seeds, schedule="random", seed=1)]
    assert drawn != [row["operator"] for row in ask(seeds, schedule="random", seed=2)]
    assert drawn != [row["operator"] for row in ask(seeds, schedule="random", seed=1, round=2)]
    four = {**ASK["texts"], "d": "D: {instruction}"}
    moved = [row["operator"] for row in ask(seeds, schedule="random", seed=1, texts=four)]
    assert all(new in (old, "d") for old, new in zip(drawn, moved, strict=True)) and "d" in moved


def test_a_rewritten_row_keeps_category_and_source_and_has_no_reference_answer():
    seeds = [seed_row("Name two cities of France", category="geo", answer="Paris, Lyon")]
    (row,) = one_round(seeds, HARDER[0]).rows
    assert (row["category"], row["source"], row["round"], row["operator"]) == ("geo", "s", 1, "a")
    assert row["parent_id"] == seeds[0]["id"] != row["id"]
    assert row.get("answer") is None


def test_turns_before_the_last_stay_and_are_not_shown():
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Name two cities of France"}]
    seeds = [seed_row("x", messages=turns, id="1")]
    asked = ask(seeds)
    assert asked[0]["messages"] == [{"role": "user", "content": "A: Name two cities of France"}]
    (row,) = read(seeds, asked, answers=replies(asked, HARDER[0])).rows
    assert row["messages"] == [turns[0], {"role": "user", "content": HARDER[0]}]


def test_a_table_in_an_instruction_is_evolved_with_it():
    """The paper copies `input` unseen, so that instruction and input may no longer fit (bug 3). Here they are one text."""
    seeds = [seed_row("Sort these words\n\npear apple fig")]
    assert said(ask(seeds)) == ["A: Sort these words\n\npear apple fig"]


@pytest.mark.parametrize(
    ("failed", "rows", "pool"),
    [("retry", [1], [0, 1]), ("keep", [0, 1], [0, 1]), ("drop", [1], [1])],
)
def test_what_becomes_of_a_row_that_failed(failed, rows, pool):
    how = {"retry": failed == "retry"}
    seeds, asked = SEEDS[:2], ask(SEEDS[:2])
    answers = replies(asked, "As an AI I cannot help with that.", HARDER[1])
    made = read(seeds, asked, answers=answers, keep=failed == "keep", **how)
    both = [SEEDS[0]["messages"][-1]["content"], HARDER[1]]
    assert said(made.rows) == [both[i] for i in rows]
    assert [fate.reason for fate in made.fates] == ["refusal", None]
    second = ask(seeds, made.rows, round=2, **how)
    assert sorted(said(second)) == sorted(ASK["texts"]["bc"[i]].replace("{instruction}", both[i]) for i in pool)


def test_a_row_that_failed_twice_is_tried_a_third_time():
    asked = ask(SEEDS[:2])
    first = read(SEEDS[:2], asked, answers=replies(asked, "", HARDER[1])).rows
    again = ask(SEEDS[:2], first, round=2)
    assert said(again) == [f"C: {HARDER[1]}", "B: Name two cities of France"]
    second = read(SEEDS[:2], first, again, answers=replies(again, f"{HARDER[1]} with its length in km", "")).rows
    assert said(second) == [f"{HARDER[1]} with its length in km"]
    third = ask(SEEDS[:2], first, second, round=3)
    assert said(third) == [f"A: {HARDER[1]} with its length in km", "C: Name two cities of France"]


def test_of_several_samples_the_first_good_one_is_taken():
    asked = ask(SEEDS[:1])
    answers = {asked[0]["id"]: [reply("", sample=0), reply(HARDER[0], sample=1), reply(HARDER[1], sample=2)]}
    assert said(read(SEEDS[:1], asked, answers=answers).rows) == HARDER[:1]


def test_the_text_of_another_row_is_a_duplicate():
    made = one_round(SEEDS[:3], HARDER[0], HARDER[0], SEEDS[0]["messages"][-1]["content"] + "!")
    assert [fate.reason for fate in made.fates] == [None, "duplicate", None]
    taken = one_round(SEEDS[:2], HARDER[0], SEEDS[0]["messages"][-1]["content"], least_change=1)
    assert [fate.reason for fate in taken.fates] == [None, "duplicate"]


def test_as_published_keeps_every_generation_but_an_empty_one():
    """Equal texts from different seeds stay two rows, and nothing but white space is taken off."""
    answers = [" Sure, here is the revised task:\n\nX ", "I cannot help with that.", "I cannot help with that.", " \n"]
    made = one_round(SEEDS, *answers, published=True, eliminate=[])
    assert said(made.rows) == [answers[0].strip(), *answers[1:3]]
    assert len({row["id"] for row in made.rows}) == 3
    assert [fate.reason for fate in made.fates] == [None, None, None, "empty"]


def test_a_cut_off_generation_is_left_out():
    """The published code looks at no stop reason (bug 2)."""
    made = one_round(SEEDS[:2], reply(HARDER[0], "length"), HARDER[1])
    assert [fate.reason for fate in made.fates] == ["cut-off", None]


def test_a_missing_response_is_a_fate_and_no_error():
    asked = ask(SEEDS[:1])
    assert [fate.reason for fate in read(SEEDS[:1], asked, answers={}).fates] == ["no response"]


def test_a_text_beside_the_instruction_is_not_shown_and_comes_back_in_every_round():
    seeds, table = [seed_row("Sort these words by length\n\npear apple fig")], "pear apple fig"

    def of(*sets, answers=()):
        return Given("e", list(sets), list(answers), [], {seeds[0]["id"]: table})

    asked = rewriting.ask(of(seeds), ASK).rows
    assert said(asked) == ["A: Sort these words by length"]
    first = rewriting.read(
        of(seeds, asked, answers=[replies(asked, "Sort these words by their last letter")]), READ
    ).rows
    assert said(first) == [f"Sort these words by their last letter\n\n{table}"]
    assert said(rewriting.ask(of(seeds, first), ASK | {"round": 2}).rows) == [
        "B: Sort these words by their last letter"
    ]
    same = rewriting.read(of(seeds, asked, answers=[replies(asked, "sort these words by length!")]), READ)
    assert [fate.reason for fate in same.fates] == ["equal"]


def test_the_method_of_an_optimisation_takes_the_place_of_the_text(tmp_path):
    (tmp_path / "m.json").write_text('{"method": "M {instruction}"}')
    made = rewriting.ask(Given("e", [SEEDS[:1]], [], [tmp_path / "m.json"]), ASK | {"texts": {"auto": "old"}})
    assert said(made.rows) == ["M Name two cities of France"]
