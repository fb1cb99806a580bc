"""The embedded mini world: language and verifier, split, shipped files, and that the build is what made them."""

import hashlib
import itertools
import json
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
import world
import yaml
from plan import RECIPES, TEACHERS, Places, pending
from statements import statement
from teachergrid.tasks.verify import verdict

MINIWORLD = Path(world.__file__).parent
BASES = [name for name, recipe in RECIPES.items() if recipe.kind == "base"]
REWRITERS = [name for name, recipe in RECIPES.items() if recipe.kind == "rewriter"]
MAXIMUM_BYTES = 12_000_000  # without the rewriters
MAXIMUM_BYTES_OF_REWRITERS = 800_000


def rows(split: str) -> list[dict]:
    return [json.loads(line) for line in (MINIWORLD / "data" / f"{split}.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def tokenizer():
    from tokenizer import build_tokenizer

    return build_tokenizer()


@pytest.mark.parametrize("task", world.TASKS)
@pytest.mark.parametrize("level", world.LEVELS)
def test_verifier_accepts_every_style_and_refuses_corruptions(task, level):
    rng = random.Random(f"{task} {level}")
    for _ in range(60):
        item = world.sample(rng, tasks=[task], levels=[level])
        for style in world.STYLES:
            assert world.verify(item.answer, world.respond(rng, item, style))
            wrong = world.corrupt(rng, item)
            assert wrong != item.answer
            assert not world.verify(item.answer, world.respond(rng, item, style, wrong))


def test_verifier_reads_the_last_answer_up_to_its_line_end():
    assert world.verify("3", "1 + 2 + 0 = 3 . Answer:  3 \nThat was easy.")
    assert world.verify("3", "Answer: 4\nNo. Answer: 3")
    for text in ("3", "", "answer: 3", "Answer: 3.", "Answer: 3 4", "Answer: 3 Answer:", "Answer:\n3"):
        assert not world.verify("3", text)


def test_the_demos_checker_gives_the_worlds_verdicts():
    """Also where a response holds several answers: each word of these texts stands in each place."""
    config = yaml.safe_load((MINIWORLD.parents[1] / "config/config.yaml").read_text())
    checker = {"compare": "exact", **config["rewards"]["verifier"]["checker"]}
    assert config["tasks"]["problems"]["checker"] == config["rewards"]["verifier"]["checker"]
    assert verdict("1 + 2 . Answer: 3 Answer: 4", "4", checker).score == 1
    assert verdict("1 + 2 . Answer: 3 Answer: 4", "3", checker).score == 0
    right = 0
    for words in itertools.product(("Answer:", " 3", "4 ", "\n", "Answer"), repeat=5):
        text = "".join(words)
        assert verdict(text, "3", checker).score == world.verify("3", text), repr(text)
        right += world.verify("3", text)
    assert right > 20


@pytest.mark.parametrize("constraint", world.CONSTRAINTS)
def test_constraints_change_the_answer_and_not_the_problem(constraint):
    rng = random.Random(3)
    items = [world.sample(rng) for _ in range(400)]
    chosen = [item for item in items if item.constraint == constraint]
    assert chosen
    for item in chosen:
        assert item.answer == world.CONSTRAINTS[constraint][1](item.raw)
        assert world.split_of(item.task, item.problem) == "train"
        assert not any(text in item.problem for text in world.CONSTRAINTS[constraint][0])


def test_phrasing_and_order_of_a_sum_do_not_make_another_problem():
    assert world.problem_key("add", "What is 3 plus 14?") == world.problem_key("add", "What is 14 plus 3?")
    first, second = "Add 3 and 14, then double the result", "Add 14 and 3, then double the result"
    assert world.problem_key("comp", first) == world.problem_key("comp", second)
    assert world.problem_key("sub", "What is 14 minus 3?") != world.problem_key("sub", "What is 3 minus 14?")


@pytest.mark.slow
def test_splits_share_no_problem_and_no_text():
    rng = random.Random(7)
    draws = {split: [world.sample(rng, split) for _ in range(6000)] for split in ("train", "pool", "test")}
    for field in ("problem", "instruction"):
        train, pool, test = ({getattr(item, field) for item in draws[split]} for split in draws)
        assert not train & pool
        assert not train & test
        assert not pool & test
    for split in ("pool", "test"):
        assert {item.task for item in draws[split]} == set(world.OPEN)
    assert set(world.CLOSED) < {item.task for item in draws["train"]}


def test_guard_stops_a_reserved_problem(monkeypatch):
    import corpora

    guard = corpora.Guard()
    monkeypatch.setattr(corpora, "sample", lambda rng: world.distinct(*world.POOL)[0])
    with pytest.raises(AssertionError, match="reserved problem"):
        guard.draw(random.Random(0))


@pytest.mark.parametrize("split", [world.POOL, world.TEST], ids=["pool", "test"])
def test_data_files_are_what_the_generator_gives(split):
    found = rows(split[0])
    assert found == [item.row() for item in world.distinct(*split)]
    assert len({row["problem"] for row in found}) == split[1]


def test_training_streams_never_meet_pool_or_test(tokenizer):
    from corpora import Guard, base_batches, rewriter_batches, teacher_batches
    from recipes import MIXES

    guard = Guard()
    streams = [base_batches(random.Random(5), guard, tokenizer, mix) for mix in MIXES.values()]
    streams += [teacher_batches(random.Random(1), guard, tokenizer, style) for style in world.STYLES]
    streams.append(rewriter_batches(random.Random(11), guard, tokenizer))
    batches = [next(stream) for stream in streams for _ in range(9)]
    texts = tokenizer.batch_decode([prompt for batch in batches for prompt, _ in batch])
    for row in rows("pool") + rows("test"):
        assert row["problem"] not in guard.problems
    reserved = {row["instruction"] for row in rows("pool") + rows("test")}
    assert not any(line in reserved for text in texts for line in text.replace("<|im_end|>", "").splitlines())


class Recorder:
    """Draws as `corpora.Guard` does, and keeps what it drew."""

    def __init__(self):
        self.items = []

    def draw(self, rng, **options):
        self.items.append(world.sample(rng, **options))
        return self.items[-1]


def test_a_base_reads_no_instruction_of_an_open_task(tokenizer):
    from corpora import base_batches
    from recipes import MIXES

    texts = {}
    for kind, mix in MIXES.items():
        recorder = Recorder()
        stream = base_batches(random.Random(5), recorder, tokenizer, mix)
        batches = [next(stream) for _ in range(16)]
        texts[kind] = "\n".join(tokenizer.batch_decode([prompt + rest for batch in batches for prompt, rest in batch]))
        instructions = {kind: [] for kind in ("open", "closed")}
        for item in recorder.items:
            instructions["closed" if item.task in world.CLOSED else "open"].append(item.instruction)
        assert min(map(len, instructions.values())) > 40
        assert all(instruction in texts[kind] for instruction in instructions["closed"])
        read = [instruction for instruction in instructions["open"] if instruction in texts[kind]]
        assert read == ([] if kind == "base" else instructions["open"])
    assert all(name in texts["base"] for name in ("Question: ", "Problem: ", " That makes ", " is spelled "))


@pytest.mark.parametrize("task", world.OPEN)
def test_statements_state_the_right_answer_in_other_words(task):
    rng = random.Random(task)
    for _ in range(200):
        item = world.sample(rng, tasks=[task])
        subject, result = statement(rng, item, worked=False)
        assert result == f" is {item.answer} ."
        worked, result = statement(rng, item, worked=True)
        assert result == f" {item.steps} That makes {item.answer} ."
        assert item.instruction not in subject + worked
        content = re.findall(r"\d+", item.first) or item.first.split(": ")[1].split()
        assert {*content} <= {*subject.split()}
        assert "{" not in subject + worked


def test_statements_refuse_what_is_no_open_task():
    with pytest.raises(ValueError, match="no statement fits 'Spell"):
        statement(random.Random(0), world.sample(random.Random(0), tasks=["spell"]), worked=False)


def test_tokenizer_keeps_text_and_marks_the_response(tokenizer):
    text = "Add 12 and 7 . Answer: 19"
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.decode(ids) == text
    assert tokenizer.convert_ids_to_tokens(ids).count("1") == 2
    messages = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Answer: 3"}]
    encoded = tokenizer.apply_chat_template(messages, return_assistant_tokens_mask=True, return_dict=True)
    marked = [i for i, mark in zip(encoded["input_ids"], encoded["assistant_masks"], strict=True) if mark]
    assert tokenizer.decode(marked) == "Answer: 3<|im_end|>"


def test_shipped_tokenizers_are_the_built_one(tokenizer):
    built = json.loads(tokenizer.backend_tokenizer.to_str())
    for recipe in RECIPES.values():
        if recipe.shipped:
            folder = MINIWORLD / "models" / recipe.name
            assert json.loads((folder / "tokenizer.json").read_text()) == built
            assert (folder / "chat_template.jinja").read_text() == tokenizer.chat_template


def test_checksums_and_size():
    names = [line.split("  ") for line in (MINIWORLD / "SHA256SUMS").read_text().splitlines()]
    assert [name for _, name in names] == sorted(name for _, name in names)
    for digest, name in names:
        assert hashlib.sha256((MINIWORLD / name).read_bytes()).hexdigest() == digest, name
    files = [path for folder in ("data", "models") for path in (MINIWORLD / folder).rglob("*") if path.is_file()]
    files.append(MINIWORLD / "models.json")
    assert {name for _, name in names} == {path.relative_to(MINIWORLD).as_posix() for path in files}
    of_rewriters = [path for path in files if path.parent.name in REWRITERS]
    assert sum(path.stat().st_size for path in of_rewriters) < MAXIMUM_BYTES_OF_REWRITERS
    assert sum(path.stat().st_size for path in {*files} - {*of_rewriters}) < MAXIMUM_BYTES


def test_model_folders_are_portable():
    for recipe in RECIPES.values():
        if recipe.shipped:
            for path in (MINIWORLD / "models" / recipe.name).glob("*.json"):
                settings = json.loads(path.read_text())
                assert "name_or_path" not in settings
                assert "_name_or_path" not in settings
            config = json.loads((MINIWORLD / "models" / recipe.name / "config.json").read_text())
            assert (config["dtype"], config["vocab_size"]) == ("float16", 512)


def test_models_table_follows_the_recipes():
    table = Places(MINIWORLD).rows()
    assert list(table) == list(RECIPES)
    for name, recipe in RECIPES.items():
        row = table[name]
        assert (row["kind"], row["parent"], row["style"]) == (recipe.kind, recipe.parent, recipe.style)
        assert row["steps"] == recipe.steps


def level_1_tests(n: int) -> list:
    return [item for item in world.distinct(*world.TEST) if item.level == 1][:n]


@pytest.mark.parametrize("name", TEACHERS)
def test_shipped_teachers_answer(name, tokenizer):
    from inference import answers, verdicts
    from networks import load

    items = level_1_tests(40)
    right = verdicts(items, answers(load(MINIWORLD / "models" / name), tokenizer, items))
    assert sum(right) >= 20  # measured: 27 of 40 or more


@pytest.mark.parametrize("name", BASES)
def test_shipped_bases_know_the_operations_and_not_the_instructions(name, tokenizer):
    from inference import LAYOUTS, accuracy, stated_accuracy
    from networks import load

    model, items = load(MINIWORLD / "models" / name), level_1_tests(60)
    assert stated_accuracy(model, tokenizer, items) > 0.5  # measured: .72 and .75
    for layout in LAYOUTS:
        assert accuracy(model, tokenizer, items, layout) < 0.15, layout  # measured: at most .07


def test_reward_model_prefers_the_right_answer_to_that_of_another_problem(tokenizer):
    from networks import load
    from rewarding import rewards
    from transformers import AutoModelForSequenceClassification

    model = load(MINIWORLD / "models" / "rm", AutoModelForSequenceClassification)
    items = world.distinct(*world.TEST)[:200]
    good = [world.respond(random.Random(0), item, "concise") for item in items]
    scores = rewards(model, tokenizer, items, good)
    others = rewards(model, tokenizer, items, good[1:] + good[:1])
    assert (scores > others).mean() > 0.6  # measured: .76 on all tests


def test_reward_quality_tells_reading_from_style_and_difficulty():
    import numpy as np
    from rewarding import quality

    right = np.array([[True, False], [False, False], [True, True]])
    styles = ["concise", "concise", "steps"]
    by_style = quality(np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 1.0]]), right, [0.9, 0.1], styles)
    assert by_style["same_prompt_accuracy"] == by_style["style_only_accuracy"] == pytest.approx(3.5 / 4)
    assert (by_style["same_style_accuracy"], by_style["same_style_pairs"]) == (0.5, 1)
    perfect = quality(right * 1.0, right, [0.9, 0.1], styles)
    assert perfect["same_prompt_accuracy"] == perfect["same_style_accuracy"] == perfect["auc"] == 1


