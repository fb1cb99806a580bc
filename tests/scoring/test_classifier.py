"""A reward model's logits are those of the chat's ids, one by one, whatever the batch."""

import pytest
import tiny
from rated_rows import ANSWERED, ASKED, TEXTS, changed, response_table, reward_entry, reward_model, scored
from teachergrid.errors import BadInput
from teachergrid.models import loading
from teachergrid.scoring import classifier, reward
from teachergrid.spec import schema
from teachergrid.store import artifacts


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> dict:
    return reward_model(tmp_path_factory.mktemp("rm"))


# the usual ChatML writes a line break after the end token, and models trained on it are read there
LINE_BREAK = "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"


@pytest.mark.parametrize(("read_at", "tail"), [("end", ""), ("template", "\n")])
def test_rewards_are_the_logits_of_the_chat_ids(model, tmp_path, read_at, tail):
    import torch

    table = scored(model, tmp_path, batch=4, read_at=read_at, template=LINE_BREAK)
    assert table.schema.equals(artifacts.REWARDS) and table["id"].to_pylist() == ANSWERED["id"].to_pylist()
    tokenizer, net = loading.load_tokenizer(model, reward_entry()), loading.load_model(model, kind="reward")
    expected = []
    for i, text in enumerate(TEXTS):
        ids = tokenizer(
            f"<|im_start|>user\nsort q{i}<|im_end|>\n<|im_start|>assistant\n{text}<|im_end|>{tail}",
            add_special_tokens=False,
        )["input_ids"]
        with torch.no_grad():
            hidden = net.model(torch.tensor([ids])).last_hidden_state
        expected.append(net.score(hidden[0, -1]).item())
    assert table["reward"].to_pylist() == pytest.approx(expected, abs=1e-5)
    assert len({round(value, 4) for value in expected}) == len(TEXTS)


def test_batch_is_as_alone(model, tmp_path):
    alone = scored(model, tmp_path / "alone", batch=1)["reward"].to_pylist()
    assert scored(model, tmp_path / "batch", batch=6)["reward"].to_pylist() == pytest.approx(alone, abs=1e-5)


def test_no_second_bos(tmp_path):
    folder = tiny.make(tmp_path / "bos", kind="reward", bos=True, template=tiny.CHATML_WITH_BOS)
    entry = schema.filled({"repo": str(folder), "dtype": "float32"}, schema.definition("model"))
    tokenizer, net = loading.load_tokenizer(entry, reward_entry()), loading.load_model(entry, "reward")
    seen = []
    net.register_forward_pre_hook(lambda _, args, inputs: seen.append(inputs["input_ids"]), with_kwargs=True)
    scorer = classifier.Classifier(tokenizer, net, reward_entry())
    reward.score_rows(reward.join(ANSWERED, ASKED), reward_entry(batch=1), scorer, 512)
    assert len(seen) == len(TEXTS)
    for ids in seen:
        assert ids[0].tolist().count(tokenizer.bos_token_id) == 1 and ids[0, 0] == tokenizer.bos_token_id


def test_model_without_a_padding_token(model, tmp_path):
    def forget(net):
        net.config.pad_token_id = None

    bare = changed(model, tmp_path / "bare", forget)
    assert loading.load_model(bare, kind="reward").config.pad_token_id is None
    expected = scored(model, tmp_path / "with")["reward"].to_pylist()
    assert scored(bare, tmp_path / "without", batch=6)["reward"].to_pylist() == pytest.approx(expected, abs=1e-5)


def test_not_a_reward_model(tmp_path):
    folder = tiny.make(tmp_path / "causal")
    entry = schema.filled({"repo": str(folder)}, schema.definition("model"))
    with pytest.raises(BadInput, match="causal: no reward model"):
        scored(entry, tmp_path / "work")


@pytest.mark.parametrize("padding", [-1, 3, 10**6, None])  # 3 is the end token
def test_the_end_token_is_read_whatever_the_padding_token_is(model, tmp_path, padding):
    """The network reads the last token that is not padding: with the end token as padding, the one before."""
    import json

    expected = scored(model, tmp_path / "with", read_at="end")["reward"].to_pylist()
    other = changed(model, tmp_path / "other", lambda net: None)
    path = tmp_path / "other/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"pad_token_id": padding}))
    assert loading.load_tokenizer(model, reward_entry()).eos_token_id == 3
    for batch in (1, 6):
        found = scored(other, tmp_path / f"without{batch}", batch=batch, read_at="end")["reward"].to_pylist()
        assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("read_at", ["end", "template"])
