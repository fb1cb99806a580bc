"""config/paper_car.yaml says what the paper says, and plans where there is no model, GPU or network."""

import json

import pytest
import yaml
from offline_plan import first_plan
from teachergrid import errors
from teachergrid.grid import cells, config
from teachergrid.hub import needs, pins
from workspace import ROOT

PATH = ROOT / "config/paper_car.yaml"
PHI_3_SMALL = "microsoft/Phi-3-small-128k-instruct"


@pytest.fixture
def raw(monkeypatch) -> dict:
    monkeypatch.chdir(ROOT)
    return yaml.safe_load(PATH.read_text())


@pytest.fixture
def paper(raw, tmp_path, monkeypatch) -> dict:
    # whatever has been pinned in this checkout
    monkeypatch.setattr(pins, "LOCK", tmp_path / "none.lock")
    return config.checked(raw)


def test_models_of_the_paper(paper):
    block = paper["grids"]["teachers"]
    repos = {paper["models"][paper["teachers"][name]["model"]]["repo"] for name in block["teachers"]}
    sizes = {"Qwen/Qwen2": "1.5B 7B 72B", "Qwen/Qwen2.5": "3B 7B 14B 32B 72B"}
    sizes |= {"meta-llama/Meta-Llama-3": "8B 70B", "meta-llama/Meta-Llama-3.1": "8B 70B"}
    expected = {f"{family}-{size}-Instruct" for family, all_of in sizes.items() for size in all_of.split()}
    expected |= {f"google/gemma-2-{size}-it" for size in ("2b", "9b", "27b")}
    expected |= {f"microsoft/Phi-3-{size}-128k-instruct" for size in ("mini", "small", "medium")}
    expected |= {"meta-llama/Meta-Llama-3.1-405B-Instruct-FP8"}
    assert repos == expected and len(block["teachers"]) == 19
    bases = {paper["models"][paper["bases"][name]["model"]]["repo"] for name in block["bases"]}
    assert bases == {
        "Qwen/Qwen2-1.5B",
        "google/gemma-2-2b",
        "Qwen/Qwen2.5-3B",
        "meta-llama/Llama-3.2-3B",
        "nvidia/Llama-3.1-Minitron-4B-Width-Base",
    }
    assert paper["teachers"]["gpt-4"]["engine"] == "existing"
    for model in paper["models"].values():
        assert model["parameters"] and model["licence"], model["repo"]
        # weights in 16 bits (fp8: 8) fit into the GPUs' 80 GB, with a tenth to spare
        assert model["parameters"] * (1 if "FP8" in model["repo"] else 2) < 72 * model["gpus"], model["repo"]


def test_recipe_of_table_5(paper):
    recipe = paper["recipes"]["paper"]
    assert recipe["per_device_train_batch_size"] * recipe["gradient_accumulation_steps"] == 32
    stated = {"learning_rate": 2e-5, "num_train_epochs": 2, "lr_scheduler_type": "cosine", "warmup_steps": 100}
    stated |= {"max_length": 4096, "gpus": 4, "lora": None}
    assert stated.items() <= recipe.items()
    for name in paper["grids"]["teachers"]["teachers"]:
        sampling = paper["teachers"][name]["sampling"]
        assert (sampling["temperature"], sampling["max_tokens"], sampling["samples"]) == (0, 4096, 1)
    assert paper["instructions"]["magpie-100k"]["sample"] == 100_000


def test_every_base_has_references_and_an_own_vendor_version(paper):
    for base in paper["bases"]:
        roles = {r["role"]: r for r in paper["references"].values() if r["base"] == base}
        assert set(roles) == {"untuned", "instruct"}
        assert roles["untuned"]["template"] == paper["bases"][base]["template"], "asked as its students are"
        vendor = paper["models"][roles["instruct"]["model"]]
        assert vendor["parent"] == paper["bases"][base]["model"]


def test_cells(paper):
    rows = cells.Cells(paper).rows
    count = {rule: len(rows[rule]) for rule in ("generate", "reward", "likelihood", "finetune", "metric", "correlate")}
    # the block of Table 2 shares its cells
    assert count == {
        "generate": 19,
        "reward": 19 * 3,
        "likelihood": 19 * 6,  # five bases and GPT-2
        "finetune": 19 * 5,
        "metric": 19 * 5,
        "correlate": 2,
    }
    assert len(rows["answer"]) == (19 * 5 + 11) * 2
    assert set(rows["load_instructions"]) == {"magpie-100k", "alpaca-eval", "arena-hard"}
    assert rows["answer"]["opponent/alpaca-eval"]["rows"] == 805
    assert json.loads(rows["finetune"]["gemma-2-2b__magpie-100k__gemma-2-9b-it__paper__s1"]["spec"])["model"] == {
        "repo": "google/gemma-2-2b"
    }


