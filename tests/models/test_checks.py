"""Weights, tokens and templates that do not belong together are refused before they give results."""

import json
import shutil
from types import SimpleNamespace

import pytest
import tiny
import torch
from generations import CHAT, MODEL
from safetensors.torch import load_file, save_file
from teachergrid.errors import BadInput
from teachergrid.models import checks, loading


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.make(tmp_path_factory.mktemp("models") / "qwen2", "qwen2")


def edited(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return MODEL | {"repo": str(folder)}


def info(**keys):
    return {"missing_keys": [], "unexpected_keys": [], "mismatched_keys": []} | keys


def network(labels):
    names = {i: f"LABEL_{i}" for i in range(labels)}
    return SimpleNamespace(config=SimpleNamespace(num_labels=labels, model_type="x", id2label=names))


def test_weights_that_are_missing_are_refused():
    one, two = network(1), network(2)
    checks.check_weights(one, "reward", "there", info())
    checks.check_weights(two, "encoder", "there", info(missing_keys=["pooler.dense.weight"]))
    with pytest.raises(BadInput, match=r"there: no causal model, its weights lack pooler.dense.weight"):
        checks.check_weights(two, "causal", "there", info(missing_keys=["pooler.dense.weight"]))
    with pytest.raises(BadInput, match="there: a reward model has one output, this one has 2"):
        checks.check_weights(two, "reward", "there", info())


def test_weights_that_find_no_place_are_refused(folder, tmp_path):
    """A Qwen2 whose config calls it a Llama: its six biases would be left out, and its answers would be wrong."""
    copy = shutil.copytree(folder, tmp_path / "copy")
    entry = edited(copy, model_type="llama", architectures=["LlamaForCausalLM"], attention_bias=False)
    with pytest.raises(BadInput, match=r"copy: 6 of its weights have no place in a llama model, such as .*k_proj.bias"):
        loading.load_model(entry)
    for kind in ("encoder", "reward"):
        with pytest.raises(BadInput, match=r"have no place|no reward model"):
            loading.load_model(entry, kind)


def test_weights_that_transformers_leaves_out_and_heads_of_an_encoder_are_not_refused(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    weights = load_file(copy / "model.safetensors")
    weights["model.rotary_emb.inv_freq"] = torch.ones(16)  # older files have this buffer
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    loading.load_model(MODEL | {"repo": str(copy)})
    weights["cls.predictions.bias"] = torch.ones(16)
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    loading.load_model(MODEL | {"repo": str(copy)}, "encoder")
    with pytest.raises(BadInput, match="1 of its weights have no place"):
        loading.load_model(MODEL | {"repo": str(copy)})


@pytest.mark.parametrize("labels", [2, 5])
def test_outputs_of_the_config_are_held_against_the_weights(tmp_path, labels):
    folder = tiny.make(tmp_path / "rm", kind="reward")
    names = {str(i): f"L{i}" for i in range(labels)}
    entry = edited(folder, id2label=names, label2id={name: int(i) for i, name in names.items()})
    with pytest.raises(
        BadInput, match=rf"score.weight is \(1, 64\) in the weights, and \({labels}, 64\) .*`num_labels`"
    ):
        loading.load_model(entry, "reward")


@pytest.mark.parametrize("padding", [-1, 512, 10**6])
def test_a_padding_token_that_the_model_does_not_have_is_forgotten(folder, tmp_path, padding):
    """torch would take -1 for the last token and never train it."""
    entry = edited(shutil.copytree(folder, tmp_path / "copy"), pad_token_id=padding)
    model = loading.load_model(entry)
    assert model.get_input_embeddings().padding_idx is None
    assert loading.weight_bytes(entry) == loading.weight_bytes(MODEL | {"repo": str(folder)})


def with_token(folder, token):
    """Return the tokenizer of a folder with a token more, for which the model has no embedding."""
    words = loading.load_tokenizer(MODEL | {"repo": str(folder)}, CHAT)
    assert words.add_special_tokens({"additional_special_tokens": [token]}) == 1
    return words


def test_padding_may_be_any_token_and_another_token_without_an_embedding_is_named(folder):
    words, model = with_token(folder, "<|new|>"), loading.load_model(MODEL | {"repo": str(folder)})
    words.pad_token = "<|new|>"
    checks.check_ids(words, model)
    assert words.pad_token_id == words.eos_token_id
    new = len(words) - 1
    model(torch.arange(new)[None])
    with pytest.raises(BadInput, match=rf"the token '<\|new\|>' \(id {new}\).* for the ids 0 to {new - 1} only"):
        model(torch.tensor([[5, new]]))


def test_tokens_that_all_have_embeddings_need_no_check(folder):
    words, model = tiny.tokenizer(), loading.load_model(MODEL | {"repo": str(folder)})
    checks.check_ids(words, model)
    assert not model.get_input_embeddings()._forward_pre_hooks and words.pad_token == "<|pad|>"


SYSTEM_ONLY = "{% for m in messages %}<|im_start|>{{ m['role'] }}<|im_end|>{% endfor %}"
NO_ANSWERS = "{% for m in messages if m['role'] == 'user' %}{{ m['content'] }}<|im_end|>{% endfor %}"


@pytest.mark.parametrize(("template", "role"), [(SYSTEM_ONLY, "user"), (NO_ANSWERS, "assistant")])
def test_a_template_that_drops_the_text_of_a_turn_is_refused(template, role):
    with pytest.raises(BadInput, match=f"leaves out the text of the {role} turn"):
        checks.check_template(tiny.tokenizer(template=template), CHAT)


LAST_ONLY = "{{ messages[-1]['content'] }}<|im_end|>"


def test_a_template_that_shows_the_last_turn_only_takes_no_other():
    words = tiny.tokenizer(template="{{ messages[0]['content'] if messages|length == 2 }}" + LAST_ONLY)
    checks.check_template(words, CHAT)
    read = checks.reader(words, CHAT, "chat")
    turns = [{"role": role, "content": role} for role in ("user", "assistant", "user")]
    read(turns[:1])
    with pytest.raises(BadInput, match=r"leaves out the text of an earlier user turn; .*`turns: first`"):
        read(turns)
    checks.reader(words, CHAT, "plain")(turns)
    checks.reader(tiny.tokenizer(), CHAT, "chat")(turns)


@pytest.mark.parametrize("change", ["trim", "tojson", "upper", "safe"])
def test_a_template_may_change_the_text(change):
    checks.check_template(tiny.tokenizer(template=tiny.CHATML.replace("content']", f"content'] | {change}")), CHAT)


@pytest.mark.parametrize("template", [None, "{{ raise_exception('no') }}", "{% if %}"])
def test_a_template_that_fails_is_reported_where_it_is_used(template):
    checks.check_template(tiny.tokenizer(template=template), CHAT)
