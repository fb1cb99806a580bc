"""vLLM: what it is given, and that it makes the same as transformers, byte for byte, in whatever way the work is divided."""

import hashlib
import os
import signal
import subprocess
import sys
from array import array
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny
import vllm_job
from generations import CHAT, DRAWN, GREEDY, MODEL, TEXTS, instructions
from small_demo import TEACHERS, small_demo
from teachergrid.data import loading as items_of
from teachergrid.engines import copies, prompts, vllm, vllm_copy
from teachergrid.engines.requests import Request, Setup, requests_of
from teachergrid.errors import BadInput
from teachergrid.evaluation import answer, asking, cases, judge
from teachergrid.models import chat, loading
from teachergrid.spec import canonical
from teachergrid.store import artifacts, origin

# --- without vLLM


def asked(number: int, prompt: list[int]) -> vllm_copy.Asked:
    return vllm_copy.Asked(number, array("i", prompt), 8, None)


def test_prompts_with_the_same_beginning_follow_each_other():
    given = [
        asked(0, [300, 1]),
        asked(1, [7, 2, 9]),
        asked(2, [300]),
        asked(3, [7, 2]),
        asked(4, [7, 300]),
        asked(5, [7, 2]),
    ]
    assert [one.number for one in sorted(given, key=vllm.order_of)] == [3, 5, 1, 4, 2, 0]
    assert list(given[0].prompt) == [300, 1]


def test_the_draw_hangs_on_seed_id_and_sample_and_greedy_has_none():
    request = Request("i", 3, [], None, DRAWN)
    assert vllm.draw_of(request) == {"id": "i", "sample": 3, "sampling": DRAWN}
    assert vllm.draw_of(request._replace(sampling=GREEDY)) is None


def test_the_likeliest_first_tokens_are_those_before_any_draw():
    """The token that was drawn is among them, out of order; what follows the first token is left out."""
    one = SimpleNamespace
    first = {9: one(logprob=-4.0, rank=7), 5: one(logprob=-0.1, rank=1), 6: one(logprob=-2.5, rank=2)}
    response = one(token_ids=[9, 3], logprobs=[first, {3: one(logprob=0.0, rank=1)}])
    done = vllm_copy.done_of(one(request_id="12-ab", outputs=[response]))
    assert done == (12, [9, 3], [(5, -0.1), (6, -2.5), (9, -4.0)])
    assert vllm_copy.done_of(one(request_id="12-ab", outputs=[one(token_ids=[3], logprobs=None)])) == (12, [3], None)


def test_the_length_of_the_model_follows_from_all_rows(tmp_path):
    entry = MODEL | {"repo": str(tiny.make(tmp_path / "model"))}
    table = instructions(TEXTS)
    few, more = requests_of(table, GREEDY), requests_of(table.slice(0, 1), GREEDY | {"max_tokens": 90})
    tokenizer = loading.load_tokenizer(entry, CHAT)
    lengths = [len(chat.prompt(tokenizer, row["messages"], CHAT).ids) for row in table.to_pylist()]
    for requests, want in ((few, max(lengths) + 12), (few + more, max(max(lengths) + 12, lengths[0] + 90))):
        setup = Setup(entry, CHAT, requests=requests, work=tmp_path)
        options = vllm.options_of(setup, prompts.Reader.of(setup))
        assert options["max_model_len"] == want
    twice = [few[0]._replace(sampling=GREEDY | {"max_tokens_again": 100})]
    setup = Setup(entry, CHAT, requests=twice, work=tmp_path)
    assert vllm.options_of(setup, prompts.Reader.of(setup))["max_model_len"] == lengths[0] + 100, (
        "room for a second try"
    )
    long = [few[0]._replace(sampling=GREEDY | {"max_tokens": 9_999})]
    setup = Setup(entry, CHAT, requests=long, work=tmp_path)
    assert vllm.options_of(setup, prompts.Reader.of(setup))["max_model_len"] == 512, "the model's context"
    assert (options["model"], options["dtype"], options["generation_config"]) == (entry["repo"], "float32", "vllm")


