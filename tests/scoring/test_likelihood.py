"""The batched likelihood is the naive one, example by example, and says where it is undefined."""

import json
import math
import os
import subprocess
import sys
from functools import partial

import chat_templates as templates
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny
import torch
from generations import MODEL
from teachergrid.data import files
from teachergrid.errors import BadInput
from teachergrid.models import chat, loading
from teachergrid.scoring import likelihood, logprobs
from teachergrid.store import artifacts, inputs, origin
from workspace import ENV, ROOT

CHAT = {"template": "own", "template_args": {}, "system": None, "plain": "Question: {question}\n"}
OPTIONS = {
    "formats": ["chat", "plain"],
    "tokens": True,
    "rank_cap": 100,
    "max_length": 200,
    "subset": None,
    "batch_tokens": 128,
    "shard": 4,
}
ANSWERING = {
    **{kind: partial(tiny.sentencepiece, kind, templates.INST) for kind in ("every part", "first")},
    "qwen3": partial(templates.thinker, templates.QWEN3),
    "qwen3.5": partial(templates.thinker, templates.QWEN35),
    "gpt-oss": templates.channels,
}
PAIRS = [
    ("red", "apple"),
    ("sort the words apple bear story", " apple bear\nstory"),
    ("explain 3+4=7. " * 6, "the sum and answer " * 12),
    ("list of colour", "日本 {red}"),
    ("sum", ""),
    ("list of words", "x"),
]

MADE_FROM = {"rule": "likelihood", "spec": "{}", "inputs": {}}


def instructions(texts) -> pa.Table:
    chats = [[{"role": "user", "content": text}] for text in texts]
    rows = [{"id": files.message_id(m), "messages": m, "source": "test", "round": 0} for m in chats]
    return artifacts.table(rows, artifacts.INSTRUCTIONS)


def responses(pairs) -> pa.Table:
    ids = instructions([question for question, _ in pairs])["id"].to_pylist()
    rows = [
        {"id": key, "sample": 0, "response": answer, "finish_reason": "stop"}
        for key, (_, answer) in zip(ids, pairs, strict=True)
    ]
    return artifacts.table(rows, artifacts.RESPONSES)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {
        "llama": tiny.make(root / "llama", bos=True, template=tiny.CHATML_WITH_BOS),
        "qwen2": tiny.make(root / "qwen2", "qwen2"),
    }


@pytest.fixture(scope="module", params=["llama", "qwen2"])
def loaded(request, folders):
    entry = MODEL | {"repo": str(folders[request.param])}
    return loading.load_tokenizer(entry, CHAT), loading.load_model(entry)


def rows_of(pairs):
    return [([{"role": "user", "content": question}], answer) for question, answer in pairs]


def scored(loaded, pairs, format="chat", **options):
    return likelihood.score_rows(*loaded, rows_of(pairs), CHAT, format, OPTIONS | options)


def naive(model, before: list[int], target: list[int], after=()) -> float:
    """Sum of log p(target) as published scripts take it: one example, labels, mean loss times count."""
    ids = torch.tensor([[*before, *target, *after]])
    labels = torch.full_like(ids, -100)
    labels[0, len(before) : len(before) + len(target)] = torch.tensor(target)
    with torch.inference_mode():
        return -float(model(input_ids=ids, labels=labels).loss) * len(target)


@pytest.mark.parametrize("format", ["chat", "plain"])
def test_sums_are_those_of_one_example_at_a_time(loaded, format):
    tokenizer, model = loaded
    pairs = [pair for pair in PAIRS if pair[1]]
    end, header = chat.end(tokenizer, CHAT, format), chat.header(tokenizer, CHAT, format)
    for (messages, text), row in zip(rows_of(pairs), scored(loaded, pairs, format), strict=True):
        prompt, answer = chat.prompt(tokenizer, messages, CHAT, format), chat.response(tokenizer, text)
        first, last = prompt.question.index(True), len(prompt.ids) - prompt.question[::-1].index(True)
        question = prompt.ids[first:last]
        want = {
            "question": naive(model, prompt.ids[:first], question),
            "answer_given_question": naive(model, prompt.ids, answer),
            "end_given_question": naive(model, prompt.ids + answer, end),
            "answer": naive(model, header, answer),
            "end": naive(model, header + answer, end),
        }
        assert {key: row[key] for key in want} == pytest.approx(want, abs=1e-4, rel=1e-6)
        assert (row["n_question"], row["n_answer"], row["n_end"]) == (len(question), len(answer), 1)
        assert (row["truncated"], row["reason"]) == (False, None)


