"""A batched example scores as it does alone, whatever the architecture, the template and the place in the batch."""

import pytest
import tiny
import torch
from teachergrid.errors import BadInput
from teachergrid.models import chat
from teachergrid.models import logits as output_logits
from teachergrid.scoring import likelihood, logprobs

WINDOW = 8  # of sliding attention; the sequences are longer
SLIDING = {"sliding_window": WINDOW}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
ARCHITECTURES = {
    "llama": {},
    "qwen2": {},
    "qwen2 sliding": SLIDING | {"use_sliding_window": True, "max_window_layers": 1},
    "qwen3": {},
    "mistral": {"sliding_window": None},
    "mistral sliding": SLIDING,
    "gemma": {},
    "gemma2": SLIDING | {"attn_logit_softcapping": 5.0, "final_logit_softcapping": 3.0},
    "gemma3_text": SLIDING | {"layer_types": ["sliding_attention", "full_attention"]},
    "phi": {},
    "phi3": {},
    "phi3 sliding": SLIDING,
    "granite": {"logits_scaling": 3.0, "residual_multiplier": 0.5, "embedding_multiplier": 2.0},
    "cohere": {"logit_scale": 0.25},
    "cohere2": SLIDING | {"logit_scale": 0.25, "layer_types": ["sliding_attention", "full_attention"]},
    "olmo2": {},
    "stablelm": {},
    "starcoder2": SLIDING,
    "gpt2": {},
    "gpt_neox": {},
    "opt": {"ffn_dim": 64, "word_embed_proj_dim": 64},
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen3_moe": EXPERTS,
    "olmoe": EXPERTS,
}
LENGTHS = [61, 3, 40, 17, 39, 2, 41]


def network(name: str, attention: str = "sdpa", **options):
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes = {
        "vocab_size": 512,
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "intermediate_size": 96,
        "max_position_embeddings": 128,
        "pad_token_id": 0,
    }
    config = AutoConfig.for_model(name.split()[0], **sizes | ARCHITECTURES[name] | options)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, attn_implementation=attention).float().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(4)  # far from uniform, so that attention and position matter
    return model


def sequences() -> list[list[int]]:
    drawn = torch.Generator().manual_seed(1)
    return [torch.randint(1, 512, (length,), generator=drawn).tolist() for length in LENGTHS]


def alone(model, ids: list[int]) -> tuple[list[float], list[int]]:
    """Return log-probabilities and ranks of all tokens but the first, from the model's own logits of one sequence."""
    tokens = torch.tensor(ids)
    with torch.inference_mode():
        logits = model(input_ids=tokens[None], use_cache=False).logits[0, :-1].float()
    own = logits.gather(1, tokens[1:, None])
    return (own - logits.logsumexp(1, keepdim=True))[:, 0].tolist(), (1 + (logits > own).sum(1)).tolist()


@pytest.mark.parametrize(
    ("name", "attention"),
    [(name, "sdpa") for name in ARCHITECTURES]
    + [(name, "eager") for name in ("llama", "mistral sliding", "gemma2", "gemma3_text", "mixtral")],
)
def test_a_batched_sequence_scores_as_it_does_alone(name, attention, monkeypatch):
    # one batch, whatever it wastes
    monkeypatch.setattr(logprobs, "PADDING", 0.99)
    model, all_ids = network(name, attention), sequences()
    output_logits.check(model)
    places = [list(range(1, len(ids))) for ids in all_ids]
    assert len(list(logprobs.batches(LENGTHS, 10_000))) == 1
    found = logprobs.score(model, all_ids, places, 10_000)
    spread = set()
    for ids, (values, ranks, *_) in zip(all_ids, found, strict=True):
        want, order = alone(model, ids)
        assert values == pytest.approx(want, abs=1e-5, rel=0)
        # two logits that are equal but for the last bits may change places
        assert ranks == pytest.approx(order, abs=1)
        spread |= set(ranks)
    assert len(spread) > 50


