"""Rows of answers, their check and their comparison with an opponent's."""

import json
import re

import pytest
from teachergrid.cost import resources
from teachergrid.data import loading
from teachergrid.engines import engine
from teachergrid.errors import BadInput
from teachergrid.evaluation import judge_prompts
from teachergrid.grid import config_data, config_grids, config_paths, evaluation
from teachergrid.grid.builder import Builder
from teachergrid.grid.cells import Cells
from teachergrid.grid.config import checked
from teachergrid.hub import needs
from teachergrid.spec import canonical
from teachergrid.store import artifacts
from teachergrid.tasks import checkers, sandbox

STUDENT = "w__seed__large__sft__s1"


@pytest.fixture
def build(small):
    """Return a function: the builder of the small grid with these bases' and tasks' keys."""

    def built(bases: dict | None = None, tasks: dict | None = None) -> Builder:
        small["bases"]["w"].update(bases or {})
        small["tasks"]["gsm"].update(tasks or {})
        return Cells(checked(small)).build

    return built


def test_a_student_answers_with_the_chat_settings_of_its_base(build):
    builder = build(bases={"system": "Be brief."})
    row = evaluation.answer_row(builder, STUDENT, "math")
    assert row["students"] == [STUDENT] and row["prompts"] == ["config/gsm.jsonl"]
    spec = canonical.load(row["spec"])
    assert spec["reference"]["system"] == "Be brief." and spec["model"]["repo"] == "org/w"
    reference = evaluation.answer_row(builder, "w-raw", "math")
    assert reference["students"] == []
    assert canonical.load(reference["spec"])["reference"]["system"] != "Be brief.", "a reference has its own"


def test_how_answers_are_checked_is_no_matter_of_the_answers(build):
    def specs(**task) -> tuple[str, str]:
        builder = build(tasks=task)
        return (
            evaluation.answer_row(builder, STUDENT, "math")["spec"],
            evaluation.verify_row(builder, "math")["spec"],
        )

    answers, check = specs()
    assert specs(checker_version=2) == (answers, specs(checker_version=2)[1]) and specs()[1] != check
    asked, _ = specs(prompt_version=2)
    assert asked != answers


def test_an_answer_costs_as_many_tokens_as_the_longest_task_allows(build):
    assert evaluation.answer_row(build(tasks={"sampling": {"max_tokens": 7}}), STUDENT, "math")["tokens"] == 7
    usual = evaluation.answer_row(build(tasks={"sampling": {"max_tokens": 10**6}}), STUDENT, "math")["tokens"]
    assert 7 < usual < 10**6


def test_the_opponent_is_compared_with_itself_without_reading_itself_twice(build):
    builder = build()
    student, opponent = (evaluation.judge_row(builder, model, "chat", "wins") for model in (STUDENT, "q-raw"))
    assert (student["baselines"], opponent["baselines"]) == (["q-raw"], [])
    assert student["spec"] == opponent["spec"] and canonical.load(student["spec"])["model"]["repo"] == "org/rm"
    # the opponent's answers are scored once: in all, that is as much as its own job would have to score
    assert student["rows"] == opponent["rows"] == evaluation.verify_row(builder, "chat")["rows"] > 0


# --- language models as judges


@pytest.fixture
def asking(small):
    """Return a function: the cells of the small grid with a language model as a judge that has these keys, and a derived one."""
    small["models"]["far"] = {"api": "gpt-x", "endpoint": "e"}
    small["endpoints"] = {"e": {"base_url": "http://127.0.0.1:9/v1", "usd_in": 1.0, "usd_out": 2.0}}

    def made(endpoint: dict | None = None, **judge) -> Cells:
        small["endpoints"]["e"].update(endpoint or {})
        small["judges"]["lm"] = {"model": "far", "protocol": "pairwise", "baseline": "q-raw"} | judge
        small["judges"]["lm-style"] = {"of": "lm", "control": "style"}
        small["suites"]["chat"]["judges"] = ["wins", "lm", "lm-style"]
        return Cells(checked(small))

    return made