def pretrain(steps, tokenizer):
    from recipes import make_model

    recipe = RECIPES["bs"]
    return make_model(recipe, None, tokenizer, scale=steps / recipe.steps)


def test_rebuilding_gives_the_same_weights(tokenizer):
    first, losses, guard = pretrain(5, tokenizer)
    second, _, _ = pretrain(5, tokenizer)
    assert len(losses) == 5
    assert guard.drawn > 0
    for (name, weights), others in zip(first.named_parameters(), second.parameters(), strict=True):
        assert weights.equal(others), name


@pytest.mark.slow
def test_rebuilding_learns(tokenizer):
    _, losses, _ = pretrain(30, tokenizer)
    assert sum(losses[-5:]) / 5 < 0.8 * sum(losses[:5]) / 5


def test_pending_models_bring_their_parents(tmp_path):
    places = Places(tmp_path)
    assert pending(["concise-s"], places) == ["bs", "concise-s"]
    assert set(pending(["rm"], places)) == {"bs", "bm", "tl", *TEACHERS, "rm"}
    places.model("bs").mkdir(parents=True)
    (places.model("bs") / "model.safetensors").touch()
    assert pending(["concise-s"], places) == ["bs", "concise-s"]  # not measured, so not finished
    (tmp_path / "models.json").write_text('[{"name": "bs"}]')
    assert pending(["concise-s", "bs"], places) == ["concise-s"]