@pytest.mark.parametrize("chunks", ["one", "many"])
@pytest.mark.parametrize("name", ["llama", "gemma2", "granite"])
def test_squares_and_entropies_are_those_of_the_logits_in_float64(name, chunks, monkeypatch):
    if chunks == "many":
        monkeypatch.setattr(logprobs, "LOGITS", 7 * 512)
        monkeypatch.setattr(logprobs, "NORMALISED", {"cpu": 2 * 512})
    model, all_ids = network(name), sequences()
    places = [list(range(1, len(ids))) for ids in all_ids]
    without = logprobs.score(model, all_ids, places, 128)
    for ids, found, same in zip(all_ids, logprobs.score(model, all_ids, places, 128, True), without, strict=True):
        with torch.inference_mode():
            p = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, :-1].double().softmax(1)
        assert found.squares == pytest.approx(p.square().sum(1).tolist(), abs=1e-5)
        assert found.entropies == pytest.approx((-p * p.log()).sum(1).tolist(), abs=1e-5, rel=1e-5)
        assert (found.logprobs, found.ranks) == (same.logprobs, same.ranks)
        assert same.squares == same.entropies == same.tops == found.tops == []
    for ids, found in zip(all_ids, logprobs.score(model, all_ids, places, 128, True, True), strict=True):
        with torch.inference_mode():
            p = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, :-1].double().softmax(1)
        assert found.tops == pytest.approx(p.max(1).values.tolist(), abs=1e-5)


def test_a_token_that_is_impossible_adds_nothing_to_the_entropy():
    model = network("llama", tie_word_embeddings=False)
    model.lm_head.register_forward_hook(
        lambda _module, _args, output: output.index_fill(-1, torch.tensor([7]), float("-inf"))
    )
    found = logprobs.score(model, [[1, 2, 3]], [[1, 2]], 128, True)[0]
    assert all(0 < value < 7 for value in found.entropies)


@pytest.mark.parametrize("name", ["mistral sliding", "phi3 sliding", "starcoder2"])
def test_the_window_slides_in_a_batch_too(name):
    model, (longest, *rest) = network(name), sequences()
    other = [longest[0] % 511 + 1, *longest[1:]]
    wide = network(name, sliding_window=100)

    def last(model, ids):
        return logprobs.score(model, [ids, *rest], [[60], *([1] for _ in rest)], 10_000)[0][0][0]

    # two layers see twice the window
    assert last(model, other) == last(model, longest)
    assert last(wide, other) != last(wide, longest)


# --- templates, of the same structure as those of the model families

LLAMA = (
    "{{ bos_token }}{% for m in messages %}<|start|>{{ m['role'] }}<|stop|>\n\n{{ m['content'] | trim }}<|im_end|>"
    "{% endfor %}{% if add_generation_prompt %}<|start|>assistant<|stop|>\n\n{% endif %}"
)
QWEN = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou are the answer.<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# no system turn: it goes before the first user turn
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set first = messages[0]['content'] + '\n\n' %}"
    "{% set turns = messages[1:] %}{% else %}{% set first = '' %}{% set turns = messages %}{% endif %}"
    "{% for m in turns %}<|im_start|>{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n"
    "{{ (first if loop.first else '') + m['content'] | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>model\n{% endif %}"
)
PHI = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}<|stop|>{{ m['content'] }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant<|stop|>{% endif %}"
)
TEMPLATES = {"llama": (LLAMA, True), "qwen": (QWEN, False), "gemma": (GEMMA, True), "phi": (PHI, False)}
SYSTEM = {"role": "system", "content": "explain 3+4=7."}
ONE = [{"role": "user", "content": "sort the words"}]
THREE = [*ONE, {"role": "assistant", "content": "the story"}, {"role": "user", "content": "list of colour"}]
TALKS = {"one turn": ONE, "system": [SYSTEM, *ONE], "turns": THREE, "system and turns": [SYSTEM, *THREE]}
ANSWERS = ["the apple and bear", "x", " red\nstory of colour and the sum of words"]


@pytest.fixture(scope="module")
def llama():
    return network("llama", max_position_embeddings=256)