def test_per_token_values_add_up_and_ranks_are_those_of_the_logits(loaded):
    tokenizer, model = loaded
    for (messages, text), row in zip(rows_of(PAIRS), scored(loaded, PAIRS, rank_cap=20), strict=True):
        n = row["n_answer"]
        assert len(row["token_logprobs"]) == len(row["token_ranks"]) == n + 1
        assert sum(row["token_logprobs"][:n]) == pytest.approx(row["answer_given_question"] or 0, abs=1e-5)
        assert sum(row["token_logprobs"][n:]) == pytest.approx(row["end_given_question"], abs=1e-5)
        example = chat.example(tokenizer, messages, text, CHAT)
        ids = torch.tensor(example.input_ids)
        with torch.inference_mode():
            order = model(input_ids=ids[None]).logits[0].argsort(-1, descending=True)
        ranks = [int((order[i - 1] == ids[i]).nonzero()) + 1 for i, on in enumerate(example.completion_mask) if on]
        assert row["token_ranks"] == [min(rank, 20) for rank in ranks]
        assert max(ranks) > 20


def test_batches_change_nothing(loaded):
    want = scored(loaded, PAIRS)
    for row, pair in zip(want, PAIRS, strict=True):
        assert scored(loaded, [pair], batch_tokens=1)[0] == {
            key: pytest.approx(value, abs=1e-4) if isinstance(value, float | list) else value
            for key, value in row.items()
        }


def test_logits_in_chunks_change_nothing(loaded, monkeypatch):
    want = scored(loaded, PAIRS)
    monkeypatch.setattr(logprobs, "LOGITS", 3 * 512)  # three positions of this vocabulary
    monkeypatch.setitem(logprobs.NORMALISED, "cpu", 2 * 512)
    for row, pieces in zip(want, scored(loaded, PAIRS), strict=True):
        assert pieces["answer"] == (None if row["answer"] is None else pytest.approx(row["answer"], abs=1e-4))
        assert pieces["token_logprobs"] == pytest.approx(row["token_logprobs"], abs=1e-5)


def test_empty_answer_has_an_end_and_a_question(loaded):
    row = scored(loaded, [("sum", "")])[0]
    assert (row["n_answer"], row["n_end"], row["reason"]) == (0, 1, "empty answer")
    assert row["answer_given_question"] is None
    assert row["answer"] is None
    assert row["end_given_question"] < 0
    assert row["question"] < 0


@pytest.mark.parametrize("format", ["chat", "plain"])
def test_long_answers_are_cut_alike_and_marked(loaded, format):
    tokenizer, model = loaded
    messages, text = rows_of(PAIRS)[2]
    prompt, answer = chat.prompt(tokenizer, messages, CHAT, format), chat.response(tokenizer, text)
    header = chat.header(tokenizer, CHAT, format)
    whole = len(prompt.ids) + len(answer) + 1
    assert not scored(loaded, [PAIRS[2]], format, max_length=whole)[0]["truncated"]
    for kept in (len(answer), 5, 1):
        row = scored(loaded, [PAIRS[2]], format, max_length=len(prompt.ids) + kept)[0]
        assert row["answer_given_question"] == pytest.approx(naive(model, prompt.ids, answer[:kept]), abs=1e-4)
        assert row["answer"] == pytest.approx(naive(model, header, answer[:kept]), abs=1e-4)
        assert (row["truncated"], row["n_answer"], row["n_end"]) == (True, kept, 0)
        assert row["end"] is row["end_given_question"] is None
        assert row["reason"] == "answer cut, no end token"
    row = scored(loaded, [PAIRS[2]], format, max_length=len(prompt.ids))[0]
    assert row == {"truncated": False, "reason": "question too long"}


