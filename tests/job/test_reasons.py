"""Why a job runs, in the config's words."""

import pytest
from expected_jobs import add_base, add_instructions, add_teacher, own_template, reasons
from teachergrid.job import reasons as job_reasons
from teachergrid.store import history
from workspace import setting


def provoke(grid) -> None:
    """Change everything that a reason has a class for, each where no other change hides it."""
    (grid.folder / "config/chat.jinja").write_text("{{ messages }}")
    for change in (
        add_teacher,
        add_base,
        add_instructions,
        own_template,
        setting("teachers", "large", "sampling", "temperature", to=0.2),
        setting("teachers", "small", "system", to="Be brief."),
        setting("models", "rm", "revision", to="sha256-556"),
        setting("recipes", "sft", "learning_rate", to=3),
        setting("grids", "teachers", "seeds", to=[1, 2]),
        setting("tasks", "gsm", "prompt_version", to=2),
        setting("metrics", "car", "beta", to=[0.5]),
    ):
        grid.edit(change)
    (grid.folder / "results/health/seed__large.parquet").unlink()
    (grid.folder / "config/ifeval.jsonl").write_text('{"instruction": "other", "answer": "2"}\n')
    (grid.folder / "config/seed.jsonl").write_text('{"instruction": "other", "answer": "2"}\n')
    for script in ("verify.py", "load_instructions.py"):
        grid.replace(f"workflow/scripts/{script}", "range(3)", "range(4)")
    cut = history.record_path(grid.folder / ".snakemake/incomplete", "results/health/evolved__small.passed")
    cut.touch()


def test_every_class_of_reason(grid):
    provoke(grid)
    why = reasons(grid, "--forcerun", "results/instructions/evolved.parquet", "results/answers/q-raw/chat.parquet")
    assert why["generate seed__large"] == ["sampling changed", ["teacher.sampling.temperature: 1 -> 0.2"]]
    assert why["generate seed__small"] == ["system prompt changed", ["teacher.system: default -> Be brief."]]
    assert why["reward rm/seed__small"] == ["model revision changed", ["model.revision: sha256-555 -> sha256-556"]]
    assert why["likelihood w/seed__small"][0] == "template changed"
    assert why["finetune q__seed__small__sft__s1"] == ["recipe changed", ["recipe.learning_rate: 1 -> 3"]]
    assert why["answer q-raw/math"] == ["task version changed", ["tasks.gsm.prompt_version: default -> 2"]]
    assert why["metric q/seed__small"][0] == "metrics changed"
    assert why["generate seed__new"] == ["new teacher", ["new"]]
    assert why["finetune q__seed__new__sft__s1"] == ["new teacher", ["new"]]
    assert why["likelihood z/seed__small"] == ["new base", ["z"]]
    assert why["finetune q__seed__small__sft__s2"] == ["new seed", ["s2"]]
    assert why["generate more__small"] == ["new instructions", ["more"]]
    assert why["check seed__large"] == ["output missing", ["the output was deleted"]]
    assert why["load_instructions seed"] == ["input changed", ["config/seed.jsonl"]]
    assert why["answer w-raw/chat"] == ["input changed", ["config/ifeval.jsonl"]]
    assert why["likelihood q/seed__small"] == [
        "follows",
        ["results/instructions/seed.parquet", "results/responses/seed__small.parquet"],
    ]
    assert why["verify w-raw/math"] == ["code changed", ["its code changed"]]
    assert why["answer q-raw/chat"] == ["forced", []]
    assert why["load_instructions evolved"][0] == "made by older code"
    assert why["gate evolved__small"][0] == "interrupted"
    kind, details = why["correlate teachers"]
    assert kind == "metrics changed" and "grid.teachers: + new" in details and "grid.bases: + z" in details


