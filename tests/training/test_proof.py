"""What a student reads is shown and checked before the first step."""

import re
from importlib.resources import files

import pytest
import tiny
from teachergrid.errors import BadInput
from teachergrid.models import chat
from teachergrid.training import proof
from teachergrid.training.training import Training
from trainings import CHAT

ASK = {"role": "user", "content": "Add 1 and 2."}
SAID = {"role": "assistant", "content": "It is 3."}
SYSTEM = {"role": "system", "content": "Be brief."}
ROWS = [
    ([ASK], "It is 3."),
    ([ASK, SAID, {"role": "user", "content": "And 4 and 5?"}], "It is 9."),
    ([ASK], "<think>\n1 + 2\n</think>\n\nIt is 3."),
    ([ASK], "It is a long story: " + "red " * 30),
]
# of vendors, as TRL ships them
VENDORS = ("llama3", "qwen2_5", "qwen3", "qwen3_5_think", "gemma", "phi3", "gptoss", "deepseek_r1_distill")
TAG = re.compile(r"<[^<>\s{}'\"/]+>|</think>")


def vendor(name: str):
    """Return a tokenizer with the template of a vendor, and all tags in it as special tokens."""
    template = (files("trl") / f"chat_templates/{name}.jinja").read_text()
    tokenizer = tiny.with_tags(tiny.tokenizer(template=template), *sorted({*TAG.findall(template), "<|first|>"}))
    if "bos_token" in template:
        tokenizer.bos_token = "<|first|>"
    return tokenizer


def training(tmp_path, rows=ROWS, unfinished=(), **settings) -> Training:
    return Training(rows, CHAT | settings, {"repo": "org/base"}, {}, 1, tmp_path, unfinished)


@pytest.mark.parametrize("name", VENDORS)
def test_templates_of_vendors_pass_and_are_shown(name, tmp_path):
    tokenizer = vendor(name)
    rows = ROWS if name == "gemma" else [*ROWS, ([SYSTEM, ASK], "It is 3.")]
    given = training(tmp_path, rows)
    proof.write(given, tokenizer, tmp_path / proof.NAME)
    proofs = list(proof.proved(given, tokenizer))
    assert len(proofs) == len(rows)
    for one in proofs:
        response = rows[one.number][1]
        ids = [id for id, loss in zip(*one.example, strict=True) if loss]
        assert ids[-1:] == chat.end(tokenizer, CHAT)
        assert response.rpartition("</think>")[2].strip() in tokenizer.decode(ids)
    text = (tmp_path / proof.NAME).read_text()
    assert "Checked: the prompt has the tokens" in text and "wrong" not in text.partition("</style>")[2]
    assert "several turns" in text and "thoughts" in text and "the longest" in text


def test_each_kind_of_row_is_shown_once(tmp_path):
    given = training(tmp_path, [*ROWS, *ROWS, ([SYSTEM, ASK], "x"), ([ASK], "cut")], unfinished=[9])
    assert proof.chosen(given) == {
        0: "the first",
        1: "several turns",
        2: "thoughts",
        3: "the longest",
        8: "a system message",
        9: "cut off by max_tokens",
    }


DOUBLE = "{{ bos_token }}{{ bos_token }}" + tiny.CHATML
NO_SYSTEM = tiny.CHATML.replace("{% for m in messages %}", "{% for m in messages if m['role'] != 'system' %}", 1)
LAST_ONLY = "{% for m in messages[-1:] %}" + tiny.CHATML.partition("%}")[2]
WRONG = {
    "double": (DOUBLE, {}, "it begins with <s> twice"),
    "no system": (NO_SYSTEM, {"system": "Be brief."}, "the template leaves out turn 1, of the system"),
    "a turn": (LAST_ONLY, {}, "row 2, the template leaves out turn 1, of the user"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_inference_would_not_read_ends_the_training(name, tmp_path):
    template, settings, message = WRONG[name]
    tokenizer = tiny.tokenizer(bos=True, template=template)
    with pytest.raises(BadInput) as error:
        proof.write(training(tmp_path, **settings), tokenizer, tmp_path / "in/proof.html")
    assert message.replace("<s>", tokenizer.bos_token) in str(error.value)
    assert str(tmp_path / "in/proof.html") in str(error.value)
    assert 'class="wrong"' in (tmp_path / "in/proof.html").read_text()


def test_a_response_without_an_end_is_found(tmp_path):
    tokenizer = tiny.tokenizer()
    given = training(tmp_path)
    example = chat.example(tokenizer, [ASK], "It is 3.", CHAT, finished=False)
    assert proof.problems(tokenizer, given, [ASK], example, False) == []
    assert proof.problems(tokenizer, given, [ASK], example, True) == [
        "no token ends its response, so a student would not learn to stop"
    ]


def test_loss_on_the_prompt_and_another_prompt_are_found(tmp_path):
    tokenizer, given = tiny.tokenizer(), training(tmp_path)
    ids, mask = chat.example(tokenizer, [ASK], "It is 3.", CHAT)
    assert proof.problems(tokenizer, given, [ASK], chat.Example(ids, [1] * len(ids)), True) == [
        "the loss does not begin with its response"
    ]
    other = chat.Example([ids[1], ids[0], *ids[2:]], mask)
    assert proof.problems(tokenizer, given, [ASK], other, True) == [
        "its prompt has other tokens in training than in generation"
    ]


def test_text_of_a_model_is_no_html(tmp_path):
    given = training(tmp_path, [([{"role": "user", "content": "<script>x</script>"}], "a & b")])
    proof.write(given, tiny.tokenizer(), tmp_path / proof.NAME)
    text = (tmp_path / proof.NAME).read_text()
    assert "<script>" not in text and "&lt;script&gt;" in text
