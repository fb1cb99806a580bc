"""A plan says which jobs run and why, in the config's words, with Snakemake's own options."""

from conftest import setting
from test_reruns import LARGE, add_teacher


def reasons(grid, *argv) -> dict[str, list]:
    return {job["job"]: job["why"] for job in grid.plan(*argv)}


def test_old_and_new_value(grid):
    grid.edit(setting("teachers", "large", "sampling", "temperature", to=0.2))
    why = reasons(grid)
    assert why["generate seed__large"] == ["settings", ["teacher.sampling.temperature: 1 -> 0.2"]]
    assert why["reward rm/seed__large"] == ["upstream", ["results/responses/seed__large.parquet"]]


def test_new_gone_and_inputs(grid):
    grid.edit(add_teacher)
    (grid.folder / "results/scores/q-raw/math/verify.parquet").unlink()
    why = reasons(grid)
    assert why["generate seed__new"] == ["new", []]
    assert why["verify q-raw/math"][0] == "gone"
    kind, details = why["correlate teachers"]
    assert kind == "settings" and details[:2] == [
        "grid.teachers: + new",
        "pairs: + ['q', 'seed__new'], + ['w', 'seed__new']",
    ]
    assert details[2] == "students: + q__seed__new__sft__s1, + w__seed__new__sft__s1"


def test_options_and_profiles_count(grid):
    grid.edit(add_teacher)
    (grid.folder / "profiles/site").mkdir()
    (grid.folder / "profiles/site/profile.yaml").write_text("set-resources: {generate: {gpu: 4}}")
    gpus = {job["job"]: job["gpu"] for job in grid.plan("--workflow-profile", "site")}
    assert gpus["generate seed__new"] == 4


def test_pages_for_people(grid):
    assert grid.call("teachergrid", "plan").stdout == "nothing to do\n"
    grid.edit(setting("teachers", "large", "sampling", "temperature", to=0.2))
    page = grid.call("teachergrid", "plan").stdout
    assert page.startswith(f"{len(LARGE)} jobs to do\n")
    assert "generate seed__large  (settings: teacher.sampling.temperature: 1 -> 0.2)" in page
    one = grid.call("teachergrid", "why", "results/responses/seed__large.parquet").stdout
    assert one.splitlines() == [
        "results/responses/seed__large.parquet: settings",
        "  teacher.sampling.temperature: 1 -> 0.2",
    ]


def test_help_without_a_command(grid):
    done = grid.call("teachergrid", "--help")
    assert done.returncode == 0 and "teachergrid plan" in done.stdout
    assert grid.call("teachergrid", "plans").returncode == 2
