"""Answers of bases and students to the prompts of tasks."""

import json

import pytest
from generations import CHAT, DRAWN, GREEDY, MODEL, TEACHER, TEXTS, instructions, tiny_models
from stored_judgments import ALPACA, needs_alpaca
from teachergrid.data import generate
from teachergrid.data.loading import items_of as loading_items
from teachergrid.errors import BadInput
from teachergrid.evaluation import answer
from teachergrid.evaluation.cases import cases
from teachergrid.evaluation.protocols import without_call
from teachergrid.models import loading
from teachergrid.spec import benchmarks, schema


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return tiny_models(tmp_path_factory.mktemp("models"))


def test_answer_takes_base_and_student_alike(folders, tmp_path):
    items = {"sums": instructions(TEXTS[:2]), "words": instructions(TEXTS[1:])}
    tasks = {"sums": {"sampling": GREEDY}, "words": {"sampling": DRAWN | {"samples": 2}}}
    settings = {
        "chat": CHAT,
        "format": "chat",
        "tasks": tasks,
        "suite": {"engine": "transformers", "batch": 4, "shard": 3},
    }
    settings["model"] = MODEL | {"repo": str(folders["llama"])}
    table, _ = answer.answer(items, settings, tmp_path / "base")
    assert table["task"].to_pylist() == ["sums"] * 2 + ["words"] * 8
    assert table["category"].to_pylist() == ["c"] * 10
    # the teacher engine gives the same to the same model
    teacher = TEACHER | {"sampling": GREEDY}
    responses, *_ = generate.respond(
        items["sums"], {"teacher": teacher, "model": settings["model"]}, tmp_path / "teacher"
    )
    assert table["answer"].to_pylist()[:2] == responses["response"].to_pylist()
    assert set(responses["seed"].to_pylist()) == {None}
    # a student is its base's entry with weights of its own
    assert answer.answer(items, settings, tmp_path / "same", folders["llama"])[0] == table
    other, _ = answer.answer(items, settings, tmp_path / "student", folders["qwen2"])
    assert other["answer"] != table["answer"]
    plain, _ = answer.answer(items, settings | {"format": "plain"}, tmp_path / "plain")
    assert plain["prompt_tokens"][0].as_py() == len(
        loading.load_tokenizer(settings["model"], CHAT)("red\n")["input_ids"]
    )


def test_answer_names_the_folder_of_lost_weights(folders, tmp_path):
    settings = {
        "chat": CHAT,
        "format": "chat",
        "tasks": {"a": {"sampling": GREEDY}},
        "suite": {"engine": "transformers", "batch": 4, "shard": 3},
    }
    settings["model"] = MODEL | {"repo": str(folders["llama"])}
    with pytest.raises(BadInput, match="gone"):
        answer.answer({"a": instructions(TEXTS)}, settings, tmp_path, tmp_path / "gone")


# --- published answers

PUBLISHED = {
    "engine": "existing",
    "source": "answers.jsonl",
    "fields": schema.filled({}, schema.definition("fields")),
    "written_by": None,
    "by_category": {},
    "allow_missing": False,
}


def written(path, rows) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_published_answers_belong_to_the_items_with_their_text(tmp_path):
    """In the forms of AlpacaEval's file and of Arena-Hard's, in any order, for several tasks at once."""
    items = {"sums": instructions(TEXTS[:2]), "words": instructions(TEXTS[1:])}
    flat = [{"instruction": text, "output": f"to {text}", "generator": "x", "dataset": "y"} for text in TEXTS[::-1]]
    chats = [
        {
            "uid": str(n),
            "model": "x",
            "messages": [
                {"role": "user", "content": text},
                {"role": "assistant", "content": {"answer": f"to {text}"}},
            ],
        }
        for n, text in enumerate(TEXTS)
    ]
    tables = [
        answer.read(items, PUBLISHED, [written(tmp_path / f"{n}.jsonl", rows)]) for n, rows in enumerate((flat, chats))
    ]
    assert tables[0] == tables[1]
    asked = [*TEXTS[:2], *TEXTS[1:]]
    assert tables[0]["answer"].to_pylist() == [f"to {text}" for text in asked]
    assert tables[0]["task"].to_pylist() == ["sums"] * 2 + ["words"] * (len(TEXTS) - 1)
    assert tables[0]["id"].to_pylist() == [id for table in items.values() for id in table["id"].to_pylist()]
    assert {*tables[0]["category"].to_pylist()} == {"c"}


def test_items_without_a_published_answer_are_named(tmp_path):
    items = {"sums": instructions(TEXTS)}
    path = written(tmp_path / "some.jsonl", [{"instruction": text, "output": "x"} for text in TEXTS[1:]])
    with pytest.raises(BadInput, match=rf"task sums: .*1 of {len(TEXTS)} instructions have no response, .*{TEXTS[0]}"):
        answer.read(items, PUBLISHED, [path])
    assert answer.read(items, PUBLISHED | {"allow_missing": True}, [path]).num_rows == len(TEXTS) - 1


def test_a_category_may_have_a_source_of_its_own(tmp_path):
    """As Arena-Hard v2's creative prompts, whose opponent is another model. Rows come in the order of the prompts."""
    table = instructions(TEXTS)
    categories = [("story" if number % 2 else "c") for number in range(len(TEXTS))]
    table = table.set_column(table.schema.get_field_index("category"), table.schema.field("category"), [categories])
    paths = [
        written(tmp_path / f"{name}.jsonl", [{"instruction": text, "output": f"{name} to {text}"} for text in TEXTS])
        for name in ("usual", "own")
    ]
    found = answer.read({"t": table}, PUBLISHED | {"by_category": {"story": "1"}}, paths)
    names = ["own" if category == "story" else "usual" for category in categories]
    assert found["answer"].to_pylist() == [f"{name} to {text}" for name, text in zip(names, TEXTS, strict=True)]
    assert found["category"].to_pylist() == categories


@needs_alpaca
def test_the_opponent_of_alpaca_eval_answers_all_its_items():
    path = ALPACA / "instructions_805.json"
    task = benchmarks.expand({"tasks": {"a": {"file": "alpaca_eval2", "prompts": str(path)}}})["tasks"]["a"]
    items = {"a": loading_items(str(path), schema.filled(task, schema.definition("task")), "a")}
    opponent = answer.read(items, PUBLISHED, [str(ALPACA / "reference_gpt4_1106_preview.parquet")])
    assert opponent.num_rows == 805 and opponent["id"] == items["a"]["id"]
    against_itself = map(without_call, cases(opponent, opponent, items, "alpaca_eval2"))
    assert {verdict.score for verdict in against_itself} == {0.5}
