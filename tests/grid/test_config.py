"""The config is checked before anything runs: every error names the key and the remedy. No model is present."""

import contextlib
import copy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from teachergrid.errors import BadInput
from teachergrid.grid import config_docs
from teachergrid.grid.cells import Cells
from teachergrid.grid.config import checked
from teachergrid.spec import canonical, schema
from workspace import ENV, ROOT, Grid, copy_code, setting


def rename(*path, to):
    def change(config):
        for key in path[:-1]:
            config = config[key]
        config[to] = config.pop(path[-1])

    return change


def both(*changes):
    def change(config):
        for one in changes:
            one(config)

    return change


BAD = {
    "unknown key": (
        rename("teachers", "small", "sampling", to="sampeling"),
        "config.teachers.small: unknown key 'sampeling', did you mean 'sampling'?",
    ),
    "renamed key": (
        setting("tasks", "gsm", "decoding", to={"max_tokens": 5}),
        "config.tasks.gsm.decoding: renamed, write `sampling`",
    ),
    "unknown key at the top": (rename("recipes", to="recipe"), "config: unknown key 'recipe', did you mean 'recipes'?"),
    "unknown key in an inline model": (
        setting("teachers", "new", to={"model": {"repo": "a/b", "revison": "1"}}),
        "unknown key 'revison', did you mean 'revision'?",
    ),
    "number as text": (setting("recipes", "sft", "learning_rate", to="1e-5"), "YAML reads 1e-5 as text, write 1.0e-5"),
    "bad name": (rename("teachers", "small", to="Small Teacher"), "names are lower-case letters and digits"),
    "double underscore": (rename("teachers", "small", to="a__b"), "names are lower-case letters and digits"),
    "missing key": (lambda c: c["bases"]["q"].pop("template"), "config.bases.q: 'template' is a required property"),
    "unknown teacher": (
        setting("grids", "teachers", "teachers", to=["smal"]),
        "config.grids.teachers.teachers: there is no 'smal', did you mean 'small'?",
    ),
    "unknown model": (setting("bases", "q", "model", to="x9"), "config.bases.q.model: there is no 'x9'; known: small"),
    "derived corpus of an unknown set": (
        setting("corpora", "best", "instructions", to="sed"),
        "config.corpora.best.instructions: there is no 'sed', did you mean 'seed'?",
    ),
    "derived corpus by an unknown metric": (setting("corpora", "best", "by", to="cars"), "did you mean 'car'?"),
    "two revisions": (
        setting("models", "again", to={"repo": "org/q", "revision": "9"}),
        "config.models.again.revision: 'org/q' is also config.models.q with revision sha256-333",
    ),
    "missing file": (
        setting("instructions", "seed", "source", to="config/none.jsonl"),
        "config.instructions.seed.source: there is no file 'config/none.jsonl'",
    ),
    "task with two sources": (
        setting("tasks", "gsm", "instructions", to="seed"),
        "config.tasks.gsm: state either 'prompts' or 'instructions'",
    ),
    "task of an unknown set": (
        setting("tasks", "gsm", to={"instructions": "sed"}),
        "config.tasks.gsm.instructions: there is no 'sed', did you mean 'seed'?",
    ),
    "missing import": (
        setting("teachers", "small", to={"engine": "existing", "source": "config/none.jsonl"}),
        "config.teachers.small.source: there is no file 'config/none.jsonl'",
    ),
    "missing template": (
        setting("bases", "q", "template", to="chat.jinja"),
        "config.bases.q.template: there is no file",
    ),
    "engine without its file": (setting("teachers", "small", "engine", to="existing"), "needs the key 'source'"),
    "reward of nothing": (setting("rewards", "rm", to={}), "config.rewards.rm: state either 'model' or 'checker'"),
    "metric without its reward": (
        setting("metrics", "car", to={"formula": "car_mean"}),
        "config.metrics.car.reward: formula 'car_mean' needs a reward; known: rm",
    ),
    "metric of embeddings by another reward": (
        setting("metrics", "car", to={"formula": "embedding_similarity", "reward": "rm"}),
        "config.metrics.car.reward: 'rm' compares no embeddings",
    ),
    "judge that compares responses with each other": (
        setting("rewards", "rm", to={"model": "q", "similarity": {}}),
        "config.judges.wins.reward: 'rm' compares responses with each other",
    ),
    "unknown formula": (
        setting("metrics", "car", "formula", to="cat"),
        "config.metrics.car.formula: 'cat' is not one of",
    ),
    "performance by an unknown judge": (
        setting("grids", "teachers", "performance", to=["math/wins"]),
        "config.grids.teachers.performance (math/wins): there is no 'wins'",
    ),
    "judge named verify": (rename("judges", "wins", to="verify"), "config.judges.verify: this name is reserved"),
    "primary outside of the block": (
        setting("grids", "instructions", "primary", to="borrowed"),
        "config.grids.instructions.primary: there is no 'borrowed'",
    ),
    "exclude that matches nothing": (
        setting("grids", "teachers", "exclude", to=[{"teacher": "small", "seed": 9}]),
        "config.grids.teachers.exclude[0]: matches no cell",
    ),
    "include of half a cell": (
        setting("grids", "teachers", "include", to=[{"base": "q"}]),
        "config.grids.teachers.include[0]: state base and corpus",
    ),
    "no cell": (setting("grids", "teachers", "bases", to=[]), "config.grids.teachers: no cell is left"),
    "students without an exam": (
        setting("grids", "teachers", "suites", to=[]),
        "config.grids.teachers.suites: is empty; students need",
    ),
    "reference without its base": (lambda c: c["references"]["q-raw"].pop("base"), "names its base"),
    "scorer with a base's name": (setting("scorers", to={"q": {"model": "q", "template": "own"}}), "config.scorers.q"),
    "negative beta": (
        setting("metrics", "car", "beta", to=[-1]),
        "config.metrics.car.beta.0: -1 is less than the minimum",
    ),
    "an inline model under another's name": (
        setting("teachers", "small", "model", to={"repo": "org/else"}),
        "config.teachers.small.model: config.models has another 'small'",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_config(small, name):
    change, words = BAD[name]
    change(small)
    with pytest.raises(BadInput) as error:
        Cells(checked(small))
    assert words in str(error.value)


def test_errors_reach_the_user(grid):
    grid.edit(BAD["unknown key"][0])
    text = grid.run("--dry-run", ok=False)
    assert BAD["unknown key"][1] in text and "Traceback" not in text


def test_unknown_cell(grid):
    text = grid.run("--dry-run", "results/responses/seed__smal.parquet", ok=False)
    assert "the grids have no 'seed__smal', did you mean 'seed__small'?" in text


def test_checking_changes_nothing_that_was_given(small):
    before = copy.deepcopy(small)
    checked(small)
    assert small == before


def test_seeds_follow_from_the_root(small):
    small["instructions"]["seed"]["sample"] = 1
    one, two = (checked({**small, "seed": seed}) for seed in (1, 2))
    for path in (("instructions", "seed", "seed"), ("grids", "teachers", "seed"), ("corpora", "best", "seed")):
        values = []
        for config in (one, two):
            for key in path:
                config = config[key]
            values.append(config)
        assert values[0] != values[1]
    small["grids"]["teachers"]["seed"] = 5
    assert checked(small)["grids"]["teachers"]["seed"] == 5
    # greedy decoding has no noise to seed
    assert one["tasks"]["gsm"]["sampling"]["seed"] is None
    assert one["teachers"]["small"]["sampling"]["seed"] is not None


def test_a_ninth_teacher_is_five_lines_in_one_place(small):
    small["teachers"]["new"] = {"model": {"repo": "org/new", "revision": "1"}}
    cells = Cells(checked(small))
    assert "seed__new" in cells.rows["generate"] and "q__seed__new__sft__s1" in cells.rows["finetune"]


def test_include_and_exclude(small):
    block = small["grids"]["teachers"]
    block["exclude"] = [{"base": "w", "teacher": "large"}]
    block["include"] = [{"base": "w", "instructions": "evolved", "teacher": "large"}]
    students = Cells(checked(small)).rows["finetune"]
    assert "w__seed__large__sft__s1" not in students and "q__seed__large__sft__s1" in students
    assert "w__evolved__large__sft__s1" in students and "q__evolved__large__sft__s1" not in students


def test_a_block_without_recipes_only_measures(small):
    for key in ("recipes", "seeds", "suites", "performance"):
        small["grids"]["teachers"].pop(key)
    del small["grids"]["instructions"]
    rows = Cells(checked(small)).rows
    assert not rows["finetune"] and not rows["answer"] and rows["metric"] and rows["likelihood"]


def test_a_subset_of_the_likelihoods_is_in_their_spec_and_in_their_cost(small):
    small["instructions"]["seed"]["sample"] = 5
    before = Cells(checked(small)).rows["likelihood"]["q/seed__large"]
    small["likelihood"] = {"subset": None}
    assert Cells(checked(small)).rows["likelihood"]["q/seed__large"] == before
    small["likelihood"]["subset"] = 2
    rows = Cells(checked(small)).rows
    assert canonical.load(rows["likelihood"]["q/seed__large"]["spec"])["likelihood"]["subset"] == 2
    assert (before["rows"], rows["likelihood"]["q/seed__large"]["rows"]) == (5, 2)
    assert rows["reward"]["rm/seed__large"]["rows"] == rows["generate"]["seed__large"]["rows"] == 5


def test_self_pairs_follow_the_parents(small):
    small["models"]["large"]["parent"] = "small"
    small["models"]["small"]["parent"] = "w"
    students = canonical.load(Cells(checked(small)).rows["correlate"]["teachers"]["spec"])["students"]
    marked = {(s["base"], s["teacher"]) for s in students if s["self_pair"]}
    assert marked == {("w", "small"), ("w", "large")}


def test_labels_are_in_no_spec_but_the_tables(small):
    before = Cells(checked(small)).rows
    small["models"]["large"] |= {"family": "F", "parameters": 7, "licence": "L", "output_terms": "O", "gpus": 8}
    after = Cells(checked(small)).rows
    changed = {
        (rule, key) for rule in after for key in after[rule] if after[rule][key]["spec"] != before[rule][key]["spec"]
    }
    assert changed == {("correlate", "teachers")}


def test_canonical_spec():
    one = canonical.dump(recipe={"learning_rate": 1.0, "weight_decay": 0, "packing": True})
    assert one == canonical.dump(recipe={"weight_decay": 0, "learning_rate": 1}) == '{"recipe": {"learning_rate": 1}}'
    assert canonical.load(one)["recipe"]["num_train_epochs"] == 2
    assert canonical.dump(recipe={"learning_rate": 1}) != canonical.dump(recipe={"learning_rate": 2})


def test_a_renamed_key_keeps_its_word_in_specs():
    task = {"fields": {}, "sampling": {"max_tokens": 5}}
    text = canonical.dump(tasks={"gsm": task})
    assert text == '{"tasks": {"gsm": {"decoding": {"max_tokens": 5}}}}'
    loaded = canonical.load(text)["tasks"]["gsm"]
    assert loaded["sampling"]["max_tokens"] == 5 and "decoding" not in loaded


def test_every_key_is_described():
    def walk(part, where):
        for key, value in part.get("properties", {}).items():
            assert schema.resolve(value).get("description"), f"{where}.{key} has no description"
            walk(value, f"{where}.{key}")

    walk(schema.read(), "config")
    for name, part in schema.read()["$defs"].items():
        walk(part, name)


def test_config_readme_is_fresh():
    path = ROOT / "config/README.md"
    assert path.read_text() == config_docs.page(), "python -m teachergrid.grid.config_docs > config/README.md"


SHIPPED = sorted(path for path in (ROOT / "config").glob("*.yaml") if path.name != "machines.yaml")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_configs(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    if path.name == "alpaca_eval.yaml" and not Path("data/alpaca_eval").exists():
        pytest.skip("its data are not part of the project: put them, or a link, in data/alpaca_eval")
    cells = Cells(checked(yaml.safe_load(path.read_text())))
    assert cells.rows["report"]


def imported_by(*modules: str) -> set[str]:
    """Return the names of all modules in a process that has imported these."""
    code = f"import sys; import {', '.join(modules)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=ENV, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_no_module_imports_torch_until_a_model_is_loaded():
    package = ROOT / "workflow/scripts/teachergrid"
    paths = [path.relative_to(package.parent).with_suffix("") for path in package.glob("*/*.py")]
    trains = {"sft", "worker", "checkpoints"}
    modules = [".".join(path.parts) for path in paths if path.name not in {"__init__", *trains}]
    assert len(modules) > 120
    assert not imported_by(*modules) & {"torch", "transformers", "trl", "datasets"}


def test_the_check_of_the_config_knows_no_costs():
    rooms = {name.split(".")[1] for name in imported_by("teachergrid.grid.config") if name.startswith("teachergrid.")}
    assert not rooms & {"cost", "planning", "job", "training"}


@pytest.mark.slow
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_dag_of_shipped_configs(path, tmp_path):
    """Snakemake itself plans every shipped config, from nothing to its reports."""
    data = ROOT.parent / "shared/data/alpaca_eval"
    if path.name == "alpaca_eval.yaml" and not data.exists():
        pytest.skip("its data are not part of the project")
    copy_code(tmp_path / "clone", stand_in=False)
    clone = Grid(tmp_path / "clone")
    shutil.copy2(path, clone.folder / "config/mine.yaml")
    (clone.folder / "workflow/miniworld").symlink_to(ROOT / "workflow/miniworld")
    (clone.folder / "config/templates").symlink_to(ROOT / "config/templates")
    (clone.folder / "data").mkdir()
    (clone.folder / "data/alpaca_eval").symlink_to(data)
    planned = clone.jobs("--configfile", "config/mine.yaml")
    expected = Cells(checked_in(clone.folder, path)).rows
    # nothing is trained behind a gate where a block only measures
    rules = expected.keys() - ({"gate"} if not expected["finetune"] else set())
    assert planned == {f"{rule} {cell}" for rule in rules for cell in expected[rule]}


def checked_in(folder, path) -> dict:
    """Return the checked config as it is seen from a folder."""
    with contextlib.chdir(folder):
        return checked(yaml.safe_load(path.read_text()))