def test_the_models_own_context_is_a_limit_too(tmp_path):
    entry = MODEL | {"repo": str(tiny.make(tmp_path / "short", positions=48))}
    short = loading.load_tokenizer(entry, CHAT), loading.load_model(entry)
    rows = scored(short, [PAIRS[0], ("red", PAIRS[2][1]), PAIRS[2]])
    assert [row["reason"] for row in rows] == [None, "answer cut, no end token", "question too long"]


def test_a_question_that_the_template_alters_is_null_and_the_rest_is_there(folders):
    entry = MODEL | {"repo": str(folders["qwen2"])}
    chat_settings = CHAT | {"template": tiny.CHATML.replace("m['content']", "m['content'] | upper")}
    tokenizer = loading.load_tokenizer(entry, chat_settings)
    row = likelihood.score_rows(
        tokenizer, loading.load_model(entry), rows_of(PAIRS[:1]), chat_settings, "chat", OPTIONS
    )[0]
    assert (row["question"], row["n_question"], row["reason"]) == (None, 0, "question not found in the prompt")
    assert row["answer_given_question"] < 0


def test_logits_that_are_not_finite_give_null_and_a_reason(folders):
    entry = MODEL | {"repo": str(folders["llama"])}
    model = loading.load_model(entry)
    with torch.no_grad():
        model.lm_head.weight[7] = torch.nan
    rows = scored((loading.load_tokenizer(entry, CHAT), model), PAIRS[:2])
    assert rows == [{"truncated": False, "reason": "log-probabilities are not finite"}] * 2


def test_a_table_without_a_finite_row_is_refused(folders, tmp_path, monkeypatch):
    """The probe of the model was finite, and no row is: no likelihoods come out of it."""
    load = loading.load_copies

    def broken(*args, **options):
        copies = load(*args, **options)
        for _, model in copies:
            model.lm_head.weight.data[7] = torch.nan
        return copies

    monkeypatch.setattr(loading, "load_copies", broken)
    monkeypatch.setattr(likelihood.logits, "check", lambda model: None)
    asked, given = instructions([question for question, _ in PAIRS]), responses(PAIRS)
    settings = {"scorer": CHAT, "model": MODEL | {"repo": str(folders["llama"])}, "likelihood": OPTIONS}
    with pytest.raises(BadInput, match=r"llama: all 6 likelihoods, chat are NaN or infinite; try `dtype: float32`"):
        whole(given, asked, settings, tmp_path)


def whole(responses, instructions, settings, work) -> dict[str, pa.Table]:
    found = likelihood.score(responses, instructions, settings, work)
    return {format: pa.concat_tables(tables) for format, tables in found.items()}


def test_score_gives_both_formats_and_takes_up_where_it_was_killed(folders, tmp_path, monkeypatch, capsys):
    asked, given = instructions([question for question, _ in PAIRS]), responses(PAIRS)
    settings = {"scorer": CHAT, "model": MODEL | {"repo": str(folders["qwen2"])}, "likelihood": OPTIONS}
    tables = whole(given, asked, settings, tmp_path)
    assert list(tables) == ["chat", "plain"]
    for format, table in tables.items():
        assert table.schema == artifacts.LIKELIHOODS
        assert table["id"].to_pylist() == given["id"].to_pylist()
        assert table["reason"].to_pylist() == [None, None, None, None, "empty answer", None]
        assert table["n_end"].to_pylist() == [1] * 6
        assert len(list((tmp_path / format).glob("*.parquet"))) == 2
    assert tables["chat"]["answer"] != tables["plain"]["answer"]
    damaged = sorted((tmp_path / "plain").glob("*.parquet"))[1]
    os.truncate(damaged, 100)
    assert whole(given, asked, settings, tmp_path) == tables
    assert "likelihoods, plain: shard 2 is damaged" in capsys.readouterr().out
    with monkeypatch.context() as patch:
        patch.setattr(loading, "load_model", lambda *_, **__: pytest.fail("work that is finished loads no model"))
        assert whole(given, asked, settings, tmp_path) == tables
        shards_of = likelihood.score(given, asked, settings, tmp_path)["chat"]
        artifacts.write(tmp_path / "chat.parquet", shards_of, artifacts.LIKELIHOODS, MADE_FROM)
    assert artifacts.read(tmp_path / "chat.parquet", artifacts.LIKELIHOODS) == tables["chat"]
    assert pq.ParquetFile(tmp_path / "chat.parquet").num_row_groups == 2
    assert origin.read(tmp_path / "chat.parquet") == MADE_FROM


