"""Ratings by the probabilities of numbers, and entries that cannot be asked for."""

import re

import chat_templates
import pytest
import tiny
from rated_rows import ANSWERED, TEXTS, response_table, reward_entry, scored
from teachergrid.errors import BadInput
from teachergrid.models import loading
from teachergrid.scoring import ratings
from teachergrid.spec import schema
from teachergrid.store import artifacts

DIFFICULTY = {"prompt": "sort the words of {instruction} as a list : ", "numbers": [1, 2, 7]}


@pytest.fixture(scope="module")
def rater(tmp_path_factory) -> dict:
    """Return the entry of a tiny random chat model."""
    folder = tiny.make(tmp_path_factory.mktemp("rater"))
    return schema.filled({"repo": str(folder), "dtype": "float32"}, schema.definition("model"))


def test_a_rating_is_the_mean_of_numbers_by_their_probability(rater, tmp_path):
    import torch

    asks = {"prompt": "story : {response} of {instruction}", "numbers": [1, 2, 7]}
    table = scored(rater, tmp_path, rating=asks, batch=4)
    assert table.schema.equals(artifacts.REWARDS) and table["reason"].null_count == len(TEXTS)
    tokenizer, net = loading.load_tokenizer(rater, reward_entry()), loading.load_model(rater)
    numbers = [tokenizer(str(n), add_special_tokens=False)["input_ids"] for n in asks["numbers"]]
    expected = []
    for i, text in enumerate(TEXTS):
        asked = f"<|im_start|>user\nstory : {text} of sort q{i}<|im_end|>\n<|im_start|>assistant\n"
        ids = tokenizer(asked, add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            shares = net(torch.tensor([ids])).logits[0, -1].softmax(0)[[n for (n,) in numbers]]
        expected.append(float(shares @ torch.tensor([1.0, 2.0, 7.0]) / shares.sum()))
    assert table["reward"].to_pylist() == pytest.approx(expected, abs=1e-4)
    assert max(expected) - min(expected) > 1e-3, "else this test shows nothing"


def test_a_rating_of_the_instruction_is_the_same_for_all_its_responses(rater, tmp_path):
    other = response_table(*((f"q{i}", "red") for i in range(len(TEXTS))))
    found = [
        scored(rater, tmp_path / name, table, rating=DIFFICULTY) for name, table in (("a", ANSWERED), ("b", other))
    ]
    assert found[0]["reward"].to_pylist() == found[1]["reward"].to_pylist()


def test_an_instruction_may_spell_a_place(rater):
    tokenizer = loading.load_tokenizer(rater, reward_entry())
    messages = [{"role": "user", "content": "{response}"}]
    entry = reward_entry(rating={"prompt": "{instruction} {response}"})
    assert tokenizer.decode(ratings.prompt_tokens(tokenizer, entry, messages, "red")).count("{response} red") == 1


def test_numbers_come_behind_what_the_template_writes_before_an_answer():
    entry = reward_entry(rating={"prompt": "{response}"})
    for tokenizer, end in [
        (chat_templates.thinker(chat_templates.QWEN3), "assistant\n<think>\n\n</think>\n\n"),
        (chat_templates.channels(), "<|start|>assistant<|channel|>final<|message|>"),
    ]:
        assert tokenizer.decode(ratings.prompt_tokens(tokenizer, entry, [], "red")).endswith(end)
    # in the line of the prompt, a number is another token than by itself
    tokenizer = tiny.sentencepiece("first", chat_templates.INST)
    tokens = ratings.number_tokens(tokenizer, [1, 2], entry)
    assert tokenizer.convert_ids_to_tokens(tokens) == ["1", "2"]


def test_numbers_of_several_tokens_are_refused(rater, tmp_path):
    with pytest.raises(BadInput, match=r"must be one token, and they take 1: 1, 10: 2"):
        scored(rater, tmp_path, rating={"prompt": "{response}", "numbers": [1, 10]})


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            {"checker": {"extract": r"Answer: (.*)", "compare": "exact"}, "rating": DIFFICULTY},
            "r.rating: needs the key 'model'",
        ),
        (
            {"model": "m", "rating": DIFFICULTY, "scale": "sigmoid"},
            "r.scale: a rating is on the scale of its `numbers`",
        ),
        (
            {"model": "m", "rating": {"prompt": "how good?"}},
            "r.rating.prompt: has neither {instruction} nor {response}",
        ),
    ],
)
def test_ratings_that_cannot_be_asked_for(entry, message):
    with pytest.raises(BadInput, match=re.escape(message)):
        ratings.check("r", reward_entry(**entry))