def test_a_token_without_embedding_is_refused(tmp_path):
    folder = tiny.make(tmp_path / "model")
    tokenizer = tiny.tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|new|>"]})
    tokenizer.save_pretrained(folder)
    entry = MODEL | {"repo": str(folder)}
    reader = prompts.Reader.of(Setup(entry, CHAT | {"system": "a <|new|> b"}))
    with pytest.raises(BadInput, match=r"has the token '<\|new\|>'"):
        reader.ids(requests_of(instructions(["red"]), GREEDY))


def test_a_model_of_the_hub_is_its_folder_in_the_cache(tmp_path, monkeypatch):
    """Then no network is needed. What the cache does not have is left to vLLM."""
    cached = tmp_path / "snapshots/123/config.json"
    monkeypatch.setattr(
        "huggingface_hub.try_to_load_from_cache",
        lambda repo, name, revision: str(cached) if (repo, name, revision) == ("org/m", "config.json", "123") else None,
    )
    options = {"trust_remote_code": False, "revision": "123"}
    assert vllm.local("org/m", options) == (str(cached.parent), {"trust_remote_code": False})
    assert vllm.local("org/other", options) == ("org/other", options)
    assert vllm.local(str(tmp_path), {"trust_remote_code": False}) == (str(tmp_path), {"trust_remote_code": False})


@pytest.mark.parametrize(
    ("stated", "weights", "shares"),
    [
        (None, 50, [["3"], ["4"], ["6"], ["7"]]),
        (None, 90, [["3", "4"], ["6", "7"]]),
        (None, 400, [["3", "4", "6", "7"]]),
        (4, 1, [["3", "4", "6", "7"]]),
    ],
)
def test_as_few_gpus_share_a_copy_as_it_fits_on(monkeypatch, stated, weights, shares):
    monkeypatch.setattr(vllm, "gpu_memory", lambda: [80] * 4)
    monkeypatch.setattr(vllm, "weights_of", lambda model: weights)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,4,6,7")
    assert vllm.devices_of(Setup(MODEL | {"repo": "m", "tensor_parallel": stated}, CHAT)) == shares


def test_gpus_that_cannot_be_divided_are_told(monkeypatch):
    monkeypatch.setattr(vllm, "gpu_memory", lambda: [80] * 4)
    with pytest.raises(BadInput, match="m: 4 GPUs cannot be divided into groups of 3"):
        vllm.devices_of(Setup(MODEL | {"repo": "m", "tensor_parallel": 3}, CHAT))


def test_one_process_without_gpus(monkeypatch):
    monkeypatch.setattr(vllm, "gpu_memory", list)
    assert vllm.devices_of(Setup(MODEL | {"repo": "m"}, CHAT)) == [[""]]
    assert vllm.devices_of(Setup(MODEL | {"repo": "m", "tensor_parallel": 2}, CHAT)) == [["", ""]]


def test_a_student_that_keeps_its_adapter_alone_is_merged_once(tmp_path, monkeypatch):
    (tmp_path / "student/adapter").mkdir(parents=True)
    merges = []

    class Merged:
        def save_pretrained(self, folder):
            merges.append(folder)
            Path(folder).mkdir()

    monkeypatch.setattr(loading, "load_merged", lambda *_, **__: Merged())
    for _ in range(2):
        assert loading.whole_folder(MODEL, tmp_path / "student", tmp_path / "merged") == tmp_path / "merged"
    assert len(merges) == 1
    (tmp_path / "student/model.safetensors").touch()
    assert loading.whole_folder(MODEL, tmp_path / "student", tmp_path / "merged") == tmp_path / "student"
    assert loading.whole_folder(MODEL, None, tmp_path / "merged") is None