def test_a_format_that_was_not_asked_for_says_so_and_tokens_may_be_left_out(folders, tmp_path):
    options = OPTIONS | {"formats": ["plain"], "tokens": False}
    settings = {"scorer": CHAT, "model": MODEL | {"repo": str(folders["qwen2"])}, "likelihood": options}
    tables = whole(responses(PAIRS[:2]), instructions(["red", PAIRS[1][0]]), settings, tmp_path)
    assert set(tables["chat"]["reason"].to_pylist()) == {"format not asked for"}
    assert tables["chat"]["n_answer"].null_count == 2
    assert tables["plain"]["answer"].null_count == 0
    assert tables["plain"]["token_ranks"].null_count == tables["plain"]["token_logprobs"].null_count == 2


def test_copies_side_by_side_give_what_one_gives(folders, tmp_path, monkeypatch):
    settings = {"scorer": CHAT, "model": MODEL | {"repo": str(folders["qwen2"])}, "likelihood": OPTIONS | {"shard": 1}}
    asked, given = instructions([question for question, _ in PAIRS]), responses(PAIRS)
    want = whole(given, asked, settings, tmp_path / "one")
    busy, most = set(), []
    one_shard = likelihood.score_rows

    def watched(tokenizer, model, *rest):
        busy.add(id(model))
        most.append(len(busy))
        found = one_shard(tokenizer, model, *rest)
        busy.remove(id(model))
        return found

    monkeypatch.setattr(loading, "devices_of_copies", lambda *_: ["cpu", "cpu"])
    monkeypatch.setattr(likelihood, "score_rows", watched)
    assert whole(given, asked, settings, tmp_path / "two") == want
    assert max(most) == 2
    assert len(most) == 2 * len(PAIRS)


def test_responses_to_other_instructions_are_refused(folders, tmp_path):
    settings = {"scorer": CHAT, "model": MODEL | {"repo": str(folders["qwen2"])}, "likelihood": OPTIONS}
    with pytest.raises(BadInput, match="5 of 6 responses answer no instruction of this set"):
        likelihood.score(responses(PAIRS), instructions(["red"]), settings, tmp_path)


SUBSET = [0, 2, 3]  # by the hashes of their ids


def test_a_subset_is_the_same_instructions_for_all_teachers_and_the_rest_says_so(folders, tmp_path):
    settings = {"scorer": CHAT, "model": MODEL | {"repo": str(folders["qwen2"])}, "likelihood": OPTIONS | {"shard": 2}}
    few = settings | {"likelihood": settings["likelihood"] | {"subset": 3}}
    asked, given = instructions([question for question, _ in PAIRS]), responses(PAIRS)
    alone = whole(given.take(SUBSET), asked, settings, tmp_path / "alone")["chat"]
    table = whole(given, asked, few, tmp_path / "few")["chat"]
    assert table["id"].to_pylist() == given["id"].to_pylist()
    assert table.take(SUBSET) == alone
    assert [i for i, reason in enumerate(table["reason"].to_pylist()) if reason != "not in the subset"] == SUBSET
    assert table["n_answer"].null_count == table["token_ranks"].null_count == 3
    assert len(list((tmp_path / "few/chat").glob("*.parquet"))) == 2  # three scored rows, two to a shard
    # another teacher, who answered some of them, in another order
    other = given.take([5, 3, 1, 0])
    table = whole(other, asked, few, tmp_path / "other")["chat"]
    assert [reason == "not in the subset" for reason in table["reason"].to_pylist()] == [True, False, True, False]


