"""The ids of an answer are those of the conversation as its template renders it, and its text gives the same ids again."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
import tiny
from chat_templates import BARE, CHAT, INST, INST_BLANK, LINE, NEMOTRON, QWEN3, QWEN35, R1, channels, thinker
from teachergrid.models import chat
from teachergrid.models.templates import TODAY

QUESTION = [{"role": "user", "content": "sort the\nwords"}]
TEXTS = ["red apple", "story of red\n\nred", "apple\nbear "]
THOUGHTS = "<think>\nred of\n</think>\n\napple"
CHANNELS = "<|channel|>analysis<|message|>red<|end|><|start|>assistant<|channel|>final<|message|>apple"
TOKENIZERS = {
    "chatml": tiny.tokenizer(),
    "chatml with bos": tiny.tokenizer(True, tiny.CHATML_WITH_BOS),
    "qwen3": thinker(QWEN3),
    "qwen3.5": thinker(QWEN35),
    "gpt-oss": channels(),
    **{
        f"{kind}, {name}": tiny.sentencepiece(kind, template)
        for kind in ("every part", "first")
        for name, template in {"inst": INST, "blank": INST_BLANK, "line": LINE, "bare": BARE}.items()
    },
}


def small_vocabulary():
    """Return a tokenizer that has no token for some letters."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE({"<unk>": 0, "a": 1, " ": 2, "</s>": 3}, [], unk_token="<unk>"))
    names = {"unk_token": "<unk>", "eos_token": "</s>"}
    return PreTrainedTokenizerFast(tokenizer_object=core, **names, chat_template=tiny.CHATML)


def rendered(tokenizer, answer: str, messages=QUESTION) -> list[int]:
    """The conversation by transformers alone."""
    turns = [*messages, {"role": "assistant", "content": answer}]
    return tokenizer.apply_chat_template(turns, return_dict=False)


@pytest.fixture(params=TOKENIZERS)
def tokenizer(request):
    return TOKENIZERS[request.param]


@pytest.mark.parametrize("text", TEXTS)
def test_ids_are_those_of_the_rendered_conversation(tokenizer, text):
    if tokenizer.chat_template == INST_BLANK:
        text = text.strip()  # the template adds a blank, even to one that is there
    example = chat.example(tokenizer, QUESTION, text, CHAT)
    conversation = rendered(tokenizer, text)
    assert example.input_ids == conversation[: len(example.input_ids)]
    # nothing but a line's end is missing
    assert not tokenizer.decode(conversation[len(example.input_ids) :]).strip()
    # what is trained on is all that follows what a model sees
    prompt = tokenizer.apply_chat_template(QUESTION, add_generation_prompt=True, return_dict=False)
    assert example.input_ids[: len(prompt)] == prompt
    assert example.completion_mask == [0] * len(prompt) + [1] * (
        len(conversation[: len(example.input_ids)]) - len(prompt)
    )


@pytest.mark.parametrize("text", TEXTS)
def test_the_text_of_ids_gives_the_same_ids(tokenizer, text):
    answer = chat.answer(tokenizer, QUESTION, text, CHAT)[1]
    again = chat.text(tokenizer, answer.lead + answer.ids, CHAT)
    assert again.strip() == text.strip()
    assert chat.answer(tokenizer, QUESTION, again, CHAT)[1] == answer


@pytest.mark.parametrize("kind", ["every part", "first"])
@pytest.mark.parametrize("text", [*TEXTS, " red"])
def test_plain_answers_begin_within_the_text(kind, text):
    tokenizer = tiny.sentencepiece(kind)
    prompt, answer = chat.answer(tokenizer, [{"role": "user", "content": "sort"}], text, CHAT, "plain")
    assert prompt.ids + answer.ids == [1, *tokenizer("sort\n" + text)["input_ids"]]
    assert answer.ids == tokenizer("sort\n" + text)["input_ids"][len(tokenizer("sort\n")["input_ids"]) :]
    assert chat.text(tokenizer, answer.ids, CHAT, "plain") == text