def test_swapped_and_renamed(grid):
    def change(config):
        config["teachers"] = {"small": config["teachers"]["large"], "large": config["teachers"]["small"]}
        config["bases"]["v"] = config["bases"].pop("w")
        config["references"]["w-raw"]["base"] = "v"
        config["grids"]["teachers"]["bases"] = ["q", "v"]

    grid.edit(change)
    why = reasons(grid)
    for name, other in (("small", "large"), ("large", "small")):
        kind, details = why[f"generate seed__{name}"]
        assert kind == "teacher swapped" and details[0].startswith(f"{name} is what {other} was")
    assert why["likelihood v/seed__small"] == [
        "base renamed",
        ["v is what w was: with that name its results are reused and nothing is made for it"],
    ]
    assert why["finetune v__seed__small__sft__s1"][0] == "base renamed"
    assert why["likelihood q/seed__small"][0] == "follows"


@pytest.mark.parametrize(
    ("keys", "kind"),
    [
        (["model.repo", "model.revision", "teacher.sampling.top_p"], "model changed"),
        (["model.dtype"], "model settings changed"),
        (["reference.plain"], "template changed"),
        (["teacher.batch"], "generation settings changed"),
        (["tasks.gsm.checker_version"], "task version changed"),
        (["tasks.gsm.sampling.max_tokens"], "task changed"),
        (["instructions.sample"], "instructions changed"),
        (["corpus.choose"], "corpus changed"),
        (["likelihood.max_length"], "scoring settings changed"),
        (["judge.tie"], "scoring settings changed"),
        (["made.settings.texts.deepen"], "evolution changed"),
        (["health.repeats"], "health checks changed"),
        (["seed"], "seed changed"),
        (["teacher.sampling.seed"], "seed changed"),
        (["teacher.sampling.temperature", "teacher.sampling.seed"], "sampling changed"),
        ([], "summary changed"),
        (["grid.bootstrap", "students"], "summary changed"),
    ],
)
def test_class_of_changed_settings(keys, kind):
    assert job_reasons.kind_of(keys) == kind


@pytest.mark.parametrize(
    ("old", "now", "changed"),
    [
        # a draw has a seed, which nobody has stated
        ({}, {"s.temperature": 1, "s.seed": 9}, ["s.temperature"]),
        ({"s.temperature": 1, "s.seed": 9}, {"s.top_p": 0.5}, ["s.temperature", "s.top_p"]),
        ({}, {"instructions.sample": 8, "instructions.seed": 9}, ["instructions.sample"]),
        # these the person stated, or the root seed changed
        ({"s.seed": 1}, {"s.seed": 2}, ["s.seed"]),
        ({"s.seed": 1}, {"s.seed": 2, "s.temperature": 1}, ["s.temperature", "s.seed"]),
        ({"a.x": 1}, {"a.x": 2, "s.seed": 1}, ["a.x", "s.seed"]),
        ({"code": "a", "z": 1}, {"code": "b", "z": 2}, ["z", "code"]),
    ],
)
def test_changes_are_those_of_the_person(old, now, changed):
    assert job_reasons.changes(old, now) == changed


def test_a_reason_names_the_temperature_and_not_the_seed_that_it_brings(grid):
    grid.edit(setting("tasks", "gsm", "sampling", to={"temperature": 0.5}))
    why = reasons(grid)
    assert why["answer q-raw/math"] == ["task changed", ["tasks.gsm.decoding.temperature: default -> 0.5"]]


def test_a_reason_names_the_root_seed(grid):
    grid.edit(setting("seed", to=7))
    kind, [detail] = reasons(grid)["generate seed__large"]
    assert kind == "seed changed"
    assert detail.startswith("teacher.sampling.seed: ") and detail.endswith(", derived from config.seed")


def test_words_of_a_cell():
    found = job_reasons.words([("student", "q__seed__large__sft__s1")])
    assert found == {"base": "q", "instructions": "seed", "teacher": "large", "recipe": "sft", "seed": "s1"}
    assert job_reasons.words([("model", "q__best__sft__s2"), ("suite", "math")]) == {
        "base": "q",
        "corpus": "best",
        "recipe": "sft",
        "seed": "s2",
        "suite": "math",
    }
    assert job_reasons.words([("model", "q-raw")]) == {"reference": "q-raw"}
