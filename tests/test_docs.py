"""README.md and docs/ hold what they promise: links, commands and configs work as they are printed."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import yaml
from teachergrid.commands import arguments, parser
from teachergrid.data import loading
from teachergrid.evaluation import judge, prompting
from teachergrid.grid import cells
from teachergrid.grid.config import checked
from teachergrid.models.templates import plain
from teachergrid.spec import canonical
from teachergrid.spec.settings import of_answers
from teachergrid.store import artifacts
from workspace import ROOT, Grid, copy_code

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINKED = [
    *PAGES,
    *(ROOT / name for name in ("config/README.md", "results/README.md", ".github/CONTRIBUTING.md", "CHANGELOG.md")),
    *(ROOT / "profiles").rglob("*.md"),
    *(ROOT / "workflow").rglob("README.md"),
]
# what stands for the models of the README's config, so that it runs on two cores
STAND_INS = {
    "Qwen/Qwen2.5-1.5B": "bs",
    "Qwen/Qwen2.5-1.5B-Instruct": "steps-s",
    "Qwen/Qwen2.5-7B-Instruct": "steps-m",
    "allenai/OLMo-2-1124-7B-Instruct": "concise-l",
    "Skywork/Skywork-Reward-V2-Qwen3-0.6B": "rm",
}
ODD = r"\bmend|cannot be told from|told apart|hangs? on\b|is said to be so|would be missed, or more"


def blocks(page: Path, kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", page.read_text(), re.S)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def readme_config() -> str:
    config, _ = blocks(ROOT / "README.md", "yaml")
    return config


@pytest.fixture
def grid(tmp_path) -> Grid:
    """A checkout with the data that the pages name: files as people have them, with the mini world's text."""
    copy_code(tmp_path, stand_in=False)
    shutil.copytree(ROOT / "config/templates", tmp_path / "config/templates")
    (tmp_path / "workflow/miniworld").symlink_to(ROOT / "workflow/miniworld")
    (tmp_path / "data").mkdir()
    rows = [json.loads(line) for line in (ROOT / "workflow/miniworld/data/pool.jsonl").read_text().splitlines()[:60]]
    lines = [
        {"instruction": row["instruction"], "input": "", "output": f"Answer: {row['answer']}"}
        for row in (rows * 40)[:2000]
    ]
    for number, line in enumerate(lines[len(rows) :]):
        line["instruction"] += f" ({number})"
    answers = [{**row, "completion": row["answer"], "response": row["answer"]} for row in rows]
    for name, found in (("train", lines), ("prompts", rows), ("model-a", answers), ("model-b", answers)):
        (tmp_path / f"data/{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))
    problems = (ROOT / "workflow/miniworld/data/test.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "data/test.jsonl").write_text("".join(problems[:30]))
    return Grid(tmp_path)


def planned(grid: Grid, config: str) -> dict[str, int]:
    """Plan a config; return {rule: number of jobs}."""
    (grid.folder / "my.yaml").write_text(config)
    rules = [job["job"].split()[0] for job in grid.plan("--configfile", "my.yaml")]
    return {rule: rules.count(rule) for rule in rules}


# --- words and links


def test_the_readme_is_short_and_names_every_page():
    text = (ROOT / "README.md").read_text()
    assert text.count("\n") < 180
    assert {page.name for page in PAGES[1:]} == set(re.findall(r"docs/([\w-]+\.md)", text))
    assert (ROOT / "docs/report.png").stat().st_size <= 150_000


def test_links_lead_somewhere():
    broken = []
    for page in LINKED:
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            if not re.match(r"https?:", link) and not (target.exists() and (not anchor or anchor in anchors(target))):
                broken.append((page.name, link))
    assert broken == []


def test_no_odd_phrases():
    pages = [*LINKED, *(ROOT / "workflow").rglob("*.py"), *(ROOT / "workflow").rglob("*.html")]
    odd = {str(page.relative_to(ROOT)): re.findall(ODD, page.read_text(), re.I) for page in pages}
    assert {page: words for page, words in odd.items() if words} == {}


# --- commands


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_exist(page):
    for block in blocks(page, "bash"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words and words[0].endswith("teachergrid"):
                parser.parse(words[1:])
            elif words[:1] == ["make"]:
                targets = [word for word in words[1:] if "=" not in word]
                makefile = (ROOT / "Makefile").read_text()
                assert all(f"\n{target}:" in makefile for target in targets), line


def test_options_exist(capsys):
    """Every option that a page names between backticks is one of ours or of Snakemake."""
    for command in parser.COMMANDS:
        with pytest.raises(SystemExit):
            parser.parse([command, "--help"])
    known = {*re.findall(r"--[a-z-]+", capsys.readouterr().out), *arguments.of_snakemake()}
    for page in PAGES:
        named = {
            word for code in re.findall(r"`([^`\n]+)`", page.read_text()) for word in re.findall(r"--[a-z-]+", code)
        }
        assert named <= known, page.name


# --- configs


def test_the_readmes_config_has_25_lines_and_plans(grid):
    config = readme_config()
    assert len(config.splitlines()) <= 25
    jobs = planned(grid, config)
    assert (jobs["generate"], jobs["finetune"], jobs["answer"], jobs["report"]) == (3, 6, 9, 1)
    assert "verify" not in jobs and jobs["judge"] == 9


def test_a_teacher_behind_an_endpoint(grid):
    """The README's second config adds to the first, and plans without a key."""
    _, added = blocks(ROOT / "README.md", "yaml")
    assert len(added.splitlines()) <= 10
    config = yaml.safe_load(readme_config())
    for key, entries in yaml.safe_load(added).items():
        config[key] = {**config.get(key, {}), **entries}
    jobs = planned(grid, yaml.safe_dump(config))
    assert (jobs["generate"], jobs["finetune"]) == (4, 8)


def test_own_data_with_reference_answers(grid):
    """The page's other way to judge: a checker in place of the reward model."""
    [other] = blocks(ROOT / "docs/own-data.md", "yaml")
    config, changed = yaml.safe_load(readme_config()), yaml.safe_load(other)
    config |= {key: changed[key] for key in ("tasks", "suites")}
    config["grids"]["mine"] |= changed["grids"]["mine"]
    assert planned(grid, yaml.safe_dump(config))["verify"] == 9


@pytest.mark.slow
def test_existing_responses(grid):
    # the second one runs in tests/workflow/test_hub_responses.py
    for config, teachers in zip(blocks(ROOT / "docs/existing-responses.md", "yaml"), (2, 10), strict=True):
        jobs = planned(grid, config)
        assert jobs["generate"] == jobs["likelihood"] == teachers and "finetune" not in jobs


def test_which_model_should_evolve_instructions(grid):
    """The page's whole config, and the grids that look at what the evolvers wrote: each is graded, answered and trained on once."""
    config, *_, outputs = [block for block in blocks(ROOT / "docs/evolution.md", "yaml") if "grids:" in block]
    whole, added = yaml.safe_load(config), yaml.safe_load(outputs)
    for key, entries in added.items():
        whole[key] = {**whole.get(key, {}), **entries}
    # metrics of the first grid stay its own
    whole["grids"]["evolvers"]["metrics"] = [*yaml.safe_load(config)["metrics"]]
    jobs = planned(grid, yaml.safe_dump(whole))
    # two evolvers, three sets that are answered, three that are graded
    assert jobs["generate"] == 2 + 3 + 3 and jobs["load_instructions"] == 1 + 2 * 2 + 2 + 3 * 2
    assert jobs["finetune"] == 9 and jobs["likelihood"] == 2 and jobs["report"] == 3
    assert "evolvers" in blocks(ROOT / "docs/evolution.md", "yaml")[0]


def test_benchmarks(grid):
    """The page's tasks and measures in the README's config: their items come from the hub, and every student answers them."""
    tasks, _, _, measures = blocks(ROOT / "docs/benchmarks.md", "yaml")
    shutil.copytree(ROOT / "config/benchmarks", grid.folder / "config/benchmarks")
    config = yaml.safe_load(readme_config())
    config |= yaml.safe_load(tasks)
    config["grids"]["mine"] |= {"suites": ["exams"], **yaml.safe_load(measures)}
    jobs = planned(grid, yaml.safe_dump(config))
    # the set, three tasks, and the examples of one
    assert jobs["load_instructions"] == 5 and jobs["verify"] == jobs["answer"] == 9 and "judge" not in jobs


def test_published_answers_as_opponents(grid, monkeypatch):
    """The page's references, judges and suites, with its tasks and an endpoint: students are compared with what was published."""
    _, opponents, *_ = blocks(ROOT / "docs/benchmarks.md", "yaml")
    monkeypatch.chdir(grid.folder)
    shutil.copytree(ROOT / "config/benchmarks", grid.folder / "config/benchmarks")
    config, added = yaml.safe_load(readme_config()), yaml.safe_load(opponents)
    config["models"]["gpt"] = {"api": "gpt", "endpoint": "there"}
    config |= {"endpoints": {"there": {"base_url": "http://127.0.0.1:9/v1"}}, "judges": added["judges"]}
    config["references"] |= added["references"]
    config |= {
        "tasks": {"alpaca": {"file": "alpaca_eval2"}, "arena": {"file": "arena_hard_v2"}},
        "suites": added["suites"],
    }
    measures = {"suites": ["alpaca", "arena"], "performance": ["alpaca/gpt-lc", "arena/arena"]}
    config["grids"]["mine"] |= {**measures, "references": [*config["references"]]}
    rows = cells.Cells(checked(config)).rows
    [student] = {cell.split("/")[0] for cell in rows["answer"] if "qwen-7b__sft__s1" in cell}
    for suite, asked, opponent in (("alpaca", "gpt", "gpt4-turbo"), ("arena", "arena", "o3-mini")):
        assert rows["ask"][f"{student}/{suite}/{asked}"]["baselines"] == [opponent]
        assert rows["answer"][f"{opponent}/{suite}"]["gpus"] == 0


def test_a_benchmark_of_ones_own_needs_no_code(grid, monkeypatch):
    """The page's file, a line of the config, and ten items: seven answers of ten are right."""
    *_, file, _ = blocks(ROOT / "docs/benchmarks.md", "yaml")
    [line] = re.findall(
        r"The config then says `(colours: .*?)` under `tasks`", (ROOT / "docs/benchmarks.md").read_text()
    )
    example = json.loads(re.search(r'each like `({"ask".*?})`', (ROOT / "docs/benchmarks.md").read_text())[1])
    monkeypatch.chdir(grid.folder)
    (grid.folder / "data/colours.yaml").write_text(file)
    rows = [{**example, "ask": f"{example['ask']} {i} times.", "gold": f"{example['gold']} {i}"} for i in range(10)]
    (grid.folder / "data/colours.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = yaml.safe_load(readme_config())
    config |= {"tasks": yaml.safe_load(line), "suites": {"mine": {"tasks": ["colours"]}}}
    config["grids"]["mine"]["performance"] = ["mine/verify"]
    table = cells.Cells(checked(config)).rows
    row = table["answer"]["untuned-plain/mine"]
    settings = of_answers(canonical.load(row["spec"]))
    items = loading.load_tasks(settings["tasks"], row["prompts"])
    examples = prompting.examples_of(settings["tasks"], [], "plain")
    asked, chat = prompting.asked(items, settings, examples)
    [prompt] = asked["colours"]["messages"][0].as_py()
    assert plain([prompt], chat)[0] == (
        "Q: Mix blue and yellow.\nAnswer: green\n\nQ: Mix black and white.\nAnswer: grey\n\nQ: Mix red and yellow. 0 times.\nAnswer:"
    )
    assert prompting.sampling_of(settings["tasks"]["colours"], "plain")["stop"] == ["\nQ:"]
    said = [
        " Orange {}.",
        "orange {}",
        "It is brown.\nAnswer: orange {}",
        "**Answer: orange {}**",
        "\nanswer:  ORANGE {}",
        " orange {}!",
    ]
    said += ["Answer: brown\nAnswer: orange {}", "Answer: red {}", "", "Answer: orange"]
    answers = [
        {"task": "colours", "id": id, "sample": 0, "answer": text.format(i), "finish_reason": "stop"}
        for i, (id, text) in enumerate(zip(items["colours"]["id"].to_pylist(), said, strict=True))
    ]
    verify = canonical.load(table["verify"]["untuned-plain/mine"]["spec"])
    scores = judge.verify_answers(artifacts.table(answers, artifacts.ANSWERS), items, verify["tasks"])
    assert scores["score"].to_pylist() == [1] * 7 + [0] * 3
    assert set(items["colours"]["category"].to_pylist()) == {"mix"}


def test_a_pilot(grid):
    pilot, trained = map(yaml.safe_load, blocks(ROOT / "docs/pilot.md", "yaml"))
    config = yaml.safe_load(readme_config())
    config["grids"]["mine"] |= pilot["grids"]["mine"]
    jobs = planned(grid, yaml.safe_dump(config))
    assert jobs["pilot"] == 1 and jobs["generate"] == 3 and "finetune" not in jobs
    # a pilot that trains is a corpus of few rows for each teacher
    config = yaml.safe_load(readme_config())
    teachers = {"small": "qwen-7b", "large": "olmo-7b"}
    for corpus in trained["corpora"].values():
        corpus |= {"instructions": "mine", "teachers": [teachers[name] for name in corpus["teachers"]]}
    whole = planned(grid, yaml.safe_dump(config))
    config["grids"]["mine"] |= trained["grids"]["mine"]
    jobs = planned(grid, yaml.safe_dump(config | {"corpora": trained["corpora"]}))
    assert jobs["generate"] == whole["generate"] and jobs["finetune"] == whole["finetune"] + 2 * 2


@pytest.mark.slow
def test_what_it_costs(grid):
    """The commands of the README's table give its GPU-hours, within a tenth."""
    shutil.copy2(ROOT / "config/paper_car.yaml", grid.folder / "config")
    shutil.copy2(ROOT / "workflow/miniworld/data/test.jsonl", grid.folder / "data")  # 700 prompts
    (grid.folder / "my.yaml").write_text(readme_config())
    rows = re.findall(r"\| `(plan --configfile [^`]+)` \| ([\d.,]+) \(", (ROOT / "README.md").read_text())
    assert len(rows) == 2
    for command, hours in rows:
        done = grid.call("teachergrid", *command.split(), "--json")
        assert done.returncode == 0, done.stderr
        expected = json.loads(done.stdout)["total"]["gpu_hours"]["expected"]
        assert expected == pytest.approx(float(hours.replace(",", "")), rel=0.1), command


@pytest.mark.slow
def test_the_readmes_config_runs(grid):
    """With tiny models and little data in place of the hub's; everything else is as printed."""
    text = readme_config()
    for repo, name in STAND_INS.items():
        text, n = re.subn(
            rf"repo: {re.escape(repo)}, .*}}", f"repo: workflow/miniworld/models/{name}, parameters: 0.0005}}", text
        )
        assert n == 1
    config = yaml.safe_load(text.replace("max_tokens: 1024", "max_tokens: 40"))
    config["instructions"]["mine"]["sample"] = 24
    config["recipes"]["sft"]["max_length"] = 256  # the tiny models' positions
    config["grids"]["mine"] |= {"seeds": [1], "bootstrap": 200}
    (grid.folder / "my.yaml").write_text(yaml.safe_dump(config))
    done = grid.call("teachergrid", "run", "--configfile", "my.yaml")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    page = (grid.folder / "results/grids/mine/report.html").read_text()
    assert all(name in page for name in ("qwen-7b", "olmo-7b", "people", "untuned-plain", "vendor"))
    assert "report: results/grids/mine/report.html" in done.stdout