@pytest.mark.parametrize("special", [True, False])
@pytest.mark.parametrize("template", [tiny.CHATML, QWEN3, QWEN35])
def test_thoughts_are_the_tokens_that_the_template_gives(template, special):
    tokenizer = thinker(template, special)
    example = chat.example(tokenizer, QUESTION, THOUGHTS, CHAT)
    assert example.input_ids == rendered(tokenizer, THOUGHTS)[: len(example.input_ids)]
    assert tokenizer.decode(example.input_ids).endswith("assistant\n" + THOUGHTS + "<|im_end|>")
    opened, closed = tokenizer.convert_tokens_to_ids(["<think>", "</think>"])
    assert example.input_ids.count(opened) == example.input_ids.count(closed) == 1


@pytest.mark.parametrize("special", [True, False])
@pytest.mark.parametrize("template", [QWEN35, R1])
def test_an_answer_keeps_the_tag_that_its_prompt_opened(template, special):
    tokenizer = thinker(template, special)
    written = tokenizer("red of\n</think>\n\napple")["input_ids"]
    assert chat.text(tokenizer, written, CHAT) == THOUGHTS
    # as its prompt has it already, it is not there twice
    prompt, answer = chat.answer(tokenizer, QUESTION, THOUGHTS, CHAT)
    assert (answer.lead, answer.ids) == ([], written)
    assert tokenizer.decode(prompt.ids).endswith("<think>\n")
    other = chat.answer(tokenizer, QUESTION, "<think>red of\n</think>\n\napple", CHAT)[1]
    assert other.ids == written


def test_channels_are_kept_and_the_header_of_an_answer_is_no_text():
    tokenizer = TOKENIZERS["gpt-oss"]
    ids = tokenizer(CHANNELS)["input_ids"]
    assert chat.text(tokenizer, ids, CHAT) == CHANNELS
    assert chat.answer(tokenizer, QUESTION, CHANNELS, CHAT)[1][:2] == ([], ids)
    header, apple = tokenizer("<|channel|>final<|message|>")["input_ids"], tokenizer("apple")["input_ids"]
    assert chat.text(tokenizer, header + apple, CHAT) == "apple"
    assert chat.answer(tokenizer, QUESTION, "apple", CHAT)[1][:2] == (header, apple)


@pytest.mark.parametrize("text", ["a <|im_end|> b", "<|im_end|>", "<|pad|>\n", "a<|endoftext|>"])
def test_tokens_that_no_answer_holds_are_text_where_they_are_spelled_out(text):
    tokenizer = TOKENIZERS["chatml with bos"]
    answer = chat.answer(tokenizer, QUESTION, text, CHAT)[1]
    assert not set(answer.ids) & set(tokenizer.all_special_ids)
    assert tokenizer.decode(answer.ids) == text == chat.text(tokenizer, answer.ids, CHAT)
    assert answer.end == [3]


def test_an_answer_that_was_cut_off_has_no_end(tokenizer):
    whole, cut = (chat.example(tokenizer, QUESTION, "red apple", CHAT, finished) for finished in (True, False))
    n = len(cut.input_ids)
    assert cut.input_ids == whole.input_ids[:n] and cut.completion_mask == whole.completion_mask[:n]
    # a template may write a blank before the end
    assert tokenizer.decode(whole.input_ids[n:]).strip() == tokenizer.decode(chat.end(tokenizer, CHAT))
    assert tokenizer.decode(cut.input_ids).endswith("red apple")


def test_no_ids_are_no_text():
    assert chat.text(thinker(R1), [], CHAT) == ""


def test_words_that_no_tokenizer_divides_so_are_given_back_as_they_are():
    tokenizer = tiny.tokenizer()
    ids = [i for letter in "apple" for i in tokenizer(letter)["input_ids"]]
    assert chat.text(tokenizer, ids, CHAT) == "apple"