@pytest.mark.parametrize("format", ["chat", "plain"])
@pytest.mark.parametrize("family", TEMPLATES)
def test_templates_turns_and_bos(llama, family, format):
    """All ids are put together by hand here, and scored one by one."""
    template, bos = TEMPLATES[family]
    words = tiny.tokenizer(bos=bos, template=template)
    chat_settings = {"template": "own", "template_args": {}, "system": None, "plain": "Question: {question}\nAnswer:"}
    options = {"tokens": True, "rank_cap": 600, "max_length": 256, "batch_tokens": 512}
    rows = [(messages, answer) for messages in TALKS.values() for answer in ANSWERS]
    found = likelihood.score_rows(words, llama, rows, chat_settings, format, options)
    for (messages, answer), row in zip(rows, found, strict=True):
        asked = [turn["content"] for turn in messages if turn["role"] == "user"]
        if format == "chat":
            before = words.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
            opening = before.rpartition("<|start|>" if family == "llama" else "<|im_start|>")
            bare = (words.bos_token if bos else "") + opening[1] + opening[2]
        else:
            asked = ["\n".join(asked)]
            before = f"Question: {asked[0]}\nAnswer:"
            bare, before = (words.bos_token, words.bos_token + before) if bos else (words.eos_token, before)
        said, end = words(answer, add_special_tokens=False)["input_ids"], [words.eos_token_id]
        given = words(before, add_special_tokens=False)["input_ids"] + said + end
        header = words(bare, add_special_tokens=False)["input_ids"]
        assert given.count(words.bos_token_id) == bos
        values, ranks = alone(llama, given)
        start = len(given) - len(said) - 2
        assert row["token_logprobs"] == pytest.approx(values[start:], abs=1e-5, rel=0)
        assert row["token_ranks"] == ranks[start:]
        assert row["answer_given_question"] == pytest.approx(sum(values[start:-1]), abs=1e-4)
        assert row["end_given_question"] == pytest.approx(values[-1], abs=1e-5)
        bare_values = alone(llama, header + said + end)[0][len(header) - 1 :]
        assert row["answer"] == pytest.approx(sum(bare_values[:-1]), abs=1e-4)
        assert row["end"] == pytest.approx(bare_values[-1], abs=1e-5)
        assert (row["n_answer"], row["n_end"], row["reason"]) == (len(said), 1, None)
        # the question's tokens are those whose text lies in a user turn
        text, at, inside = words.decode(given[: -len(said) - 1]), 0, []
        assert text == (
            before if format == "chat" or not bos else words.bos_token + before.removeprefix(words.bos_token)
        )
        for turn in asked:
            at = text.index(turn, at)
            inside.append(range(at, at + len(turn)))
            at += len(turn)
        sums, here = [], 0
        for place, token in enumerate(given[: -len(said) - 1]):
            until = here + len(words.decode([token]))
            if any(set(range(here, until)) & set(turn) for turn in inside):
                sums.append(values[place - 1])
            here = until
        assert row["n_question"] == len(sums)
        assert row["question"] == pytest.approx(sum(sums), abs=1e-4)


def test_the_end_of_a_template_is_the_one_that_is_scored():
    for template, bos in TEMPLATES.values():
        words = tiny.tokenizer(bos=bos, template=template)
        assert chat.end(words, {"template": "own", "template_args": {}, "system": None}) == [words.eos_token_id]


# --- what has no finite value

OPTIONS = {"tokens": True, "rank_cap": 100, "max_length": 4096, "batch_tokens": 512}

CHAT = {"template": "own", "template_args": {}, "system": None, "plain": "{question}"}
ROWS = [(ONE, answer) for answer in ("the apple", "x", "", "red x and red", "red and red")]
NOT_FINITE = {"truncated": False, "reason": "log-probabilities are not finite"}


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_what_a_token_breaks_stays_in_its_row(broken):
    """In the same batch; half precision overflows like this."""
    model, words = network("llama", tie_word_embeddings=False), tiny.tokenizer()
    sound = likelihood.score_rows(words, model, ROWS, CHAT, "chat", OPTIONS)
    with torch.no_grad():
        model.get_input_embeddings().weight[words.convert_tokens_to_ids("x")] = broken
    found = likelihood.score_rows(words, model, ROWS, CHAT, "chat", OPTIONS)
    assert found == [sound[0], NOT_FINITE, sound[2], NOT_FINITE, sound[4]]


def test_an_impossible_token_is_no_number():
    model, words = network("llama", tie_word_embeddings=False), tiny.tokenizer()
    bad = words.convert_tokens_to_ids("x")

    def never(module, args, output):
        output[..., bad] = float("-inf")

    model.lm_head.register_forward_hook(never)
    found = likelihood.score_rows(words, model, ROWS, CHAT, "chat", OPTIONS)
    assert [row["reason"] for row in found] == [None, (no := NOT_FINITE["reason"]), "empty answer", no, None]


def test_a_model_that_gives_no_number_at_all_is_not_taken_for_an_unknown_architecture():
    model = network("llama")
    with torch.no_grad():
        model.base_model.norm.weight.fill_(float("nan"))
    with pytest.raises(BadInput, match="all its logits are NaN"):
        output_logits.check(model)
    assert likelihood.score_rows(tiny.tokenizer(), model, ROWS, CHAT, "chat", OPTIONS) == [NOT_FINITE] * len(ROWS)