def test_what_a_language_model_is_asked_decides_its_verdicts(asking):
    def specs(**judge) -> tuple[str, str]:
        rows = asking(**judge).rows
        return rows["ask"][f"{STUDENT}/chat/lm"]["spec"], rows["score"][f"{STUDENT}/chat/lm"]["spec"]

    asked, read = specs()
    parts = canonical.load(asked)
    assert parts["model"]["api"] == "gpt-x" and "endpoint" not in parts["model"]
    assert parts["judge"]["sampling"]["max_tokens"] == 1024 and "{output_2}" in parts["judge"]["prompts"]["pairwise"]
    assert "prompts" not in canonical.load(read)["judge"]
    # what only costs
    assert specs(endpoint={"base_url": "http://other/v1", "usd_in": 5.0, "at_once": 1}) == (asked, read)
    longer, same = specs(max_tokens=7)
    assert longer != asked and same == read
    assert specs(protocol="alpaca_eval2")[0] != asked


def test_derived_judges_read_the_verdicts_of_another(asking):
    cells = asking()
    cell = f"{STUDENT}/chat"
    assert {*cells.rows["ask"]} == {f"{model}/chat/lm" for model in {key.split("/")[0] for key in cells.rows["ask"]}}
    derived, own = (cells.rows["score"][f"{cell}/{judge}"] for judge in ("lm-style", "lm"))
    assert derived["asked"] == own["asked"] == ["lm"] and derived["spec"] != own["spec"]
    assert derived["baselines"] == ["q-raw"] and cells.rows["score"]["q-raw/chat/lm"]["baselines"] == []
    assert cells.rows["ask"][f"{cell}/lm"]["endpoint"]["name"] == "e"
    assert cells.rows["ask"][f"{cell}/lm"]["rows"] == 2 * own["rows"], "both orders"
    assert cells.rows["ask"][f"{cell}/lm"]["gpus"] == 0
    assert f"{cell}/wins" in cells.rows["judge"] and f"{cell}/lm" not in cells.rows["judge"]


def test_an_endpoints_verdicts_hang_on_nothing_that_loading_a_model_needs(asking):
    """The spec as it was before jobs could load a judge: verdicts that were paid stay."""
    parts = json.loads(asking().rows["ask"][f"{STUDENT}/chat/lm"]["spec"])
    assert {*parts} == {"judge", "model", "tasks"} and parts["model"] == {"api": "gpt-x"}
    assert {*parts["judge"]} == {"prompts", "protocol", "sampling"}


def test_a_judge_that_a_job_loads_asks_for_what_its_model_needs(asking, small):
    small["models"]["rm"] |= {"gpus": 2, "gpu_model": "h100", "parameters": 8}

    def rows(**judge) -> dict[str, dict]:
        return asking(model="rm", **judge).rows

    for name in ("transformers", "vllm"):
        row = rows(engine=name)["ask"][f"{STUDENT}/chat/lm"]
        assert "endpoint" not in row and canonical.load(row["spec"])["model"]["repo"] == "org/rm"
        asked = {what: resources.need("ask", what, row, 1) for what in resources.named("ask")}
        assert (asked["gpu"], asked["gpu_model"], asked["nodes"]) == (2, "h100", 1)
        as_teacher = {"spec": canonical.dump(model={"repo": "org/rm"}, teacher={"engine": name})}
        as_teacher |= {"rows": row["rows"], "gpus": 2, "gpu_model": "h100", "nodes": 1, "parameters": 8.0}
        assert asked["mem_mb"] == resources.need("generate", "mem_mb", as_teacher, 1)
    plain = rows(engine="transformers")
    for change in ({"engine": "vllm"}, {"batch": 3}, {"template_args": {"enable_thinking": False}}):
        changed = rows(**{"engine": "transformers"} | change)
        moved = {
            (rule, cell)
            for rule, cells in plain.items()
            for cell, row in cells.items()
            if rule not in ("report", "correlate") and row["spec"] != changed[rule][cell]["spec"]
        }
        # its verdicts on all models; what reads them follows
        assert moved == {("ask", cell) for cell in plain["ask"]}
    # what only costs
    small["models"]["rm"] |= {"gpus": 4, "tensor_parallel": 2}
    assert (
        rows(engine="transformers")["ask"][f"{STUDENT}/chat/lm"]["spec"] == plain["ask"][f"{STUDENT}/chat/lm"]["spec"]
    )