def test_an_answer_that_the_tokenizer_would_join_with_its_prompt_leaves_the_prompt_as_it_is():
    tokenizer = tiny.tokenizer(template=tiny.CHATML.replace("assistant\n", "assistant re"))
    prompt, answer = chat.answer(tokenizer, QUESTION, "d of", CHAT)
    assert prompt.ids == tokenizer.apply_chat_template(QUESTION, add_generation_prompt=True, return_dict=False)
    assert tokenizer.decode(prompt.ids + answer.ids).endswith("assistant red of")


@pytest.mark.parametrize(
    ("tokenizer", "says"),
    [
        (tiny.tokenizer(), None),
        (thinker(QWEN3), None),
        (thinker(QWEN35), None),
        (channels(), None),
        (
            thinker(NEMOTRON),
            r"opens '<think>'.*behind '<think>\\n</think>'.*`template_args: \{enable_thinking: false\}`",
        ),
        (thinker(R1), r"opens '<think>'.*`template_args: \{enable_thinking: false\}`"),
        (
            tiny.tokenizer(template=tiny.CHATML.replace("assistant\n{% endif", "assistant: {% endif")),
            "otherwise than behind",
        ),
        (tiny.sentencepiece("first", INST), None),
        (small_vocabulary(), "does not give back"),
    ],
)
def test_what_a_round_trip_finds_is_said_before_the_first_row(tokenizer, says, capsys):
    chat.report(tokenizer, CHAT)
    out = capsys.readouterr().out
    assert re.search(f"warning: .*{says}", out) if says else not out


def test_an_answer_without_thoughts_closes_the_block_as_its_template_does():
    tokenizer = thinker(NEMOTRON)
    _, answer = chat.answer(tokenizer, QUESTION, "apple", CHAT)
    assert tokenizer.decode(answer.lead + answer.ids) == "</think>apple"
    assert chat.text(tokenizer, answer.lead + answer.ids, CHAT) == "apple"
    with_thoughts = chat.answer(tokenizer, QUESTION, THOUGHTS, CHAT)[1]
    assert tokenizer.decode(with_thoughts.ids) == THOUGHTS.removeprefix("<think>\n")


# templates of multimodal models, which take other messages
LISTS = ("idefics", "llava", "smolvlm")
SHIPPED = sorted(Path(find_spec("trl").origin).parent.glob("chat_templates/*.jinja"))


@pytest.mark.parametrize(
    "path", [path for path in SHIPPED if not path.name.startswith(LISTS)], ids=lambda path: path.stem
)
def test_templates_of_vendors_round_trip(path):
    """TRL ships the templates of some twenty families."""
    template = path.read_text()
    tags = set(re.findall(r"<\|?[^<>|\s'\"{}()]{2,40}\|?>|<\uff5c[^<>]{3,40}\uff5c>", template))
    tokenizer = tiny.with_tags(tiny.tokenizer(True, template), *sorted(tags))
    for settings in (CHAT, CHAT | {"template_args": {"enable_thinking": False}}):
        options = {"return_dict": False, "strftime_now": TODAY.strftime, **settings["template_args"]}
        prompt = tokenizer.apply_chat_template(QUESTION, add_generation_prompt=True, **options)
        turns = [*QUESTION, {"role": "assistant", "content": "red apple"}]
        conversation = tokenizer.apply_chat_template(turns, **options)
        before, answer = chat.answer(tokenizer, QUESTION, "red apple", settings)
        assert before.ids == prompt
        written = answer.lead + answer.ids
        again = chat.text(tokenizer, written, settings)
        assert chat.answer(tokenizer, QUESTION, again, settings)[1] == answer
        if not chat.warnings(tokenizer, settings):
            assert conversation[: len(prompt + written)] == prompt + written
            assert again == "red apple"
