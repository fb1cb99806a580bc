"""Answers of a model to items, and how many of them are right."""

import random

import torch
from statements import RESULT, statement
from tokenizer import chat
from world import verify

# How an instruction is put to a model; None is the chat template. Bases know all three from closed tasks, the trunk from all.
LAYOUTS = {"chat": None, "question": "Question: {}\n", "problem": "Problem: {}\nSolution:\n"}
MAX_NEW_TOKENS = 80
BATCH = 128


@torch.no_grad()
def generate(model, tokenizer, prompts: list[str], temperature=0.0) -> list[str]:
    """Return greedy (temperature 0) or sampled continuations of prompts; prompts go in order of length, padded on the left."""
    model.eval()
    sampling = {"do_sample": True, "temperature": temperature, "top_k": 0} if temperature else {"do_sample": False}
    texts = [""] * len(prompts)
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    for k in range(0, len(order), BATCH):
        rows = order[k : k + BATCH]
        inputs = tokenizer(
            [prompts[i] for i in rows],
            return_tensors="pt",
            padding=True,
            add_special_tokens=False,
            return_token_type_ids=False,
        )
        ids = model.generate(**inputs, max_new_tokens=MAX_NEW_TOKENS, **sampling)
        responses = tokenizer.batch_decode(ids[:, inputs["input_ids"].size(1) :], skip_special_tokens=True)
        for i, response in zip(rows, responses, strict=True):
            texts[i] = response.strip()
    return texts


def answers(model, tokenizer, items, layout="chat", temperature=0.0) -> list[str]:
    """Return the model's responses to the items."""
    template = LAYOUTS[layout]
    prompts = [template.format(item.instruction) if template else chat(tokenizer, item.instruction) for item in items]
    return generate(model, tokenizer, prompts, temperature)


def verdicts(items, responses) -> list[bool]:
    """Return for each item whether its response is right."""
    return [verify(item.answer, response) for item, response in zip(items, responses, strict=True)]


def accuracy(model, tokenizer, items, layout="chat") -> float:
    """Return the share of right greedy answers."""
    right = verdicts(items, answers(model, tokenizer, items, layout))
    return sum(right) / len(right)


def stated_accuracy(model, tokenizer, items) -> float:
    """Return how often a model ends a statement about the item's result rightly: what a base knows of the operations."""
    rng = random.Random(0)
    halves = [statement(rng, item, worked=False) for item in items]
    ends = generate(model, tokenizer, [subject + RESULT for subject, _ in halves])
    right = [rest == f"{RESULT} {end}" for (_, rest), end in zip(halves, ends, strict=True)]
    return sum(right) / len(right)