def test_distributions_come_from_the_same_pass_into_a_table_of_their_own(folders, tmp_path):
    settings = {"scorer": CHAT, "model": MODEL | {"repo": str(folders["llama"])}, "likelihood": OPTIONS}
    more = settings | {"likelihood": OPTIONS | {"distributions": True, "formats": ["chat"]}}
    asked, given = instructions([question for question, _ in PAIRS]), responses(PAIRS)
    plain, both = whole(given, asked, settings, tmp_path / "a"), whole(given, asked, more, tmp_path / "b")
    assert both["chat"] == plain["chat"]
    table = both[f"{inputs.DISTRIBUTIONS}chat"]
    assert table.schema.equals(artifacts.DISTRIBUTIONS)
    rows = table.to_pylist()
    for row, scored in zip(rows, plain["chat"].to_pylist(), strict=True):
        n = scored["n_answer"]
        p = [math.exp(value) for value in scored["token_logprobs"]]
        assert row["probability"] == pytest.approx(sum(p[:n]), rel=1e-6) if n else row["probability"] is None
        assert row["end_probability"] == pytest.approx(sum(p[n:]), rel=1e-6)
        for column, sums in (("token_squares", "squares"), ("token_entropies", "entropy")):
            assert len(row[column]) == len(p)
            assert (row[sums] or 0) + row[f"end_{sums}"] == pytest.approx(sum(row[column]), rel=1e-6)
    assert {row["reason"] for row in both[f"{inputs.DISTRIBUTIONS}plain"].to_pylist()} == {"format not asked for"}
    assert all(table[name].null_count == len(table) for name in ("top", "end_top", "sure", "end_sure"))


def test_the_likeliest_tokens_are_kept_where_they_are_asked_for(folders, tmp_path):
    asked, given = instructions([question for question, _ in PAIRS]), responses(PAIRS)
    options = OPTIONS | {"distributions": True, "top": True, "formats": ["chat"]}
    settings = {"scorer": CHAT, "model": MODEL | {"repo": str(folders["llama"])}, "likelihood": options}
    made = whole(given, asked, settings, tmp_path)
    table, scored = made[f"{inputs.DISTRIBUTIONS}chat"].to_pylist(), made["chat"].to_pylist()
    for row, values in zip(table, scored, strict=True):
        likeliest = [
            p
            for p, rank in zip(map(math.exp, values["token_logprobs"]), values["token_ranks"], strict=True)
            if rank == 1
        ]
        whole_row = (row["top"] or 0) + row["end_top"]
        # at least the tokens' own probabilities, and those that are the likeliest count with theirs
        assert whole_row >= (row["probability"] or 0) + row["end_probability"] - 1e-6
        assert whole_row >= sum(likeliest) - 1e-6 and whole_row <= values["n_answer"] + values["n_end"] + 1e-6
        assert 0 <= (row["sure"] or 0) + row["end_sure"] <= values["n_answer"] + values["n_end"]


@pytest.mark.parametrize("name", ["every part", "first", "qwen3", "qwen3.5", "gpt-oss"])
def test_answers_are_scored_on_the_ids_that_the_template_gives(name, tmp_path):
    tokenizer = ANSWERING[name]()
    model = tiny.network(tokenizer)
    rows = rows_of([("sort red", "story of red"), ("list", "apple\n\nbear")])
    found = likelihood.score_rows(tokenizer, model, rows, CHAT, "chat", OPTIONS)
    for (messages, text), row in zip(rows, found, strict=True):
        turns = [*messages, {"role": "assistant", "content": text}]
        ids = tokenizer.apply_chat_template(turns, return_dict=False)
        # by hand: the end token is the last special one, and the answer has as many tokens before it as its row says
        end = max(i for i, token in enumerate(ids) if token in chat.end(tokenizer, CHAT))
        first = end - row["n_answer"]
        assert tokenizer.decode(ids[first:end]) == text
        assert row["answer_given_question"] == pytest.approx(naive(model, ids[:first], ids[first:end]), abs=1e-4)
        assert row["end_given_question"] == pytest.approx(naive(model, ids[:end], ids[end : end + 1]), abs=1e-4)