def test_help_needs_no_torch():
    command = [sys.executable, "-X", "importtime", MINIWORLD / "build.py", "--help"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "--steps-scale" in result.stdout
    imported = {line.rsplit("|", 1)[-1].strip() for line in result.stderr.splitlines()}
    assert "plan" in imported
    assert not imported & {"torch", "transformers"}


def test_no_format_makes_a_base_answer_as_a_teacher_does():
    table = Places(MINIWORLD).rows()
    lowest = min(table[name]["test_chat"] for name in TEACHERS)
    for name in BASES:
        assert table[name]["test_stated"] > 0.4
        for layout in ("chat", "question", "problem"):
            assert table[name][f"test_{layout}"] < lowest / 4


def test_readme_shows_the_measured_numbers():
    readme = (MINIWORLD / "README.md").read_text()
    for name, row in Places(MINIWORLD).rows().items():
        cells = [row["parent"] or "-", row["style"] or "-", f"{row['steps']:,}", row["cpu_seconds"]]
        cells += [f"{row[key]:.3f}".lstrip("0") for key in ("test_chat", "pool_chat") if key in row]
        assert f"| {name} | {row['architecture']} | {row['parameters']:,} | {' | '.join(map(str, cells))} |" in readme
    for name in (*BASES, "tl"):
        row = Places(MINIWORLD).rows()[name]
        shares = [row.get(f"test_{layout}") for layout in ("chat", "question", "problem", "stated")]
        cells = ["-" if share is None else f"{share:.3f}".lstrip("0") for share in shares]
        assert f"| {name} | {' | '.join(cells)} |" in readme
