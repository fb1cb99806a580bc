"""What models are shown: the rendered prompt of every shipped benchmark is a committed text (prompts.txt).

To write that file again after a prompt has been changed on purpose (raise its `prompt_version`, too):

    PYTHONPATH=workflow/scripts:tests/helpers .venv/bin/python tests/evaluation/test_prompting.py
"""

import json
import sys
import tempfile
from pathlib import Path

import pytest
import tiny
from teachergrid.data import loading
from teachergrid.errors import BadInput
from teachergrid.evaluation import prompting
from teachergrid.models.templates import plain, render
from teachergrid.spec import benchmarks, schema

COMMITTED = Path(__file__).with_name("prompts.txt")
CHAT = {"template": "own", "template_args": {}, "system": None, "plain": "{question}\n"}
# items of our own with the columns of each source; the first is asked, and all of them may be examples
SUMS = [
    {"question": f"Ann has {n} pears and gets {n} more. How many?", "answer": f"{n} + {n} = {2 * n}\n#### {2 * n}"}
    for n in range(1, 11)
]
FORMULAS = [
    {
        "problem": f"What is ${n}^2$?",
        "solution": f"${n} \\cdot {n} = \\boxed{{{n * n}}}$.",
        "answer": str(n * n),
        "subject": "Algebra",
        "type": "Algebra",
    }
    for n in range(2, 8)
]
RULES = [
    {"key": 1, "prompt": "Name a {colour}.", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]},
    {"key": 2, "prompt": "Name a river.", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]},
]
FUNCTIONS = [
    {
        "task_id": "X/1",
        "prompt": 'def double(n):\n    """Return twice {n}."""\n',
        "canonical_solution": "    return 2 * n\n",
        "test": "def check(double):\n    assert double(2) == 4\n",
        "entry_point": "double",
    }
]
TASKS = [
    {
        "task_id": n,
        "text": f"Write a function that adds {n}.",
        "code": f"def add{n}(x):\r\n    return x + {n}",
        "test_list": [f"assert add{n}(0) == {n}", f"assert add{n}(1) == {n + 1}"],
        "test_setup_code": "",
    }
    for n in range(1, 6)
]
WISHES = [
    {"instruction": "Name three rivers of {land}.", "output": "A, B, C", "generator": "x", "dataset": "selfinstruct"}
]
HARD = [{"uid": "1", "category": "hard_prompt", "cluster": "Rivers", "prompt": "Prove that {x} is even."}]
STEPS = [
    {"example_id": 1, "category": "style", "source": "quora", "level": level, "instruction": text, "target": ""}
    for level, text in enumerate(["Greet me.", "Greet me in French."])
]
PLUS = "import numpy as np\n\ninputs = [[0], [1]]\nfor inp in inputs:\n    assert np.allclose(add{0}(*inp), inp[0] + {0})\n"
ROWS = {
    "alpaca_eval2": WISHES,
    "arena_hard_v0.1": HARD,
    "arena_hard_v2": HARD,
    "followbench": STEPS,
    "humaneval_plus": FUNCTIONS,
    "mbpp_plus": [{**task, "prompt": task["text"], "test": PLUS.format(task["task_id"])} for task in TASKS],
    "gsm8k": SUMS,
    "math": FORMULAS,
    "math500": FORMULAS,
    "ifeval": RULES,
    "ifbench": RULES,
    "humaneval": FUNCTIONS,
    "mbpp": TASKS,
}


def task_of(name: str, folder: Path, **keys) -> tuple[dict, str]:
    """Return a benchmark's task with its defaults, with ROWS as items and as examples, and the file of these."""
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS[name]))
    entry = {"file": name, "prompts": str(path), **keys}
    if "shots" in benchmarks.read(name):
        entry["shots"] = {"source": str(path)}
    task = benchmarks.expand({"tasks": {name: entry}})["tasks"][name]
    return schema.filled(task, schema.definition("task")), str(path)


def shown(name: str, format: str, folder: Path, tokenizer) -> str:
    """Return the text that a model of a format reads for the first item of a benchmark."""
    task, path = task_of(name, folder)
    settings = {"format": format, "chat": CHAT, "tasks": {name: task}}
    items = {name: loading.items_of(path, task, name).slice(0, 1)}
    examples = prompting.examples_of({name: task}, [path], format)
    asked, chat = prompting.asked(items, settings, examples)
    [row] = asked[name].to_pylist()
    assert row["id"] == items[name]["id"][0].as_py(), "an item's id depends neither on the prompt nor on examples"
    return render(tokenizer, row["messages"], chat, True) if format == "chat" else plain(row["messages"], chat)[0]


