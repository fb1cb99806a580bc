"""A row's response hangs on the row, the model and the seed, and not on what it is generated with."""

import json
import os
import random

import pyarrow as pa
import pytest
import tiny
import torch
from teachergrid.engines import huggingface
from teachergrid.errors import BadInput
from teachergrid.evaluation import answer
from teachergrid.instructions import files
from teachergrid.models import chat, loading
from teachergrid.responses import generate
from teachergrid.store import artifacts, shards

MODEL = {"revision": None, "dtype": "float32", "attention": "sdpa", "trust_remote_code": False}
CHAT = {"template": "own", "template_args": {}, "system": None, "plain": "{question}\n"}
GREEDY = {"temperature": 0, "top_p": 1, "top_k": 0, "max_tokens": 12, "samples": 1, "seed": None}
DRAWN = GREEDY | {"temperature": 1.0, "top_p": 0.95, "top_k": 50, "seed": 7}
FIELDS = dict.fromkeys(["messages", "instruction", "input", "answer", "category", "response"])
TEXTS = ["red", "sort the words apple bear story", "explain 3+4=7." * 6, "list of colour", "sum and answer the reason"]


def instructions(texts) -> pa.Table:
    chats = [[{"role": "user", "content": text}] for text in texts]
    rows = [{"id": files.message_id(m), "messages": m, "source": "test", "round": 0, "category": "c"} for m in chats]
    return artifacts.table(rows, artifacts.INSTRUCTIONS)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {name: tiny.make(root / name, name) for name in ("llama", "qwen2")}


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


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"top_k": 2}, [0, 2]),
        ({"top_k": 3}, [0, 1, 2, 3]),  # 1 and 3 are equal
        ({"top_p": 0.4}, [0]),
        ({"top_p": 0.5}, [0, 2]),
        ({"top_p": 0.9}, [0, 1, 2, 3]),
        ({"top_k": 2, "top_p": 0.5}, [0]),  # of the two that top_k leaves, 0 has 0.4 / 0.7
        ({"temperature": 0.1, "top_p": 0.9}, [0]),  # 0.4^10 : 0.3^10 = 0.946 : 0.053
    ],
)
def test_filters(settings, kept):
    logits = torch.tensor([[0.4, 0.12, 0.3, 0.12, 0.06]]).log()
    left = huggingface.filtered(logits, {"temperature": 1.0, "top_p": 1, "top_k": 0} | settings)
    assert left.isfinite()[0].nonzero()[:, 0].tolist() == kept


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

    long = instructions(["red " * 50, "bear " * 50])
    settings = {"teacher": TEACHER, "model": entry}
    with pytest.raises(BadInput, match=f"all 2 prompts are too long.*id {long['id'][0]} with .* tokens"):
        generate.respond(long, settings, tmp_path / "work")


TEACHER = {**CHAT, "engine": "transformers", "sampling": DRAWN | {"samples": 2}, "batch": 3, "shard": 4}


