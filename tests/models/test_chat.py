"""The ids of training, generation, likelihood and evaluation are the same ids."""

import pytest
import tiny
from generations import CHAT
from teachergrid.errors import BadInput
from teachergrid.models import chat

ASKED = [{"role": "user", "content": "sort the {red} words: 日本 a  b\n"}]
LLAMA2 = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}[INST] {{ m['content'] | trim }} [/INST]"
    "{% elif m['role'] == 'assistant' %} {{ m['content'] | trim }} {{ eos_token }}"
    "{% else %}{{ raise_exception('no system role') }}{% endif %}{% endfor %}"
)
PAD, BOS, START, END = range(4)  # ids of tiny.SPECIAL


@pytest.fixture(scope="module", params=["no bos", "bos"])
def tokenizer(request):
    bos = request.param == "bos"
    return tiny.tokenizer(bos, tiny.CHATML_WITH_BOS if bos else tiny.CHATML)


def text_of(tokenizer, prompt: chat.Prompt) -> str:
    return tokenizer.decode([i for i, asked in zip(*prompt, strict=True) if asked])


def test_chat_prompt_is_what_the_template_gives_with_one_bos(tokenizer):
    ids = chat.prompt(tokenizer, ASKED, CHAT).ids
    assert ids == tokenizer.apply_chat_template(ASKED, add_generation_prompt=True)["input_ids"]
    assert ids.count(BOS) == (1 if tokenizer.bos_token else 0)
    # asked to add special tokens, this tokenizer would have put a second one
    text = tokenizer.apply_chat_template(ASKED, add_generation_prompt=True, tokenize=False)
    assert tokenizer(text)["input_ids"].count(BOS) == 2 * ids.count(BOS)


@pytest.mark.parametrize("format", ["chat", "plain"])
def test_question_marks_the_user_text_and_nothing_else(tokenizer, format):
    assert text_of(tokenizer, chat.prompt(tokenizer, ASKED, CHAT, format)) == ASKED[0]["content"]
    chat_settings = CHAT | {"system": "sort the {red}", "plain": "Question: {question} {x}\nAnswer:"}
    turns = [
        {"role": "user", "content": "i"},  # also a letter of the header
        {"role": "assistant", "content": "red"},
        {"role": "user", "content": "red"},
    ]
    marked = text_of(tokenizer, chat.prompt(tokenizer, turns, chat_settings, format))
    assert marked == ("ired" if format == "chat" else "i\nred")


def test_plain_prompt_is_bos_and_the_text(tokenizer):
    ids = chat.prompt(tokenizer, ASKED, CHAT, "plain").ids
    words = tokenizer(ASKED[0]["content"] + "\n", add_special_tokens=False)["input_ids"]
    assert ids == ([BOS] if tokenizer.bos_token else []) + words
    assert not any(chat.prompt(tokenizer, ASKED, CHAT | {"plain": "nothing asked"}, "plain").question)


def test_example_is_prompt_response_and_end_with_loss_on_the_last_two(tokenizer):
    example = chat.example(tokenizer, ASKED, " red apple", CHAT)
    before, said = chat.prompt(tokenizer, ASKED, CHAT).ids, chat.response(tokenizer, " red apple")
    assert example.input_ids == before + said + [END]
    assert example.completion_mask == [0] * len(before) + [1] * (len(said) + 1)
    # the template of a whole conversation says the same
    whole = tokenizer.apply_chat_template([*ASKED, {"role": "assistant", "content": " red apple"}])["input_ids"]
    assert whole[: len(example.input_ids)] == example.input_ids


def test_a_special_token_spelled_out_in_a_response_stays_text(tokenizer):
    ids = chat.response(tokenizer, "a <|im_end|> b")
    assert not {BOS, START, END} & set(ids)
    assert tokenizer.decode(ids) == "a <|im_end|> b"
    assert chat.end(tokenizer, CHAT) == [END]  # and the tokenizer is left as it was


def test_header_is_the_context_of_a_bare_answer(tokenizer):
    bos = [BOS] if tokenizer.bos_token else []
    assert (
        chat.header(tokenizer, CHAT)
        == bos + tokenizer("<|im_start|>assistant\n", add_special_tokens=False)["input_ids"]
    )
    assert chat.header(tokenizer, CHAT, "plain") == (bos or [END])


def test_stops_are_end_eos_and_those_of_the_generation_config(tokenizer):
    assert chat.stops(tokenizer, CHAT) == [END]
    assert chat.stops(tokenizer, CHAT, eos=[BOS, END]) == [BOS, END]
    assert chat.stops(tokenizer, CHAT, "plain", eos=BOS) == [BOS, END]


def test_template_that_trims_and_has_no_header():
    tokenizer = tiny.tokenizer(True, LLAMA2)
    asked = [{"role": "user", "content": "  red apple "}]
    prompt = chat.prompt(tokenizer, asked, CHAT)
    assert tokenizer.decode(prompt.ids) == "<|endoftext|>[INST] red apple [/INST]"
    assert text_of(tokenizer, prompt) == " red apple"  # the blank before it is part of its first token
    assert chat.end(tokenizer, CHAT) == [END]
    assert chat.header(tokenizer, CHAT) == [BOS]


def test_end_is_eos_where_the_template_has_no_end_token():
    tokenizer = tiny.tokenizer(template="{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n\n{% endfor %}")
    assert chat.end(tokenizer, CHAT) == [END]


def test_question_is_unknown_where_the_template_alters_it():
    tokenizer = tiny.tokenizer(template=tiny.CHATML.replace("m['content']", "m['content'] | upper"))
    assert not any(chat.prompt(tokenizer, ASKED, CHAT).question)


def test_system_is_sent_unless_the_instruction_has_its_own(tokenizer):
    def sent(messages, system):
        return tokenizer.decode(chat.prompt(tokenizer, messages, CHAT | {"system": system}).ids)

    own = [{"role": "system", "content": "story"}, *ASKED]
    assert "system" not in sent(ASKED, None)
    assert "<|im_start|>system\n<|im_end|>" in sent(ASKED, "")
    assert "<|im_start|>system\napple<|im_end|>" in sent(ASKED, "apple")
    assert "apple" not in sent(own, "apple")
    assert sent(own, None) == sent(own, "apple")


def test_template_text_and_arguments_of_chat_settings_count(tokenizer):
    chat_settings = CHAT | {"template": "{{ mood }}{{ messages[0]['content'] }}", "template_args": {"mood": "red "}}
    assert tokenizer.decode(chat.prompt(tokenizer, ASKED, chat_settings).ids) == "red " + ASKED[0]["content"]


@pytest.mark.parametrize(
    ("messages", "template", "chat_settings", "says"),
    [
        ([], tiny.CHATML, {}, "user turn"),
        ([*ASKED, {"role": "assistant", "content": "a"}], tiny.CHATML, {}, "user turn"),
        (ASKED, None, {}, "no chat template.*`template`"),
        (ASKED, LLAMA2, {"system": "be brief"}, "no system role.*`system`"),
        (ASKED, tiny.CHATML, {"template": "{% if %}"}, "chat template fails"),
    ],
)
def test_bad_chats_are_refused(messages, template, chat_settings, says):
    tokenizer = tiny.tokenizer(template=template)
    with pytest.raises(BadInput, match=says):
        chat.prompt(tokenizer, messages, CHAT | chat_settings)


def test_no_end_token_at_all_is_refused():
    tokenizer = tiny.tokenizer()
    tokenizer.eos_token = None
    with pytest.raises(BadInput, match="no end-of-turn token"):
        chat.end(tokenizer, CHAT, "plain")