def test_what_pydantic_puts_around_an_error_is_left_out():
    error = ValueError(
        "1 validation error for VllmConfig\n  Value error, Total number of attention heads (5) must be divisible by tensor "
        "parallel size (2). [type=value_error, input_value=..., input_type=ArgsKwargs]\n    For further information visit ..."
    )
    assert vllm_copy.in_a_line(error) == (
        "Total number of attention heads (5) must be divisible by tensor parallel size (2)."
    )
    assert vllm_copy.in_a_line(ValueError("no\nmore")) == "no"


# --- with it


@pytest.fixture(scope="module")
def one_load():
    """Let several jobs of one model share its load, which takes half a minute."""
    loaded, opened = {}, copies.opened

    def once(options, devices):
        key = options["model"]
        if key not in loaded:
            loaded[key] = opened(options | {"max_model_len": 256}, devices)
        return loaded[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copies, "opened", once)
        yield


@pytest.fixture(scope="module")
def by_transformers(tmp_path_factory):
    """{teacher: sha256 of its responses by the engine transformers}"""
    folder = tmp_path_factory.mktemp("transformers")
    return {name: vllm_job.sha256(name, "transformers", folder / name) for name in vllm_job.TEACHERS.values()}


@pytest.mark.vllm
def test_the_same_bytes_at_once_reversed_and_in_other_shards(one_load, by_transformers, tmp_path):
    assert set(vllm_job.TEACHERS) == {0, 1.5, 2}, "a greedy teacher and two that draw"
    for name, want in by_transformers.items():
        found = {
            how: vllm_job.sha256(name, "vllm", tmp_path / name / how, **more)
            for how, more in {"at once": {}, "reversed": {"backwards": True}, "shards": {"shard": 7}}.items()
        }
        assert found == dict.fromkeys(found, want), name
    # six files of 7 rows and more: shards were written
    assert len(list((tmp_path / name / "shards/work").glob("*.parquet"))) >= vllm_job.ROWS // vllm_copy.TOGETHER


@pytest.mark.vllm
def test_a_suite_has_equal_scores_under_both_engines(one_load, tmp_path):
    """A student's weights and a reference, two tasks with draws of their own in one load each."""
    settings, items = vllm_job.suite()
    for weights in (None, vllm_job.other_weights()):
        tables = [
            answer.answer(
                items,
                {**settings, "suite": {**settings["suite"], "engine": name}},
                tmp_path / f"{name}{weights is None}",
                weights,
            )[0]
            for name in ("transformers", "vllm")
        ]
        assert tables[0] == tables[1]
        scores = [judge.verify_answers(table, items, settings["tasks"]) for table in tables]
        assert scores[0] == scores[1] and scores[0]


@pytest.mark.vllm
def test_a_kill_loses_what_is_at_work(by_transformers, tmp_path):
    name = vllm_job.TEACHERS[1.5]
    saved = []
    for _ in range(2):
        process = vllm_job.start(name, tmp_path, shard=10)
        for line in process.stdout:
            if line.startswith("responses: ") and " rows/s" in line:
                os.kill(process.pid, signal.SIGKILL)
                break
        process.wait()
        saved.append(len(list((tmp_path / "work").glob("*.parquet"))))
    assert 0 < saved[0] < saved[1]
    process = vllm_job.start(name, tmp_path, shard=33)
    out = process.communicate()[0]
    assert process.returncode == 0 and "rows are there from an earlier run" in out, out[-3000:]
    assert hashlib.sha256((tmp_path / "responses.parquet").read_bytes()).hexdigest() == by_transformers[name]


@pytest.mark.vllm
@pytest.mark.parametrize("how", ["shared by two", "two copies"])
def test_the_same_bytes_by_two_processes(by_transformers, tmp_path, how):
    name = vllm_job.TEACHERS[2]
    process = vllm_job.start(name, tmp_path, **({"shared": 2} if how == "shared by two" else {"copies": 2}))
    out = process.communicate()[0]
    assert process.returncode == 0, out[-3000:]
    assert hashlib.sha256((tmp_path / "responses.parquet").read_bytes()).hexdigest() == by_transformers[name]


