"""config/paper_evol.yaml says what the paper on evolvers says, and plans where there is no model, GPU or network."""

import pytest
import yaml
from offline_plan import first_plan
from teachergrid.grid import cells, config
from teachergrid.hub import pins
from teachergrid.spec.ids import Student
from workspace import ROOT

PATH = ROOT / "config/paper_evol.yaml"


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        # whatever has been pinned in this checkout
        patch.setattr(pins, "LOCK", tmp_path_factory.mktemp("lock") / "none.lock")
        yield config.checked(yaml.safe_load(PATH.read_text()))


@pytest.fixture(scope="module")
def rows(paper):
    return cells.Cells(paper).rows


def repo_of(paper, kind, name):
    return paper["models"][paper[kind][name]["model"]]["repo"]


def test_models_of_the_paper(paper):
    repos = {name: repo_of(paper, "teachers", name) for name in ("llama-8b", "llama-70b", "qwen-7b", "qwen-72b")}
    assert repos == {
        "llama-8b": "meta-llama/Llama-3.1-8B-Instruct",
        "llama-70b": "meta-llama/Llama-3.1-70B-Instruct",
        "qwen-7b": "Qwen/Qwen2-7B-Instruct",
        "qwen-72b": "Qwen/Qwen2-72B-Instruct",
    }
    assert repo_of(paper, "teachers", "responder") == "Qwen/Qwen2.5-72B-Instruct"
    assert repo_of(paper, "teachers", "responder-llama") == "meta-llama/Llama-3.1-70B-Instruct"
    grids = paper["grids"]
    assert len(grids["evol-following"]["bases"]) == 6 and len(grids["auto-following"]["bases"]) == 3
    assert len(grids["autoif"]["bases"]) == 6 and len(grids["scaling-following"]["bases"]) == 7
    for model in paper["models"].values():
        if model["repo"]:
            assert model["parameters"] and model["licence"], model["repo"]
            assert model["parameters"] * 2 < 72 * model["gpus"], model["repo"]


def test_decoding(paper):
    for name, teacher in paper["teachers"].items():
        sampling = teacher["sampling"]
        if teacher["engine"] != "existing":
            assert sampling["max_tokens"] == 2048 and sampling["samples"] == 1, name
    for name in ("llama-8b", "llama-70b", "qwen-7b", "qwen-72b"):
        assert (paper["teachers"][name]["sampling"]["temperature"], paper["teachers"][name]["sampling"]["top_p"]) == (
            0.7,
            0.95,
        )
    assert paper["teachers"]["responder"]["sampling"]["temperature"] == 0
    studied = {
        repo: {
            t["sampling"]["temperature"]
            for t in paper["teachers"].values()
            if t["model"] == repo and t["sampling"]["top_p"] < 1
        }
        for repo in ("llama-3.1-8b-instruct", "llama-3.1-70b-instruct")
    }
    assert {*map(frozenset, studied.values())} == {frozenset({0, 0.1, 0.3, 0.5, 0.7, 0.9})}


def test_seeds_and_operators(paper):
    sizes = {name: paper["instructions"][name]["sample"] for name in ("alpaca", "gsm8k-train", "code-alpaca")}
    assert sizes == {"alpaca": 51_983, "gsm8k-train": 7_473, "code-alpaca": 20_022}
    in_depth = ["constraint", "deepen", "concretise", "reasoning"]
    for name, entry in paper["evolutions"].items():
        assert entry["as_published"], name
        if entry["method"] == "evol-instruct":
            assert entry["operators"] == ([*in_depth, "breadth"] if entry["of"] == "alpaca" else in_depth), name
        if entry["method"] == "autoif":
            assert entry["autoif"]["constraints"] * entry["autoif"]["queries"] == 6720


def test_recipes_of_tables_6_and_7(paper):
    recipes = paper["recipes"]
    for recipe in recipes.values():
        assert recipe["per_device_train_batch_size"] * recipe["gradient_accumulation_steps"] == 64
        assert (recipe["lr_scheduler_type"], recipe["warmup_steps"], recipe["max_length"]) == ("cosine", 0.03, 2048)
    stated = {name: (recipe["learning_rate"], recipe["num_train_epochs"]) for name, recipe in recipes.items()}
    assert stated == {
        "paper": (2e-5, 3),
        "scaling-small": (1e-5, 2),
        "scaling-middle": (7e-6, 2),
        "scaling-lora": (5e-5, 2),
    }
    lora = recipes["scaling-lora"]["lora"]
    assert (lora["r"], lora["lora_alpha"], lora["lora_dropout"], lora["target_modules"]) == (8, 8, 0, "all-linear")


def test_each_size_has_its_recipe(rows):
    students = map(Student.parse, rows["finetune"])
    found = {(student.base, student.recipe) for student in students if student.recipe != "paper"}
    small, middle, large = ("0.5b", "1.5b"), ("3b", "7b"), ("14b", "32b", "72b")
    assert found == {
        *((f"qwen2.5-{size}", "scaling-small") for size in small),
        *((f"qwen2.5-{size}", "scaling-middle") for size in middle),
        *((f"qwen2.5-{size}", "scaling-lora") for size in large),
    }


def test_students_of_each_table(paper, rows):
    def students(*grids):
        names = {name for grid in grids for name in rows["correlate"][grid]["students"]}
        assert names <= {*rows["finetune"]}
        return len(names)

    domains = ("following", "maths", "programs")
    # two pairs of evolvers and the seeds on six bases; a student for each set of seeds
    assert students(*(f"evol-{of}" for of in domains)) == 5 * 6 * 3
    assert students(*(f"seeds-{of}" for of in domains)) == 2 * 6 * 3
    assert students(*(f"rounds-{of}" for of in domains)) == 7 * 3
    assert students(*(f"scaling-{of}" for of in domains)) == 2 * 7 * 3
    assert students("temperature") == 12
    assert students(*(f"auto-{of}" for of in domains)) == 2 * 3 * 3
    assert students("autoif") == 2 * 6
    # fifteen selections, three random draws and all rows, on two bases with three seeds
    assert students("selection") == 19 * 2 * 3
    assert {name for entry in paper["suites"].values() for name in entry["tasks"]} == {*paper["tasks"]}


def test_pairs_of_auto_evol_have_the_same_roots(paper):
    for domain, number in (("alpaca", 40_483), ("gsm8k", 6_200), ("code", 15_533)):
        for size, other in (("8b", "70b"), ("70b", "8b")):
            entry = paper["instructions"][f"auto-{domain}-{size}"]
            assert entry["join"] == [f"auto-{domain}-llama-{size}.r1"] and entry["sample"] == number
            assert entry["paired_with"] == [f"auto-{domain}-llama-{other}.r1"]


def test_no_result_depends_on_how_many_rows_a_benchmark_is_said_to_have(paper, rows):
    assert rows["answer"]["llama-3-8b-untuned/following"]["rows"] == 541
    assert "rows" not in rows["load_instructions"]["ifeval"]["spec"]


@pytest.mark.slow
def test_plans_without_models_gpu_and_network(tmp_path):
    gpus = first_plan(tmp_path, PATH)
    assert len(gpus) > 1_900 and gpus["generate alpaca-llama-70b.r2.asked__llama-70b"] == 4
    assert gpus["finetune llama-3-8b__alpaca-llama-8b.r3__responder__paper__s1"] == 8
