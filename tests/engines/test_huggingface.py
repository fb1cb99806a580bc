"""What is generated depends on the row, the model and the seed, and not on the batch."""

import json
import shutil

import chat_templates
import pytest
import tiny
import torch
from generations import CHAT, DRAWN, GREEDY, MODEL, TEXTS, tiny_models
from teachergrid.engines import engine, huggingface
from teachergrid.engines.requests import Request, Setup, ended
from teachergrid.models import chat, loading


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return tiny_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module", params=["llama", "qwen2"])
def loaded(request, folders):
    entry = MODEL | {"repo": str(folders[request.param])}
    return loading.load_model(entry), loading.load_tokenizer(entry, CHAT)


def generated(loaded, texts=TEXTS, sampling=GREEDY, batch=5, stops=(3,), samples=1):
    """Return {(text, sample): result}."""
    keys = [(text, sample) for text in texts for sample in range(samples)]
    prompts = [chat.prompt(loaded[1], [{"role": "user", "content": text}], CHAT).ids for text, _ in keys]
    return dict(
        zip(keys, huggingface.Generator(*loaded, list(stops)).generate(prompts, keys, sampling, batch), strict=True)
    )


def by_hand(loaded, text, steps):
    """Greedy tokens, one forward pass over the whole text per token."""
    ids = chat.prompt(loaded[1], [{"role": "user", "content": text}], CHAT).ids
    with torch.inference_mode():
        for _ in range(steps):
            ids = ids + [int(loaded[0](torch.tensor([ids])).logits[0, -1].argmax())]
    return ids[-steps:]


def test_greedy_is_the_most_likely_token_whatever_the_vendor_ships(loaded):
    assert loaded[0].generation_config.top_k == 3  # tiny models come with sampling defaults
    for (text, _), result in generated(loaded, stops=()).items():
        tokens = by_hand(loaded, text, GREEDY["max_tokens"])
        assert result["text"] == loaded[1].decode(tokens, skip_special_tokens=True)
        assert (result["finish_reason"], result["response_tokens"]) == ("length", GREEDY["max_tokens"])
    assert loaded[0].generation_config.top_k == 3


def test_a_response_ends_before_its_first_stop_token(loaded):
    tokens = by_hand(loaded, "red", GREEDY["max_tokens"])
    stop = tokens[5]
    result = generated(loaded, ["red", *TEXTS[1:]], stops=[stop])["red", 0]
    length = tokens.index(stop)
    assert result == {
        "text": loaded[1].decode(tokens[:length], skip_special_tokens=True),
        "finish_reason": "stop",
        "response_tokens": length,
        "prompt_tokens": len(chat.prompt(loaded[1], [{"role": "user", "content": "red"}], CHAT).ids),
    }


