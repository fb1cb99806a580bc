"""Similarity of responses by embeddings: against all pairs one by one, over shards, and entries that cannot be asked for."""

import re
from itertools import combinations

import numpy as np
import pytest
import tiny
from rated_rows import TEXTS, response_table, reward_entry, scored
from teachergrid.errors import BadInput
from teachergrid.metrics.join import join
from teachergrid.metrics.measure import measure
from teachergrid.models import loading
from teachergrid.scoring import reward, similarity
from teachergrid.spec import schema
from teachergrid.store import artifacts


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> dict:
    """Return the entry of a tiny random encoder, whose attention looks both ways."""
    import torch
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("encoder")
    words = tiny.tokenizer(bos=True)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(words), max_position_embeddings=64, pad_token_id=words.pad_token_id, **sizes)
    net = BertModel(config, add_pooling_layer=False)  # as many are saved
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.dim() > 1:
                parameter.mul_(20)  # far from uniform, so that attention and position matter
    net.save_pretrained(folder)
    words.save_pretrained(folder)
    return schema.filled({"repo": str(folder), "dtype": "float32"}, schema.definition("model"))


def embedded(encoder: dict, text: str, pooling: str) -> np.ndarray:
    import torch

    tokenizer, net = loading.load_tokenizer(encoder, reward_entry()), loading.load_model(encoder, "encoder")
    ids = tokenizer(text)["input_ids"][:64]
    with torch.no_grad():
        states = net(torch.tensor([ids])).last_hidden_state[0].double().numpy()
    vector = {"mean": states.mean(0), "first": states[0], "last": states[-1]}[pooling]
    return vector / np.linalg.norm(vector)


@pytest.mark.parametrize(("pooling", "shard"), [("mean", 2), ("first", 1024), ("last", 1)])
def test_the_mean_is_that_of_all_pairs(encoder, tmp_path, pooling, shard, monkeypatch):
    monkeypatch.setattr(reward, "SHARD", shard)  # with 1, the one without text is alone in its shard
    options = {"similarity": {"text": "list : {response}", "pooling": pooling}, "batch": 2}
    table = scored(encoder, tmp_path, **options)
    assert table.schema.equals(artifacts.REWARDS)
    assert table["reason"].to_pylist() == [None, None, None, "no text", None, None]
    vectors = [embedded(encoder, f"list : {text}", pooling) for text in TEXTS if text]
    assert max(len(text) for text in TEXTS) > 3 * 64, "one of them is cut"
    pairs = np.array([[a @ b for b in vectors] for a in vectors])
    others = (pairs.sum(1) - 1) / (len(vectors) - 1)
    mean = np.mean([a @ b for a, b in combinations(vectors, 2)])
    assert mean < 0.99, "else this test shows nothing"
    found = np.array(table["reward"].drop_null().to_pylist())
    assert found == pytest.approx(2 * others - mean, abs=1e-5) and found.mean() == pytest.approx(mean, abs=1e-5)


def test_equal_texts_are_alike(encoder, tmp_path):
    same = response_table(*((f"q{i}", "red apple") for i in range(len(TEXTS))))
    assert scored(encoder, tmp_path, same, similarity={})["reward"].to_pylist() == pytest.approx(
        [1] * len(TEXTS), abs=1e-6
    )


def test_one_text_is_alike_to_nothing(encoder, tmp_path):
    table = scored(encoder, tmp_path, response_table(("q0", "red"), ("q1", " ")), similarity={})
    assert table["reward"].to_pylist() == [None, None]
    assert table["reason"].to_pylist() == [similarity.ALONE, "no text"]


@pytest.mark.parametrize("at_once", [1, 2**24])
def test_the_distance_to_the_nearest_of_another_instruction(at_once, monkeypatch):
    """Two samples of one instruction are no neighbours; equal texts of two instructions are 0 apart; shards and blocks change nothing."""
    monkeypatch.setattr(similarity, "AT_ONCE", at_once)
    angles = {("a", 0): 0, ("a", 1): 1, ("b", 0): 30, ("c", 0): 90, ("d", 0): 90, ("e", 0): None}

    def row(key, degrees):
        turned = None if degrees is None else [np.cos(np.radians(degrees)), np.sin(np.radians(degrees))]
        return {"id": key[0], "sample": key[1], "reward": turned, "reason": None if turned else "no text"}

    rows = [row(*item) for item in angles.items()]
    table = similarity.nearest([artifacts.table(part, similarity.VECTORS) for part in (rows[:2], rows[2:])])
    assert table.schema.equals(artifacts.REWARDS) and table["id"].to_pylist() == ["a", "a", "b", "c", "d", "e"]
    wanted = [1 - np.cos(np.radians(30)), 1 - np.cos(np.radians(29)), 1 - np.cos(np.radians(29)), 0, 0]
    assert table["reward"].to_pylist()[:5] == pytest.approx(wanted, abs=1e-6)
    assert table["reward"].to_pylist()[5] is None and table["reason"].to_pylist() == [*[None] * 5, "no text"]
    alone = similarity.nearest([artifacts.table(rows[:2], similarity.VECTORS)])
    assert alone["reward"].to_pylist() == [None, None] and set(alone["reason"].to_pylist()) == {similarity.ALONE}


def test_a_reward_measures_distances_where_it_says_so(encoder, tmp_path):
    same = response_table(*((f"q{i}", "red apple") for i in range(len(TEXTS))))
    found = scored(encoder, tmp_path, same, similarity={"measure": "nearest"})["reward"].to_pylist()
    assert found == pytest.approx([0] * len(TEXTS), abs=1e-6)


def test_the_interval_of_the_metric_is_as_wide_as_samples_are_spread():
    rng, n = np.random.default_rng(0), 200

    def draw():
        centre = np.where(rng.random((n, 1)) < 0.3, [[1.0, 0, 0]], [[0, 1.0, 0]])  # two topics
        vectors = centre + rng.normal(0, 0.5, (n, 3))
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def self_similarity(vectors):
        total = vectors.sum(0)
        return (total @ total - n) / (n * (n - 1))

    samples = [draw() for _ in range(1000)]
    responses = response_table(*((f"q{i}", "red") for i in range(n)))
    rows = [{"id": f"q{i}", "sample": 0, "reward": vector} for i, vector in enumerate(samples[0])]
    table = similarity.compare([artifacts.table(rows, similarity.VECTORS)])
    entry = schema.filled({"formula": "embedding_similarity", "reward": "alike"}, schema.definition("metric"))
    (row,) = measure({"m": entry}, join({"t": responses}, {"alike": {"t": table}}, {}), seed=0)
    assert row["metric"] == "embedding_similarity/alike" and row["reason"] is None
    assert row["value"] == pytest.approx(self_similarity(samples[0]), abs=1e-6)
    spread = np.std([self_similarity(sample) for sample in samples])
    assert row["high"] - row["low"] == pytest.approx(2 * 1.96 * spread, rel=0.15)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"similarity": {}}, "r.similarity: needs the key 'model'"),
        ({"model": "m", "similarity": {}, "rating": {"prompt": "{response}"}}, "an encoder, and no 'rating'"),
        ({"model": "m", "similarity": {}, "scale": "sigmoid"}, "r.scale: a similarity is a cosine"),
        (
            {"model": "m", "similarity": {"text": "passage"}},
            "r.similarity.text: has neither {instruction} nor {response}",
        ),
    ],
)
def test_similarities_that_cannot_be_asked_for(entry, message):
    with pytest.raises(BadInput, match=re.escape(message)):
        similarity.check("r", reward_entry(**entry))