def test_another_judging_model_makes_its_verdicts_again_and_nothing_else(asking, small):
    def specs(revision: str) -> dict[tuple[str, str], str]:
        small["models"]["own"] = {"repo": "org/own", "revision": revision}
        rows = asking(model="own", engine="vllm").rows
        return {(rule, cell): row["spec"] for rule, cells in rows.items() for cell, row in cells.items()}

    before, after = specs("sha256-777"), specs("sha256-888")
    asked = {job for job in before if job[0] == "ask"}
    # the report names the models
    assert {job for job in before if before[job] != after[job] and job[0] != "report"} == asked != set()


def test_a_judge_without_its_engines_package_is_told(asking, monkeypatch):
    monkeypatch.setattr(engine, "find_spec", lambda name: None)
    lacking = asking(model="rm", engine="vllm").lacking()
    [(lack, jobs)] = lacking.items()
    assert lack.startswith("the engine vllm needs the package vllm") and {rule for rule, _ in jobs} == {"ask"}


def test_a_model_may_stand_inside_its_judge(asking):
    cells = asking(model={"repo": "org/judge", "revision": "sha256-1"}, engine="vllm")
    spec = canonical.load(cells.rows["ask"][f"{STUDENT}/chat/lm"]["spec"])
    assert spec["model"]["repo"] == "org/judge" and cells.config["judges"]["lm"]["model"] == "lm"


def test_a_plan_counts_what_the_log_does_not_answer(asking, small):
    cells = asking()
    row, cell = cells.rows["ask"][f"{STUDENT}/chat/lm"], f"{STUDENT}/chat/lm"
    with pytest.raises(FileNotFoundError):
        evaluation.unanswered(row, cell)
    [prompt] = loading.load_tasks(canonical.load(row["spec"])["tasks"], row["prompts"])["ifeval"].to_pylist()
    for model, text in ((STUDENT, "mine"), ("q-raw", "theirs")):
        answer = {"task": "ifeval", "id": prompt["id"], "sample": 0, "answer": text, "finish_reason": "stop"}
        table = artifacts.table([answer], artifacts.ANSWERS)
        artifacts.write(f"results/answers/{model}/chat.parquet", table, artifacts.ANSWERS, None)
    assert evaluation.unanswered(row, cell) == 2
    # the opponent itself needs no judge
    assert evaluation.unanswered(cells.rows["ask"]["q-raw/chat/lm"], "q-raw/chat/lm") == 0


def test_the_report_knows_the_models_that_judge(asking):
    spec = canonical.load(asking().rows["report"]["teachers"]["spec"])
    assert {"wins", "lm", "lm-style"} == {*spec["judges"]} and spec["judges"]["lm-style"]["of"] == "lm"
    assert spec["models"]["far"]["api"] == "gpt-x"


def test_a_rule_makes_the_scores_of_its_judges_alone(asking):
    config = asking().config
    assert config_data.pattern(config, "judge") == "wins"
    assert re.fullmatch(config_data.pattern(config, "score"), "lm-style")
    assert not re.fullmatch(config_data.pattern(config, "score"), "wins")
    none = config_data.pattern({"judges": {}}, "judge")
    assert not re.fullmatch(none, "") and not re.fullmatch(none, "wins")