@pytest.mark.parametrize("batch", [1, 6])
def test_an_answer_that_was_cut_off_has_no_end_token(model, tmp_path, read_at, batch):
    """`end` then reads its last token, also where that is the padding token; `template` reads what the template writes."""
    import torch

    tokenizer, net = loading.load_tokenizer(model, reward_entry()), loading.load_model(model, kind="reward")
    words = ["red apple", "the sum of a list", "colour bear " * 9]
    padding = int(tokenizer("bear", add_special_tokens=False)["input_ids"][-1])

    def take(other):
        other.config.pad_token_id = padding

    table = response_table(*((f"q{i}", text.strip(), "length") for i, text in enumerate(words)), ("q3", "", "length"))
    options = {"batch": batch, "read_at": read_at, "template": LINE_BREAK}
    found = scored(changed(model, tmp_path / "other", take), tmp_path / "work", table, **options)
    tail, expected = ("<|im_end|>\n" if read_at == "template" else ""), []
    for i, text in enumerate(words):
        said = f"<|im_start|>user\nsort q{i}<|im_end|>\n<|im_start|>assistant\n{text.strip()}{tail}"
        ids = tokenizer(said, add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            expected.append(net.score(net.model(torch.tensor([ids])).last_hidden_state[0, -1]).item())
    assert found["reward"].to_pylist()[:3] == pytest.approx(expected, abs=1e-5)
    assert read_at == "template" or found["reason"].to_pylist() == [None] * 3 + ["no text"]


def test_positions_that_begin_after_the_padding_token_are_not_counted_twice(tmp_path):
    """RoBERTa has 514 positions for 512 tokens. A text that is longer gets no reward, and costs no other row its own."""
    from transformers import RobertaConfig, RobertaForSequenceClassification

    words = tiny.tokenizer()
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    ids = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "num_labels": 1}
    config = RobertaConfig(vocab_size=len(words), max_position_embeddings=66, **sizes, **ids)
    RobertaForSequenceClassification(config).save_pretrained(tmp_path / "roberta")
    words.save_pretrained(tmp_path / "roberta")
    entry = schema.filled({"repo": str(tmp_path / "roberta"), "dtype": "float32"}, schema.definition("model"))
    assert loading.context(loading.load_model(entry, "reward")) == 64
    text = words.apply_chat_template(asked("red"), tokenize=False)
    length = len(words(text, add_special_tokens=False)["input_ids"])
    texts = ["red" + " red" * (64 - length), "red" + " red" * (65 - length), "red"]
    table = scored(entry, tmp_path / "work", response_table(*((f"q{i}", text) for i, text in enumerate(texts))))
    assert table["reason"].to_pylist() == [None, "too long (65 tokens)", None]
    assert table["reward"].null_count == 1


def asked(answer: str) -> list[dict]:
    return [{"role": "user", "content": "sort q0"}, {"role": "assistant", "content": answer}]


# --- several outputs


@pytest.fixture(scope="module")
def three(tmp_path_factory) -> dict:
    """A classifier with three outputs, as those of entailment."""
    import torch
    from transformers import AutoModelForSequenceClassification

    folder = tiny.make(tmp_path_factory.mktemp("three"), kind="reward")
    labels = {0: "Contradiction", 1: "neutral", 2: "entailment"}
    torch.manual_seed(1)
    net = AutoModelForSequenceClassification.from_pretrained(
        folder,
        num_labels=3,
        id2label=labels,
        label2id={name: i for i, name in labels.items()},
        ignore_mismatched_sizes=True,
    )
    net.save_pretrained(folder)
    return schema.filled({"repo": str(folder), "dtype": "float32"}, schema.definition("model"))


@pytest.mark.parametrize("scale", ["raw", "sigmoid", "softmax"])
def test_one_of_several_outputs_is_the_reward(three, tmp_path, scale):
    import torch

    tokenizer, net = loading.load_tokenizer(three, reward_entry()), loading.load_model(three, kind="classifier")
    rows = [
        classifier.Classifier(tokenizer, net, reward_entry()).tokens(
            [{"role": "user", "content": f"sort q{i}"}], text, True
        )
        for i, text in enumerate(TEXTS)
    ]
    with torch.no_grad():
        logits = torch.stack([net(torch.tensor([ids])).logits[0] for ids in rows])
    values = {"raw": logits, "sigmoid": logits.sigmoid(), "softmax": logits.softmax(1)}[scale]
    for output, number in ((0, 0), ("entailment", 2), ("contradiction", 0)):
        table = scored(three, tmp_path / f"{output}", output=output, scale=scale, batch=4)
        assert table["reward"].to_pylist() == pytest.approx(values[:, number].tolist(), abs=1e-5)


def test_several_outputs_need_a_choice_that_the_model_has(three, tmp_path):
    known = r"0 \(Contradiction\), 1 \(neutral\), 2 \(entailment\)"
    with pytest.raises(BadInput, match=rf"one output, this one has 3; name the one .* as `output`: {known}"):
        scored(three, tmp_path / "a")
    for output in (3, "yes"):
        with pytest.raises(BadInput, match=rf"has no output {output!r}; `output` is one of {known}"):
            scored(three, tmp_path / f"{output}", output=output)


WRONG = [
    ({"output": 1}, "r.output: it belongs to a classifier"),
    (
        {"model": "m", "output": 1, "rating": {"prompt": "x"}},
        "r.output: it belongs to a classifier; state a 'model', and no rating",
    ),
    ({"model": "m", "head": "armorm", "output": 1}, "r.output: the head 'armorm' gives one number"),
    ({"model": "m", "scale": "softmax"}, "r.scale: softmax compares several outputs; state which"),
]


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_outputs_and_heads_belong_to_classifiers(options, message):
    with pytest.raises(BadInput) as error:
        classifier.check("r", reward_entry(**options))
    assert str(error.value).startswith(message)
    classifier.check("r", reward_entry(model="m", output=1, scale="softmax"))