def test_an_answer_that_max_tokens_ended_has_no_end_token(loaded):
    (messages, text), whole = rows_of(PAIRS)[1], scored(loaded, PAIRS[1:2])[0]
    cut = likelihood.score_rows(*loaded, [likelihood.Row(messages, text, finished=False)], CHAT, "chat", OPTIONS)[0]
    no_end = {"n_end": 0, "end": None, "end_given_question": None, "reason": "answer ended by max_tokens, no end token"}
    lists = {name: whole[name][:-1] for name in ("token_logprobs", "token_ranks")}
    expected = whole | no_end | lists
    assert {name: pytest.approx(value, abs=1e-5) for name, value in expected.items()} == cut


def test_the_finish_reason_decides_whether_an_answer_has_an_end(folders, tmp_path):
    settings = {"scorer": CHAT, "model": MODEL | {"repo": str(folders["qwen2"])}, "likelihood": OPTIONS}
    rows = responses(PAIRS).to_pylist()
    reasons = ["stop", "length", "unknown", "content_filter", "stop", "stop"]
    table = artifacts.table(
        [row | {"finish_reason": why} for row, why in zip(rows, reasons, strict=True)], artifacts.RESPONSES
    )
    for scores in whole(table, instructions([question for question, _ in PAIRS]), settings, tmp_path).values():
        assert scores["n_end"].to_pylist() == [why in ("stop", "unknown") for why in reasons]
        assert scores["answer_given_question"].null_count == 1  # the empty one


BEFORE_THE_MODEL = """
import json, sys
from pathlib import Path
from teachergrid.job import usage
from teachergrid.models import imports, loading
imports.spare(loads_model=True)
from teachergrid.scoring import likelihood
from teachergrid.store import artifacts
def loads(*_, **__):
    print(usage.host_gb())
    sys.exit()
loading.load_copies = loads
tables = [artifacts.read(name, getattr(artifacts, name)) for name in ("RESPONSES", "INSTRUCTIONS")]
for rows in likelihood.score(*tables, json.loads(sys.argv[1]), Path("work")).values():
    next(rows)
"""


@pytest.mark.slow
def test_memory_before_the_model_is_that_of_the_imports_and_the_texts(tmp_path):
    """20,000 rows, as a published set of responses has; reading and checking them takes half their size for a moment."""
    model = {
        "repo": str(ROOT / "workflow/miniworld/models/bs"),
        "revision": None,
        "dtype": "float32",
        "trust_remote_code": False,
    }
    settings = {"scorer": CHAT, "model": model, "likelihood": OPTIONS | {"formats": ["plain"], "shard": 1000}}
    took, size = [], 0
    for n in (10, 20_000):
        folder = tmp_path / str(n)
        folder.mkdir()
        asked = instructions([f"{i} what " * 200 for i in range(n)])
        given = [
            {"id": id, "sample": 0, "response": "that " * 300, "finish_reason": "stop"}
            for id in asked["id"].to_pylist()
        ]
        size = (asked.nbytes + artifacts.table(given, artifacts.RESPONSES).nbytes) / 1e9
        for name, rows in (("RESPONSES", given), ("INSTRUCTIONS", asked.to_pylist())):
            schema = getattr(artifacts, name)
            artifacts.write(folder / name, artifacts.table(rows, schema), schema, MADE_FROM)
        program = [sys.executable, "-c", BEFORE_THE_MODEL, json.dumps(settings)]
        env = ENV | {"PYTHONPATH": str(ROOT / "workflow/scripts")}
        took.append(float(subprocess.check_output(program, cwd=folder, env=env, text=True)))
    assert took[1] - took[0] < 2.2 * size and took[1] < 0.55