@pytest.mark.parametrize(
    ("judge", "message"),
    [
        ({"reward": "rm"}, "config.judges.lm: state one of 'reward', 'model'"),
        ({"model": None}, "config.judges.lm: state one of 'reward', 'model'"),
        ({"model": "far2"}, "config.judges.lm.model: there is no 'far2', did you mean 'far'?"),
        (
            {"model": "q"},
            "config.judges.lm.model: 'q' has no 'api', which it needs here; name another model, or the `engine` that loads",
        ),
        (
            {"engine": "vllm"},
            "config.judges.lm.model: 'far' has no 'repo', which it needs here; name another model, or the `engine`",
        ),
        ({"batch": 3}, "config.judges.lm.batch: engine 'openai' does not read it; remove it"),
        (
            {"template": "x.jinja", "model": "q", "engine": "vllm"},
            "config.judges.lm.template: there is no file 'x.jinja'",
        ),
        ({"protocol": None}, "config.judges.lm: needs the key 'protocol'"),
        ({"protocol": "alpaca"}, "config.judges.lm.protocol: 'alpaca' is not one of"),
        ({"baseline": None}, "config.judges.lm: needs the key 'baseline'"),
        ({"baseline": "q-row"}, "config.judges.lm.baseline: there is no 'q-row', did you mean 'q-raw'?"),
        ({"protocol": "single"}, "config.judges.lm.baseline: protocol 'single' judges answers alone; remove it"),
        ({"tie": 1}, "config.judges.lm.tie: a judge with 'model' does not read it; remove it"),
        ({"control": "length"}, "config.judges.lm.control: a judge with 'model' does not read it; remove it"),
        ({"prompt": "none.txt"}, "config.judges.lm.prompt: there is no file 'none.txt'"),
        ({"prompt": "config/gsm.jsonl"}, "config.judges.lm.prompt: no message of the user at its end"),
        ({"prompt": "official"}, "config.judges.lm.prompt: protocol 'pairwise' has no official prompt; leave it out"),
        ({"prompt_version": 9}, "config.judges.lm.prompt_version: its prompt has the versions 1"),
    ],
)
def test_a_judge_that_contradicts_itself(asking, judge, message):
    with pytest.raises(BadInput, match=re.escape(message)):
        asking(**judge)


@pytest.mark.parametrize(
    ("judge", "message"),
    [
        ({"of": "lm"}, "config.judges.d: needs the key 'control'"),
        ({"of": "lmm", "control": "style"}, "config.judges.d.of: there is no 'lmm', did you mean 'lm'?"),
        (
            {"of": "wins", "control": "style"},
            "config.judges.d.of: 'wins' is no language model that compares two answers",
        ),
        (
            {"of": "lm", "control": "length", "gamed": "hub:org/name/x.csv"},
            "config.judges.d.gamed_revision: a file on the hub, and no other, needs its commit",
        ),
        (
            {"of": "lm", "control": "length", "gamed": "config/gsm.jsonl", "gamed_revision": "0" * 40},
            "config.judges.d.gamed_revision: a file on the hub, and no other",
        ),
        (
            {"of": "lm", "control": "length", "gamed": "hub:org/name", "gamed_revision": "0" * 40},
            "config.judges.d.gamed: name one file of the data set",
        ),
        (
            {"of": "lm", "control": "style", "gamed": "x.csv"},
            "config.judges.d.gamed: AlpacaEval's df_gamed.csv goes with",
        ),
        ({"of": "lm", "control": "length", "gamed": "x.csv"}, "config.judges.d.gamed: there is no file 'x.csv'"),
        (
            {"of": "lm", "control": "style", "baseline": "q-raw"},
            "config.judges.d.baseline: the opponent is that of 'lm'",
        ),
    ],
)
def test_a_derived_judge_that_contradicts_itself(asking, small, judge, message):
    small["judges"]["d"] = judge
    with pytest.raises(BadInput, match=re.escape(message)):
        asking()


