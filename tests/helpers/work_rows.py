"""Rows of planned jobs, as the table of cells has them: generation, SFT and likelihoods by a model of some size."""

from teachergrid.cost import machines
from teachergrid.spec import canonical

HERE = machines.read()
MODEL = {"repo": "org/none"}


def generation(billions, gpus=1, model=MODEL, engine="transformers", **row) -> dict:
    text = canonical.dump(model=model, teacher={"engine": engine, "sampling": {"max_tokens": 4096}})
    return {"spec": text, "parameters": billions, "gpus": gpus, "nodes": 1, "rows": 100_000, **row}


def sft(billions, gpus=1, **recipe) -> dict:
    text = canonical.dump(model=MODEL, recipe=recipe)
    return {"spec": text, "parameters": billions, "gpus": gpus, "nodes": 1, "deepspeed": None, "rows": 100_000}


def likelihood(billions=7.0, rows=1_000, **settings) -> dict:
    text = canonical.dump(model=MODEL, likelihood=settings)
    return {"spec": text, "parameters": billions, "gpus": 1, "nodes": 1, "rows": rows}