def test_all_of_it_comes_from_the_hub(paper):
    names = pins.unpinned(paper)
    assert len(names) == 30 + 3 and "Magpie-Align/Magpie-100K-Generator-Zoo" in names
    jobs = {row["spec"] for rows in cells.Cells(paper).rows.values() for row in rows.values()}
    wanted, folders = needs.needs(jobs)
    assert not folders and {need.repo for need in wanted} == set(names) - {PHI_3_SMALL}
    assert [need.file for need in wanted if need.file] == ["data/arena-hard-v0.1/question.jsonl", "alpaca_eval.json"]


def test_phi_3_small_comes_by_import_only(paper):
    """Its code runs with no current library: its column is made from published responses, and no job loads it."""
    rows = cells.Cells(paper).rows
    row = rows["generate"]["magpie-100k__phi-3-small"]
    spec = json.loads(row["spec"])
    assert spec["teacher"]["source"] == paper["instructions"]["magpie-100k"]["source"], "they answer its instructions"
    assert row["gpus"] == 0 and row["rows"] == 100_000
    wanted, _ = needs.needs({row["spec"]})
    assert [(need.kind, need.repo) for need in wanted] == [("dataset", "Magpie-Align/Magpie-100K-Generator-Zoo")]


def test_gpt_4_is_missed_by_name_once_a_grid_names_it(raw, tmp_path):
    raw["grids"]["gpt-4"]["teachers"].append("gpt-4")
    with pytest.raises(
        errors.BadInput, match=r"config\.teachers\.gpt-4\.source: there is no file 'config/imports/gpt-4\.jsonl'"
    ):
        config.checked(raw)
    raw["teachers"]["gpt-4"]["source"] = str(tmp_path / "gpt-4.jsonl")
    (tmp_path / "gpt-4.jsonl").write_text('{"instruction": "a", "response": "b"}\n')
    rows = cells.Cells(config.checked(raw)).rows
    assert rows["generate"]["magpie-100k__gpt-4"]["files"] == [raw["teachers"]["gpt-4"]["source"]]
    assert "llama-3.1-minitron-4b__magpie-100k__gpt-4__paper__s1" in rows["finetune"]


TALKS = {
    "chatml": "<|im_start|>user\n hi <|im_end|>\n<|im_start|>assistant\nyes<|im_end|>\n<|im_start|>user\nwhy?<|im_end|>\n"
    "<|im_start|>assistant\n",
    "gemma": "<bos><start_of_turn>user\nhi<end_of_turn>\n<start_of_turn>model\nyes<end_of_turn>\n<start_of_turn>user\nwhy?"
    "<end_of_turn>\n<start_of_turn>model\n",
    "llama3": "<bos><|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    "yes<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nwhy?<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
}


@pytest.mark.parametrize("name", TALKS)
def test_templates(name):
    """Rendered as transformers does: with its sandbox and its options on white space."""
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(text):
        raise jinja2.TemplateError(text)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = refuse
    template = environment.from_string((ROOT / f"config/templates/{name}.jinja").read_text())
    turns = [("user", " hi "), ("assistant", "yes"), ("user", "why?")]
    messages = [{"role": role, "content": content} for role, content in turns]
    assert template.render(messages=messages, bos_token="<bos>", add_generation_prompt=True) == TALKS[name]
    opening = TALKS[name].rpartition("why?")[0]
    said = template.render(messages=messages[:2], bos_token="<bos>", add_generation_prompt=False)
    assert opening.startswith(said), "a conversation begins as its beginning does"
    system = [{"role": "system", "content": "be kind"}, messages[0]]
    if name == "gemma":
        with pytest.raises(jinja2.TemplateError, match="no system role"):
            template.render(messages=system, bos_token="<bos>")
    else:
        assert "system" in template.render(messages=system, bos_token="<bos>")


@pytest.mark.slow
@pytest.mark.parametrize("profile", [[], ["--workflow-profile", "profiles/slurm"]], ids=["default", "slurm"])
def test_plans_without_models_gpu_and_network(tmp_path, profile):
    gpus = first_plan(tmp_path, PATH, *profile)
    assert len(gpus) > 800 and gpus["generate magpie-100k__llama-3.1-405b-instruct"] == 8
    assert gpus["finetune gemma-2-2b__magpie-100k__gemma-2-9b-it__paper__s1"] == 4