def test_a_prompt_of_ones_own_counts_by_its_text(asking, small, tmp_path):
    text = "<|im_start|>user\nWhich? {QUESTION} {ANSWER_A} {ANSWER_B}\n<|im_end|>"
    specs = []
    for name in ("one.txt", "two.txt"):
        (tmp_path / name).write_text(text)
        specs.append(asking(prompt=str(tmp_path / name)).rows["ask"][f"{STUDENT}/chat/lm"]["spec"])
    assert specs[0] == specs[1] and canonical.load(specs[0])["judge"]["prompts"] == {"pairwise": text}
    (tmp_path / "one.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match="cannot be read as text"):
        asking(prompt=str(tmp_path / "one.txt"))


def test_a_benchmarks_own_files_count_by_their_commit_and_digest(asking, small):
    small["judges"]["lc"] = {"of": "lm", "control": "length"}

    def rows(**keys) -> tuple[dict, dict]:
        small["judges"]["lc"].update(keys)
        asking(protocol="alpaca_eval2", prompt="official")
        small["suites"]["chat"]["judges"] = ["lm", "lc"]
        cells = Cells(checked(small))
        return cells.rows["ask"][f"{STUDENT}/chat/lm"], cells.rows["score"][f"{STUDENT}/chat/lc"]

    ask, score = rows()
    # where the config names no file, it is AlpacaEval's own
    assert score["files"] == [] and config_grids.GAMED in score["spec"] and config_grids.GAMED_REVISION in score["spec"]
    [need] = needs.needs({score["spec"]})[0]
    assert (need.repo, need.file, need.revision) == (
        "tatsu-lab/alpaca_eval",
        "df_gamed.csv",
        config_grids.GAMED_REVISION,
    )
    assert canonical.load(ask["spec"])["judge"]["prompts"] == {"alpaca_eval2": judge_prompts.mark("alpaca_eval2")}
    assert judge_prompts.needed({ask["spec"]}) == [*judge_prompts.OFFICIAL["alpaca_eval2"].files]
    assert rows(gamed="hub:org/name/x.csv", gamed_revision="1" * 40)[1]["spec"] != score["spec"]
    # a file that is here counts by its content
    _, local = rows(gamed="config/gsm.jsonl", gamed_revision=None)
    assert local["files"] == ["config/gsm.jsonl"] and "gsm.jsonl" not in local["spec"]
    assert needs.needs({local["spec"]}) == ([], [])


def test_what_benchmarks_detect(build):
    builder = build()
    found = evaluation.detectable(builder, [f"{STUDENT}/math", "w-raw/math", f"{STUDENT}/chat"])
    assert [(row["suite"], row["task"]) for row in found] == [("chat", "ifeval"), ("math", "gsm")]
    items = evaluation.verify_row(builder, "math")["rows"]
    assert found[1]["items"] == items
    assert found[1]["unpaired"] == pytest.approx(280.16 * (0.5 / items) ** 0.5, abs=0.06)
    assert found[1]["paired"] == pytest.approx(0.8 * found[1]["unpaired"], abs=0.06)


def test_programs_without_a_guard_are_named_before_a_run(small, monkeypatch):
    monkeypatch.setattr(sandbox, "gap", lambda level: "it is not installed")
    assert config_paths.unguarded(checked(small)) == []
    small["tasks"]["gsm"]["checker"] = {"kind": "program"}
    [said] = config_paths.unguarded(checked(small))
    assert said.startswith("suite math: sandbox for programs of models: ") and "none can be run here: install" in said
    assert said in Cells(checked(small)).warnings()
    monkeypatch.setattr(sandbox, "gap", lambda level: None)
    assert config_paths.unguarded(checked(small)) == []


def test_how_a_task_is_put_concerns_the_models_of_its_format_alone(build, small):
    small["references"]["w-raw"]["format"] = "plain"

    def specs(**task) -> tuple[str, str, str]:
        builder = build(tasks={"chat": {}, "plain": {}, **task})
        return (
            evaluation.answer_row(builder, STUDENT, "math")["spec"],
            evaluation.answer_row(builder, "w-raw", "math")["spec"],
            evaluation.verify_row(builder, "math")["spec"],
        )

    student, reference, check = specs()
    changed = specs(plain={"prompt": "Q: {question}", "stop": ["Q:"]})
    assert (changed[0], changed[2]) == (student, check) and changed[1] != reference
    changed = specs(chat={"prompt": "{question} Think."})
    assert changed[1:] == (reference, check) and changed[0] != student


def test_a_checker_of_another_kind_reruns_no_model(build):
    builder = build()
    before = evaluation.answer_row(builder, STUDENT, "math")["spec"], evaluation.verify_row(builder, "math")["spec"]
    builder = build(tasks={"checker": {"kind": "math", "seconds": 3}})
    spec = evaluation.verify_row(builder, "math")["spec"]
    assert evaluation.answer_row(builder, STUDENT, "math")["spec"] == before[0] and spec != before[1]
    # another version of the library is another check, whichever is installed where the plan is made
    assert canonical.load(spec)["libraries"]["math-verify"] == checkers.versions("math")["math-verify"]
    assert "libraries" not in canonical.load(before[1])


def test_examples_are_an_input_where_they_are_shown(build, small):
    small["references"]["w-raw"]["format"] = "plain"
    builder = build(tasks={"plain": {"shots": 2}, "shots": {"source": "evolved", "answer": " {answer}"}})
    shown, student = (evaluation.answer_row(builder, model, "math") for model in ("w-raw", STUDENT))
    assert shown["prompts"] == ["config/gsm.jsonl", "results/instructions/evolved.parquet"]
    assert student["prompts"] == ["config/gsm.jsonl"]
    settings = canonical.load(shown["spec"])["tasks"]["gsm"]
    # the file counts by its content
    assert settings["shots"]["answer"] == " {answer}" and settings["shots"]["source"] is None
    assert shown["asked"] == pytest.approx(3 * student["asked"])
    table = Cells(builder.config).rows["load_instructions"]
    assert "evolved" in table


# --- published answers


@pytest.fixture
def answered(small):
    """Return a function: the cells of the small grid, whose judge's opponent are published answers with these keys."""

    def made(**keys) -> Cells:
        small["references"]["told"] = {"engine": "existing", "source": "config/ifeval.jsonl"} | keys
        small["judges"]["wins"]["baseline"] = "told"
        return Cells(checked(small))

    return made


def test_published_answers_are_an_opponent_without_a_model(answered, small):
    cells = answered()
    row = cells.rows["answer"]["told/chat"]
    assert (row["files"], row["gpus"], row["parameters"], row["students"]) == (["config/ifeval.jsonl"], 0, 0, [])
    assert cells.rows["judge"][f"{STUDENT}/chat/wins"]["baselines"] == ["told"]
    # they are evaluated only where a block names them: they answer one suite
    assert [key for key in cells.rows["answer"] if key.startswith("told")] == ["told/chat"]
    assert "told/chat" not in cells.rows["verify"]
    # a file counts by its content, a data set by its name and commit
    assert "config/ifeval" not in row["spec"]
    published = {"source": "hub:org/name", "revision": "0" * 40}
    hub = answered(**published).rows["answer"]["told/chat"]
    assert hub["files"] == [] and "hub:org/name" in hub["spec"]
    assert [need.repo for need in needs.needs({hub["spec"]})[0]] == ["org/name"]
    assert answered(**published | {"revision": "1" * 40}).rows["answer"]["told/chat"]["spec"] != hub["spec"]
    # a category with a source of its own
    files = answered(by_category={"b": "config/gsm.jsonl", "a": "config/seed.jsonl"}).rows["answer"]["told/chat"]
    assert files["files"] == ["config/ifeval.jsonl", "config/seed.jsonl", "config/gsm.jsonl"]
    assert canonical.load(files["spec"])["reference"]["by_category"] == {"a": "1", "b": "2"}
    of_hub = answered(**published, by_category={"a": "hub:org/name/other.jsonl"}).rows["answer"]["told/chat"]
    assert {need.file for need in needs.needs({of_hub["spec"]})[0]} == {None, "other.jsonl"}
    # a setting that only decides how models answer
    small["tasks"]["ifeval"]["sampling"] = {"max_tokens": 7}
    assert answered().rows["answer"]["told/chat"]["spec"] == row["spec"]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"model": "q"}, "state either 'model', or 'source'"),
        ({"source": None}, "state either 'model', or 'source'"),
        ({"engine": None}, "engine: 'engine: existing' and 'source' go together"),
        ({"format": "plain"}, "format: a reference that is a file of answers does not read it"),
        ({"written_by": "x"}, "written_by: state it together with `fields.teacher`"),
        ({"by_category": {"a": "hub:org/name"}}, "by_category: the sources are not all files, nor of one data set"),
        ({"by_category": {"a": "none.jsonl"}}, r"references\.told\.by_category\.a: there is no file 'none.jsonl'"),
        ({"source": "none.jsonl"}, r"references\.told\.source: there is no file 'none.jsonl'"),
        ({"role": "untuned"}, r"told\.base: a reference with role 'untuned' names its base"),
    ],
)
def test_published_answers_that_contradict_themselves(answered, keys, said):
    with pytest.raises(BadInput, match=said):
        answered(**keys)