def test_respond_writes_shards_and_takes_up_where_it_was_killed(folders, tmp_path, capsys, monkeypatch):
    asked, settings = instructions(TEXTS), {"teacher": TEACHER, "model": MODEL | {"repo": str(folders["llama"])}}
    table, groups = generate.respond(asked, settings, tmp_path)
    assert groups == [4, 4, 2]
    assert table["id"].to_pylist() == [i for i in asked["id"].to_pylist() for _ in range(2)]
    assert table["sample"].to_pylist() == [0, 1] * 5
    assert set(table["seed"].to_pylist()) == {7}
    assert table.schema == artifacts.RESPONSES
    made = {path: path.read_bytes() for path in tmp_path.glob("*.parquet")}
    first, second, third = sorted(made)
    assert "shard 3 of 3" in capsys.readouterr().out

    def again():
        repeated = generate.respond(asked, settings, tmp_path)
        assert repeated == (table, groups)
        assert {path: path.read_bytes() for path in tmp_path.glob("*.parquet")} == made
        return capsys.readouterr().out

    with monkeypatch.context() as patch:
        patch.setattr(loading, "load_model", lambda *_, **__: pytest.fail("work that is finished loads no model"))
        assert "3 of 3 shards are there" in again()
    os.truncate(first, first.stat().st_size // 2)
    flipped = bytearray(made[second])
    flipped[len(flipped) // 3] ^= 4
    second.write_bytes(flipped)
    third.unlink()
    (tmp_path / "000002.part").write_bytes(b"PAR1")  # killed while it was written
    said = again()
    assert f"shard 1 is damaged and is made again ({first})" in said
    assert f"shard 2 is damaged and is made again ({second})" in said


def test_shards_of_other_columns_are_made_again(tmp_path, capsys):
    old, new = pa.schema([("a", pa.int64())]), pa.schema([("a", pa.int32())])
    assert shards.run(tmp_path, 1, lambda i: [{"a": 1}], old, "rows")[0].schema == old
    assert shards.run(tmp_path, 1, lambda i: [{"a": 2}], new, "rows")[0].to_pylist() == [{"a": 2}]
    assert "other columns" in capsys.readouterr().out


def test_a_kill_loses_the_shard_at_work_only(tmp_path):
    schema = pa.schema([("a", pa.int64())])

    def make(i):
        if i == 2 and not killed:
            killed.append(i)
            raise KeyboardInterrupt
        calls.append(i)
        return [{"a": i}]

    calls, killed = [], []
    with pytest.raises(KeyboardInterrupt):
        shards.run(tmp_path, 4, make, schema, "rows")
    assert [table["a"][0].as_py() for table in shards.run(tmp_path, 4, make, schema, "rows")] == [0, 1, 2, 3]
    assert calls == [0, 1, 2, 3]


def test_answer_takes_base_and_student_alike(folders, tmp_path):
    items = {"sums": instructions(TEXTS[:2]), "words": instructions(TEXTS[1:])}
    tasks = {"sums": {"sampling": GREEDY}, "words": {"sampling": DRAWN | {"samples": 2}}}
    settings = {"chat": CHAT, "format": "chat", "tasks": tasks, "suite": {"batch": 4, "shard": 3}}
    settings["model"] = MODEL | {"repo": str(folders["llama"])}
    table = answer.answer(items, settings, tmp_path / "base")
    assert table["task"].to_pylist() == ["sums"] * 2 + ["words"] * 8
    assert table["category"].to_pylist() == ["c"] * 10
    # the teacher engine gives the same to the same model
    teacher = TEACHER | {"sampling": GREEDY}
    responses, _ = generate.respond(
        items["sums"], {"teacher": teacher, "model": settings["model"]}, tmp_path / "teacher"
    )
    assert table["answer"].to_pylist()[:2] == responses["response"].to_pylist()
    assert set(responses["seed"].to_pylist()) == {None}
    # a student is its base's entry with weights of its own
    assert answer.answer(items, settings, tmp_path / "same", folders["llama"]) == table
    other = answer.answer(items, settings, tmp_path / "student", folders["qwen2"])
    assert other["answer"] != table["answer"]
    plain = answer.answer(items, settings | {"format": "plain"}, tmp_path / "plain")
    assert plain["prompt_tokens"][0].as_py() == len(
        loading.load_tokenizer(settings["model"], CHAT)("red\n")["input_ids"]
    )


def test_answer_names_the_folder_of_lost_weights(folders, tmp_path):
    settings = {"chat": CHAT, "format": "chat", "tasks": {"a": {"sampling": GREEDY}}, "suite": {"batch": 4, "shard": 3}}
    settings["model"] = MODEL | {"repo": str(folders["llama"])}
    with pytest.raises(BadInput, match="gone"):
        answer.answer({"a": instructions(TEXTS)}, settings, tmp_path, tmp_path / "gone")


def existing(tmp_path, rows, asked=TEXTS, **teacher):
    path = tmp_path / "there.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    entry = {"engine": "existing", "fields": FIELDS, "allow_missing": False} | teacher
    return generate.respond(instructions(asked), {"teacher": entry}, tmp_path, str(path))


IDS = instructions(TEXTS)["id"].to_pylist()


@pytest.mark.parametrize(
    ("row", "fields"),
    [
        (lambda i, text: {"id": IDS[i], "output": f"r{i}"}, {}),
        (lambda i, text: {"instruction": text, "response": f"r{i}"}, {}),
        (lambda i, text: {"prompt": text, "content": f"r{i}"}, {}),
        (lambda i, text: {"messages": [{"role": "user", "content": text}], "answer": f"r{i}"}, {}),
        (lambda i, text: {"conversations": [{"from": "human", "value": text}, {"from": "gpt", "value": f"r{i}"}]}, {}),
        (lambda i, text: {"q": text, "a": f"r{i}", "output": "not this"}, {"instruction": "q", "response": "a"}),
    ],
    ids=["id", "instruction", "prompt", "messages", "conversations", "fields"],
)
def test_existing_responses_are_joined(tmp_path, row, fields):
    rows = [row(i, text) for i, text in enumerate(TEXTS)] + [row(0, "an instruction that was not drawn") | {"id": "?"}]
    random.Random(0).shuffle(rows)
    table, groups = existing(tmp_path, rows, fields=FIELDS | fields)
    assert table["id"].to_pylist() == IDS
    assert table["response"].to_pylist() == [f"r{i}" for i in range(5)]
    assert set(table["finish_reason"].to_pylist()) == {"unknown"}
    assert table["response_tokens"].null_count == 5
    assert groups == [5]


def test_existing_null_is_empty_samples_are_numbered_and_missing_may_be_allowed(tmp_path):
    rows = [{"instruction": TEXTS[1], "output": None}]
    rows += [{"instruction": TEXTS[0], "output": text, "sample": k} for k, text in ((1, "b"), (0, "a"))]
    table, _ = existing(tmp_path, rows, allow_missing=True)
    assert table.select(["id", "sample", "response"]).to_pylist() == [
        {"id": IDS[0], "sample": 0, "response": "a"},
        {"id": IDS[0], "sample": 1, "response": "b"},
        {"id": IDS[1], "sample": 0, "response": ""},
    ]


GOOD = [{"instruction": text, "output": "x"} for text in TEXTS]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (GOOD[:3], f"2 of 5 instructions have no response, such as {IDS[3]} 'list of colour'.*allow_missing"),
        ([*GOOD, GOOD[0], GOOD[2]], f"2 instructions have more than one response, such as {IDS[0]} 'red'"),
        ([{"instruction": "else", "output": "x"}], "none of its 1 rows belongs to one of the 5 instructions"),
        ([{"instruction": text} for text in TEXTS], "row 1: no text in 'response' or 'output'.*`fields`"),
        ([{"instruction": text, "output": 3} for text in TEXTS], "row 1: no text in 'output'"),
        ([{"output": "x"}], "row 1: no text in.*'instruction'"),
    ],
    ids=["missing", "doubled", "no overlap", "no response column", "no text", "no instruction column"],
)
def test_existing_responses_that_do_not_fit_are_refused(tmp_path, rows, says):
    with pytest.raises(BadInput, match=says) as error:
        existing(tmp_path, rows)
    assert "there.jsonl" in str(error.value)


def test_existing_finds_a_single_turn_by_its_text_where_the_instruction_has_more(tmp_path):
    asked = [{"role": "system", "content": "brief"}, {"role": "user", "content": "red"}]
    item = {"id": files.message_id(asked), "messages": asked, "source": "test", "round": 0}
    (tmp_path / "there.json").write_text('[{"instruction": "red", "output": "x"}]')
    teacher = {"engine": "existing", "fields": FIELDS, "allow_missing": False}
    table = artifacts.table([item], artifacts.INSTRUCTIONS)
    rows, _ = generate.respond(table, {"teacher": teacher}, tmp_path, tmp_path / "there.json")
    assert rows["id"].to_pylist() == [item["id"]]