@pytest.mark.vllm
def test_nan_and_what_vllm_refuses_are_told(tmp_path):
    """In processes of their own: what is wrong must reach the log of the job."""
    for what, said in (("nan", "its logits became NaN"), ("heads", "vLLM cannot run it: .*must be divisible")):
        done = subprocess.run(
            [sys.executable, vllm_job.__file__, what, str(tmp_path / what)],
            capture_output=True,
            text=True,
            env=vllm_job.ENV,
        )
        assert done.returncode == 1
        assert vllm_job.matches(f"BadInput: .*{said}", done.stderr), done.stderr[-3000:]


@pytest.mark.vllm
def test_as_fast_as_its_own_loop(tmp_path, capsys):
    """Tokens a CPU-second, against LLM.generate on the same prompts in the same process; the start is told, too."""
    done = subprocess.run(
        [sys.executable, vllm_job.__file__, "speed", str(tmp_path)], capture_output=True, text=True, env=vllm_job.ENV
    )
    assert done.returncode == 0, done.stderr[-3000:]
    with capsys.disabled():
        print("\ntokens a CPU-second, seconds until loaded:", done.stdout[done.stdout.index("SPEED") + 6 :].strip())
    found = dict(part.split("=") for part in done.stdout.split("SPEED ")[1].split())
    assert float(found["greedy"]) >= 0.95 * float(found["own"])


@pytest.mark.vllm
def test_a_grid_by_it_from_teacher_to_report(tmp_path, monkeypatch):
    """Teachers, students, references and a judge through Snakemake; what only costs runs nothing again."""
    demo = small_demo(tmp_path / "demo")
    name = TEACHERS[0]

    def choose(config):
        config["teachers"] = {name: {**config["teachers"][name], "engine": "vllm"}}
        config["suites"]["miniworld"] |= {"engine": "vllm", "judges": ["asked"]}
        model = config["references"]["bs-instruct"]["model"]
        config["judges"] = {
            "asked": {
                "protocol": "pairwise",
                "model": model,
                "engine": "vllm",
                "max_tokens": 8,
                "baseline": "bs-instruct",
            }
        }

    demo.edit(choose)
    demo.run("-j1")
    assert (demo.folder / "results/grids/teachers/report.html").stat().st_size > 10_000
    # it was asked in both orders, and said what it says under the other engine
    monkeypatch.chdir(demo.folder)
    student = f"bs__pool__{name}__sft__s1"
    said = f"results/verdicts/{student}/miniworld/asked.parquet"
    settings = canonical.load(origin.read(said)["spec"])
    settings["judge"] |= {"engine": "transformers", "batch": 8, "shard": 64}
    sides = [
        artifacts.read(f"results/answers/{one}/miniworld.parquet", artifacts.ANSWERS)
        for one in (student, "bs-instruct")
    ]
    items = items_of.load_tasks(settings["tasks"], ["workflow/miniworld/data/test.jsonl"])
    other = asking.ask(cases.cases(*sides, items, "pairwise"), settings, tmp_path / "work", tmp_path, "ask")
    rows = artifacts.read(said, artifacts.VERDICTS)
    assert {*rows["order"].to_pylist()} == {"model first", "model second"} and rows.num_rows >= 40
    assert rows.equals(other)

    def costs(config):
        config["teachers"][name] |= {"shard": 5, "batch": 3}
        config["suites"]["miniworld"] |= {"shard": 6}
        config["models"][config["teachers"][name]["model"]] |= {"tensor_parallel": 2, "attention": "eager"}

    demo.edit(costs)
    assert demo.jobs() <= {"report teachers"}