def test_a_model_reads_no_file_of_answers(small):
    small["references"]["w-raw"]["allow_missing"] = True
    with pytest.raises(BadInput, match=r"w-raw\.allow_missing: a reference that is a model does not read it"):
        checked(small)


# --- the loss of held-out responses


@pytest.fixture
def held(small):
    """Return a function: the cells of the small grid, whose suite `math` also has the loss of its answers."""
    small["recipes"]["sft"]["keep"] = "none"

    def made(judges=("fit",), **likelihood) -> Cells:
        small["judges"]["fit"] = {"loss": "answers"}
        small["suites"]["math"]["judges"] = [*judges]
        small["likelihood"] = likelihood
        return Cells(checked(small))

    return made


def test_a_loss_is_a_job_of_each_model_and_changes_no_other(held):
    def models(cells: Cells) -> dict[tuple[str, str], str]:
        skipped = ("correlate", "report", "loss")  # what reads it
        return {(r, c): row["spec"] for r, rows in cells.rows.items() for c, row in rows.items() if r not in skipped}

    without, cells = held(judges=()), held()
    assert models(without) == models(cells) and not without.rows["loss"]
    answered = {f"{cell}/fit" for cell in cells.rows["answer"] if cell.endswith("/math")}
    assert {*cells.rows["loss"]} == answered and f"{STUDENT}/math/fit" in answered
    student, reference = cells.rows["loss"][f"{STUDENT}/math/fit"], cells.rows["loss"]["w-raw/math/fit"]
    assert student["students"] == [STUDENT] and reference["students"] == []
    assert student["prompts"] == ["config/gsm.jsonl"] and resources.need("loss", "gpu", student, 1) == 1
    assert canonical.load(student["spec"])["likelihood"]["formats"] == ["chat"]
    # lists of each token do not concern it, and the batch does
    assert held(tokens=False, subset=3).rows["loss"][f"{STUDENT}/math/fit"]["spec"] == student["spec"]
    assert held(max_length=64).rows["loss"][f"{STUDENT}/math/fit"]["spec"] != student["spec"]
    # weights that a recipe does not keep stay until it is done
    assert cells.rows["free"][STUDENT]["losses"] == ["math/fit"] and without.rows["free"][STUDENT]["losses"] == []
    assert config_data.pattern(cells.config, "loss") == "fit" and config_data.pattern(cells.config, "judge") == "wins"