@pytest.mark.parametrize("sampling", [GREEDY, DRAWN], ids=["greedy", "drawn"])
def test_a_response_ends_before_its_first_stop_text(loaded, sampling, monkeypatch):
    """What the whole response says is cut; that the model writes no further only saves work."""
    whole = [*generated(loaded, sampling=sampling).values()]
    middle = [one["text"][len(one["text"]) // 2 :][:2] for one in whole]
    stop = [middle[0], middle[1], "no such text"]
    cut = [*generated(loaded, sampling=sampling | {"stop": stop}).values()]
    for full, one in zip(whole, cut, strict=True):
        place = min((p for text in stop if (p := full["text"].find(text)) >= 0), default=None)
        assert one["text"] == full["text"][:place]
        assert one["finish_reason"] == ("stop" if place is not None else full["finish_reason"])
        assert one["response_tokens"] <= full["response_tokens"]
    assert cut[0]["response_tokens"] < whole[0]["response_tokens"]
    # the model itself stops
    lengths = []

    def noted(prompt_tokens, ids, *rest):
        lengths.append(len(ids))
        return ended(prompt_tokens, ids, *rest)

    monkeypatch.setattr(huggingface, "ended", noted)
    generated(loaded, TEXTS[:1], sampling | {"stop": [middle[0]]})
    assert lengths[0] < sampling["max_tokens"]


def test_the_tokens_of_a_cut_response_are_those_that_its_text_takes():
    words = {1: "So ", 2: "4. ", 3: "Ques", 4: "tion: ", 5: "more", 9: ""}

    def output(ids, limit=9, stops=(9,), texts=("Question:", "4")):
        one = ended(7, list(ids), limit, list(stops), lambda some: "".join(words[i] for i in some), texts)
        return one["text"], one["finish_reason"], one["response_tokens"]

    assert output([1, 3, 4, 5], 4, texts=["Question:"]) == ("So ", "stop", 1)
    # the first of several texts; half of a token that holds it counts as the token
    assert output([1, 2, 3, 4], 4) == ("So ", "stop", 1)
    assert output([1, 2, 5], 3, texts=[". "]) == ("So 4", "stop", 2)
    assert output([3, 4, 5], 3) == ("", "stop", 0)
    # a stop token comes first, or the limit
    assert output([1, 9, 3, 4], 4) == ("So ", "stop", 1)
    assert output([1, 3], 2) == ("So Ques", "length", 2)


@pytest.mark.parametrize("sampling", [GREEDY, DRAWN], ids=["greedy", "drawn"])
def test_batches_and_their_order_change_nothing(loaded, sampling):
    want = generated(loaded, sampling=sampling, samples=2)
    for batch in (1, 2, 3):
        assert generated(loaded, TEXTS[::-1], sampling, batch, samples=2) == want


def test_seed_id_and_sample_decide_what_is_drawn(loaded):
    first = generated(loaded, sampling=DRAWN, samples=2)
    assert first == generated(loaded, sampling=DRAWN, samples=2)
    other = generated(loaded, sampling=DRAWN | {"seed": 8}, samples=2)
    assert all(first[key]["text"] != other[key]["text"] for key in first)
    assert all(first[text, 0]["text"] != first[text, 1]["text"] for text in TEXTS)
    same_prompt = huggingface.Generator(*loaded, [3]).generate([[5, 6]] * 2, [("a", 0), ("b", 0)], DRAWN, 2)
    assert same_prompt[0]["text"] != same_prompt[1]["text"]


def test_draws_follow_the_probabilities():
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
    draws = 4000
    keys = [(str(i), 0) for i in range(draws)]
    process = huggingface.draw_processor(3, keys, DRAWN | {"top_p": 0.9, "top_k": 0}, 1)
    chosen = process(torch.zeros(draws, 3, dtype=torch.long), logits.repeat(draws, 1)).argmax(-1).bincount(minlength=4)
    # the nucleus of 0.9 is three tokens with 0.95 in sum; three standard errors of a share are at most 0.024
    assert (chosen / draws - torch.tensor([0.5, 0.3, 0.15, 0]) / 0.95).abs().max() < 0.024
    assert chosen[3] == 0


def test_the_models_context_ends_a_response_and_a_prompt(tmp_path):
    entry = MODEL | {"repo": str(tiny.make(tmp_path / "short", positions=40))}
    loaded = loading.load_model(entry), loading.load_tokenizer(entry, CHAT)
    prompts = [[10] * 5, [11] * 30, [12] * 39, [13] * 40]
    generator = huggingface.Generator(*loaded, [])
    results = generator.generate(prompts, [(str(i), 0) for i in range(4)], GREEDY, 4)
    assert [result["response_tokens"] for result in results] == [12, 10, 1, 0]
    assert [result["finish_reason"] for result in results] == ["length"] * 3 + ["prompt_too_long"]
    # each as if alone
    assert [generator.generate([prompt], [("x", 0)], GREEDY, 4)[0] for prompt in prompts] == results


def renamed(folder, token: int, tag: str, special: bool) -> str:
    """Make one token of a tokenizer a tag, so that a model which writes the token writes the tag. Return the folder."""
    path = folder / "tokenizer.json"
    core = json.loads(path.read_text())
    old = next(text for text, i in core["model"]["vocab"].items() if i == token)
    core["model"]["merges"] = [pair for pair in core["model"]["merges"] if old not in (*pair, "".join(pair))]
    core["model"]["vocab"] = {tag if i == token else text: i for text, i in core["model"]["vocab"].items()}
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    core["added_tokens"].append({"id": token, "content": tag, "special": special, **flags})
    path.write_text(json.dumps(core))
    return str(folder)


@pytest.mark.parametrize("tag", ["</think>", "<|call|>"])
def test_a_special_token_inside_a_response_stays_in_its_text(tmp_path, tag):
    entry = MODEL | {"repo": str(tiny.make(tmp_path / "plain", "llama"))}
    loaded = loading.load_model(entry), loading.load_tokenizer(entry, CHAT)
    tokens = by_hand(loaded, "red", GREEDY["max_tokens"])
    request = Request("red", 0, [{"role": "user", "content": "red"}], None, GREEDY)
    prompt = chat.prompt(loaded[1], request.messages, CHAT).ids
    token = next(token for token in tokens if token > 3 and token not in prompt)
    texts = []
    for special in (True, False):
        folder = shutil.copytree(tmp_path / "plain", tmp_path / f"special {special}")
        changed = MODEL | {"repo": renamed(folder, token, tag, special)}
        output = dict(engine.load("transformers", Setup(changed, CHAT))([request]))[0]
        assert output["response_tokens"] == tokens.index(3) if 3 in tokens else len(tokens)
        texts.append(output["text"])
    assert texts[0] == texts[1]
    assert tag in texts[0]


def test_a_response_keeps_the_tag_that_its_prompt_opened(folders, capsys):
    request = Request("red", 0, [{"role": "user", "content": "red"}], None, GREEDY)
    entry, opens = MODEL | {"repo": str(folders["llama"])}, CHAT | {"template": chat_templates.R1}
    output = dict(engine.load("transformers", Setup(entry, opens))([request]))[0]
    assert output["text"].startswith("<think>\n")
    assert "warning: " in capsys.readouterr().out
    # behind the same prompt in the plain format, the model writes what follows the tag
    prompt = "<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n<think>\n"
    again = dict(engine.load("transformers", Setup(entry, CHAT | {"plain": prompt}, "plain"))([request]))[0]
    assert output["text"] == "<think>\n" + again["text"]
