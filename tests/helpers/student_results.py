"""Results with one student, made by hand: its weights, its description, and the origins and terms behind it."""

import json
from pathlib import Path

from safetensors.numpy import save_file
from teachergrid.cost import weight_files
from teachergrid.spec import canonical
from teachergrid.store import artifacts, origin

COMMIT, DATA = "a" * 40, "d" * 40
STUDENT = "b__set__t__sft__s1"
SPEC = canonical.dump(
    base={}, model={"repo": "org/base", "revision": COMMIT}, recipe={"learning_rate": 1e-4, "lora": {"r": 8}}, seed=1
)
TERMS = {"base_licence": "MIT", "teacher_licence": "Own-1.0", "output_terms": "not for competing models"}


def make(folder: Path, terms: dict | None = TERMS, teacher: dict | None = None, spec: str = SPEC) -> Path:
    """Write results into a folder, and return that of the student. terms: of the lineage; None: no summary was made."""
    results = folder / "results"
    made = {"id": "q", "sample": 0, "response": "a", "finish_reason": "stop"}
    asked = {"id": "q", "messages": [{"role": "user", "content": "hi"}], "source": "s", "round": 0}
    teacher = teacher or {"model": {"repo": str(folder / "models/t"), "revision": None}, "teacher": {}}
    of_teacher = {
        "spec": canonical.dump(**teacher),
        "inputs": {},
        "rule": "generate",
        "folders": {str(folder / "models/t"): "sha256:t"},
    }
    of_set = {
        "spec": canonical.dump(instructions={"source": "hub:org/data", "revision": DATA}),
        "inputs": {},
        "rule": "load_instructions",
    }
    artifacts.write(results / "responses/set__t.parquet", [made], artifacts.RESPONSES, of_teacher)
    artifacts.write(results / "instructions/set.parquet", [asked], artifacts.INSTRUCTIONS, of_set, beside=True)
    student = results / "students" / STUDENT
    weights(student / "weights")
    inputs = {"results/responses/set__t.parquet": "sha256:r", "results/instructions/set.parquet": "sha256:i"}
    names = {"student": STUDENT, "base": "b", "corpus": "set__t", "recipe": "sft", "seed": 1}
    facts = {"examples": 12_000, "steps": 30, "trained_tokens": 5_000, "notes": ["The loss grew."]}
    made_from = {"rule": "finetune", "spec": spec, "inputs": inputs, "folders": {}}
    description = {**names, **facts, **weight_files.described(student / "weights"), "origin": made_from}
    origin.replace_text(student / "student.json", json.dumps(description))
    if terms is not None:
        row = names | {"teacher": "t", **terms}
        artifacts.write(results / "grids/g/lineage.parquet", [row], artifacts.LINEAGE, {})
    return student


def evolve(folder: Path) -> None:
    """Let the set of the results in a folder be one that a model rewrote: from `seed`, by the answers of `writer` to `set.asked`."""
    results = folder / "results"
    row = artifacts.read(results / "instructions/set.parquet", artifacts.INSTRUCTIONS).to_pylist()
    seed = origin.read(results / "instructions/set.parquet")
    names = {name: f"results/instructions/{name}.parquet" for name in ("seed", "set.asked", "set")}
    replies = "results/responses/set.asked__writer.parquet"
    read = {
        "seed": (seed["spec"], {}),
        "set.asked": (canonical.dump(made={}), {names["seed"]: "sha256:s"}),
        "set": (
            canonical.dump(made={}),
            {names["seed"]: "sha256:s", names["set.asked"]: "sha256:a", replies: "sha256:w"},
        ),
    }
    for name, (spec, inputs) in read.items():
        made_from = {"spec": spec, "inputs": inputs, "rule": "load_instructions"}
        artifacts.write(folder / names[name], row, artifacts.INSTRUCTIONS, made_from, beside=True)
    writer = canonical.dump(model={"repo": "org/writer", "revision": COMMIT}, teacher={})
    said = {"id": "q", "sample": 0, "response": "a", "finish_reason": "stop"}
    made_from = {"spec": writer, "inputs": {}, "rule": "generate", "folders": {}}
    artifacts.write(folder / replies, [said], artifacts.RESPONSES, made_from)


def weights(folder: Path) -> None:
    """Write a whole model and its adapter, as a training with LoRA leaves them."""
    import numpy as np

    (folder / "adapter").mkdir(parents=True)
    for name in (
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
    ):
        (folder / name).write_text("{}")
    save_file({"w": np.zeros(4, "float32")}, folder / "model.safetensors")
    save_file({"a": np.ones(2, "float32")}, folder / "adapter/adapter_model.safetensors")
    (folder / "adapter/adapter_config.json").write_text(
        json.dumps({"base_model_name_or_path": "/home/me/base", "r": 8})
    )
    (folder / "adapter/README.md").write_text("PEFT's own")
