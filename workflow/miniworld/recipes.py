"""How the models are made and measured, one function per kind of model."""

import json
import random

import numpy as np
import torch
from corpora import Guard, Mix, base_batches, rewriter_batches, teacher_batches
from hardening import OPERATORS, PROMPT, VERDICTS, verdict
from inference import LAYOUTS, accuracy, answers, generate, stated_accuracy, verdicts
from networks import load, new_model
from plan import RECIPES, REWARD_PHASES, TEACHERS
from problems import TASKS
from reading import read
from rewarding import pair_batches, pair_loss, quality, reward_prompts, rewards
from tokenizer import chat
from training import language_loss, train
from transformers import AutoModelForSequenceClassification
from world import CLOSED, POOL, TEST, distinct

# A base reads instructions of closed tasks only; the trunk reads those of all tasks, in chat format too.
MIXES = {
    "base": Mix(chat=0.15, open=0.0, closed=0.5, exercises=0.15, exercise_tasks=CLOSED),
    "trunk": Mix(chat=0.6, open=1.0, closed=0.0, exercises=0.92, exercise_tasks=tuple(TASKS)),
}
REWRITING_TEMPERATURE = 0.7  # that of the published evolvers
NOISY = ("concise-m", 1.5)  # teacher and temperature; the reward model is judged on these answers too


def make_model(recipe, places, tokenizer, scale=1.0, report=None):
    """Train one model by its recipe; returns (model in float32, loss of every step, guard of its training items)."""
    make = {"base": _pretrain, "trunk": _pretrain, "teacher": _teach, "rewriter": _rewriter, "reward": _reward}[
        recipe.kind
    ]
    guard = Guard()
    model, losses = make(recipe, places, tokenizer, guard, scale, report)
    return model, losses, guard


def scaled(steps: int, scale: float) -> int:
    return max(1, round(scale * steps))


def _pretrain(recipe, places, tokenizer, guard, scale, report):
    model = new_model(recipe.size)
    stream = base_batches(random.Random(5), guard, tokenizer, MIXES[recipe.kind])
    loss = language_loss(prompt_weight=0.1)
    return model, train(model, stream, scaled(recipe.steps, scale), 3e-3, loss, flat=0.3, report=report)


def _teach(recipe, places, tokenizer, guard, scale, report):
    model = load(places.model(recipe.parent))
    seed = sum(map(ord, recipe.name))
    stream = teacher_batches(random.Random(seed), guard, tokenizer, recipe.style)
    loss = language_loss(prompt_weight=0.0)
    return model, train(model, stream, scaled(recipe.steps, scale), 2e-3, loss, report=report)


def _rewriter(recipe, places, tokenizer, guard, scale, report):
    model = load(places.model(recipe.parent)) if recipe.parent else new_model(recipe.size)
    stream = rewriter_batches(random.Random(11), guard, tokenizer)
    rate, flat = (2e-3, 0.2) if recipe.parent else (3e-3, 0.3)
    loss = language_loss(prompt_weight=0.1)
    return model, train(model, stream, scaled(recipe.steps, scale), rate, loss, flat=flat, report=report)


def _reward(recipe, places, tokenizer, guard, scale, report):
    items = reward_prompts(guard)
    samples = load_samples(places, tokenizer, items)
    torch.manual_seed(0)  # for the new classification head
    model = load(places.model(recipe.parent), AutoModelForSequenceClassification, num_labels=1)
    losses = []
    for kind, steps in REWARD_PHASES:
        stream = pair_batches(random.Random(9), guard, tokenizer, items, samples, kind)
        losses += train(model, stream, scaled(steps, scale), 1e-3, pair_loss, decay=0.05, report=report)
    return model, losses


def sample_teacher(name: str, places, tokenizer, items) -> list[str]:
    """Return a teacher's sampled answers (temperature 1) to the reward model's prompts, and save them for that model."""
    torch.manual_seed(1)
    texts = answers(load(places.model(name)), tokenizer, items, temperature=1.0)
    places.samples(name).write_text(json.dumps(texts))
    return texts


def load_samples(places, tokenizer, items) -> list[tuple[int, str, str, bool]]:
    """Return (index of the item, style, response, whether it is right) of all teachers' sampled answers."""
    samples = []
    for name in sorted(TEACHERS):
        path = places.samples(name)
        texts = json.loads(path.read_text()) if path.exists() else sample_teacher(name, places, tokenizer, items)
        right = verdicts(items, texts)
        samples += [(k, RECIPES[name].style, texts[k], right[k]) for k in range(len(items))]
    return samples


def measure(recipe, places, tokenizer) -> dict[str, float]:
    """Return a saved model's greedy accuracy on tests and pool; for the reward model its quality on the pool."""
    if recipe.kind == "reward":
        return _measure_reward_model(places, tokenizer)
    if recipe.kind == "rewriter":
        return _measure_rewriter(recipe, places, tokenizer)
    model = load(places.model(recipe.name))
    layouts = ("chat",) if recipe.kind == "teacher" else LAYOUTS
    accuracies = {f"test_{layout}": accuracy(model, tokenizer, distinct(*TEST), layout) for layout in layouts}
    if recipe.kind == "base":
        accuracies["test_stated"] = stated_accuracy(model, tokenizer, distinct(*TEST))
    return accuracies | {"pool_chat": accuracy(model, tokenizer, distinct(*POOL))}


def _measure_rewriter(recipe, places, tokenizer) -> dict[str, float]:
    """Return the shares of verdicts on what it writes to the pool, each problem with the next operator."""
    torch.manual_seed(0)
    parents = [read(item.instruction) for item in distinct(*POOL)]
    prompts = [
        chat(tokenizer, PROMPT.format(duty=[*OPERATORS.values()][place % len(OPERATORS)], instruction=parent.text))
        for place, parent in enumerate(parents)
    ]
    texts = generate(load(places.model(recipe.name)), tokenizer, prompts, REWRITING_TEMPERATURE)
    found = [verdict(parent, text) for parent, text in zip(parents, texts, strict=True)]
    return {name.replace(" ", "_"): found.count(name) / len(found) for name in VERDICTS}


def _measure_reward_model(places, tokenizer) -> dict[str, float]:
    pool, items = distinct(*POOL), reward_prompts(Guard())
    model = load(places.model("rm"), AutoModelForSequenceClassification)
    scores, right = [], []
    answerers = [(name, 0.0) for name in TEACHERS] + [NOISY]
    for name, temperature in answerers:
        torch.manual_seed(0)
        responses = answers(load(places.model(name)), tokenizer, pool, temperature=temperature)
        scores.append(rewards(model, tokenizer, pool, responses))
        right.append(verdicts(pool, responses))
    easiness = _easiness(pool, items, load_samples(places, tokenizer, items))
    return quality(np.array(scores), np.array(right), easiness, [RECIPES[name].style for name, _ in answerers])


def _easiness(pool, items, samples) -> list[float]:
    """Return the success rate of the teachers' samples at each pool item's task and level."""
    rates = {}
    for k, _, _, right in samples:
        rates.setdefault((items[k].task, items[k].level), []).append(right)
    return [float(np.mean(rates[item.task, item.level])) for item in pool]