def test_a_loss_needs_answers_that_are_texts_and_no_opponent(held, small):
    small["tasks"]["gsm"]["fields"] = {"answer": {"columns": ["answer"]}}
    with pytest.raises(BadInput, match=r"config.suites.math.judges: task 'gsm' has columns as its `fields.answer`"):
        held()
    small["tasks"]["gsm"]["fields"] = {}
    small["judges"]["other"] = {"loss": "answers", "baseline": "q-raw"}
    with pytest.raises(BadInput, match=r"config.judges.other.baseline: a loss has no opponent; remove it"):
        held()


def test_a_loss_in_nats_is_no_part_of_a_mean_of_shares(held, small):
    block = small["grids"]["teachers"]
    block["performance"] = ["math/verify", "math/fit"]
    held()
    block["performance"] = ["math/verify", "math/fit/gsm:log_probability"]
    with pytest.raises(
        BadInput, match=r"it is in nats, and AP is a mean of shares; write math/fit/gsm, the probability"
    ):
        held()


def test_answers_that_were_published_have_no_loss(held, small):
    small["references"]["told"] = {"engine": "existing", "source": "config/gsm.jsonl", "fields": {"response": "answer"}}
    small["grids"]["teachers"]["references"] = ["told"]
    small["suites"]["chat"]["judges"] = []
    row = held().rows["loss"]["told/math/fit"]
    assert "model" not in canonical.load(row["spec"]) and row["gpus"] == 0