def page(folder: Path) -> str:
    tokenizer, texts = tiny.tokenizer(), []
    for name in sorted(ROWS):
        for format in ("chat", "plain"):
            stop = prompting.how_of(task_of(name, folder)[0], format)["stop"]
            text = shown(name, format, folder, tokenizer)
            texts.append(f"===== {name}, {format}; ends at {json.dumps(stop)}\n{text}|\n")
    return "\n".join(texts)


def test_the_prompt_of_every_benchmark_is_the_committed_one(tmp_path):
    shipped = {path.stem for path in benchmarks.SHIPPED.glob("*.yaml")}
    assert shipped == {*ROWS}
    assert page(tmp_path) == COMMITTED.read_text()


def test_a_task_without_prompt_and_examples_stays_as_it_is(tmp_path):
    task, path = task_of("ifeval", tmp_path)
    items = {"ifeval": loading.items_of(path, task, "ifeval")}
    for format in ("chat", "plain"):
        asked, chat = prompting.asked(items, {"format": format, "chat": CHAT, "tasks": {"ifeval": task}}, {})
        assert asked["ifeval"] == items["ifeval"] and chat is CHAT
    # a task's entry of before, which says nothing of it
    asked, _ = prompting.asked(items, {"format": "chat", "chat": CHAT, "tasks": {"ifeval": {"sampling": {}}}}, {})
    assert asked["ifeval"] == items["ifeval"]


def test_beside_a_task_with_a_text_of_its_own_others_keep_the_references_text(tmp_path):
    gsm8k, path = task_of("gsm8k", tmp_path, plain={"shots": 0})
    ifeval, other = task_of("ifeval", tmp_path)
    items = {"gsm8k": loading.items_of(path, gsm8k, ""), "ifeval": loading.items_of(other, ifeval, "")}
    settings = {"format": "plain", "chat": CHAT | {"plain": "Q: {question}\nA:"}}
    asked, chat = prompting.asked(items, {**settings, "tasks": {"gsm8k": gsm8k, "ifeval": ifeval}}, {})
    texts = {task: plain(table["messages"][0].as_py(), chat)[0] for task, table in asked.items()}
    assert texts["ifeval"] == "Q: Name a {colour}.\nA:"
    assert texts["gsm8k"] == "Question: Ann has 1 pears and gets 1 more. How many?\nAnswer:"


def test_examples_as_text_in_a_chat(tmp_path):
    task, path = task_of("gsm8k", tmp_path, chat={"shots": 1, "turns": False, "prompt": "Q: {question}"})
    examples = prompting.examples_of({"gsm8k": task}, [path], "chat")
    items = {"gsm8k": loading.items_of(path, task, "")}
    asked, _ = prompting.asked(items, {"format": "chat", "chat": CHAT, "tasks": {"gsm8k": task}}, examples)
    [message] = asked["gsm8k"]["messages"][0].as_py()
    # the item itself is the first row, and no example
    assert message["content"].startswith(
        "Q: Ann has 2 pears and gets 2 more. How many? 2 + 2 = 4\n#### 4\n\nQ: Ann has 1"
    )


def test_stops_are_those_of_the_format(tmp_path):
    task, _ = task_of("gsm8k", tmp_path)
    assert prompting.sampling_of(task, "chat") is task["sampling"]
    assert prompting.sampling_of(task, "plain")["stop"] == ["\nQuestion:", "\n\n\n"]


def test_too_few_examples_are_named(tmp_path):
    task, path = task_of("gsm8k", tmp_path, plain={"shots": 11})
    with pytest.raises(BadInput, match="task gsm8k: 11 examples are to be shown and there are 10"):
        prompting.examples_of({"gsm8k": task}, [path], "plain")
    own = {"plain": {"shots": 1}, "shots": {"examples": [{"question": "1+1?", "answer": "2"}]}}
    [example] = prompting.examples_of({"a": own}, [], "plain")["a"]
    assert (example.id, example.question, example.answer) == (None, "1+1?", "2")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        COMMITTED.write_text(page(Path(name)))
    sys.exit()
