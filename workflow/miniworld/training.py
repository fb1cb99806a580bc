"""One training loop for all models: a fixed number of steps, Muon on the matrices, AdamW on the rest.

A batch is a list of (prompt ids, response ids); a stream of batches is an endless iterator.
"""

import random

import torch
import torch.nn.functional as F

WARM_UP = 30  # steps
FINAL_RATE = 0.03  # share of the learning rate at the end


def optimisers(model, rate: float, decay: float) -> list[torch.optim.Optimizer]:
    """Return Muon with five times the rate on the matrices inside the layers, AdamW on embeddings, head and norms."""
    outer = ("embed", "head", "score")
    named = list(model.named_parameters())
    matrices = [p for name, p in named if p.ndim == 2 and not any(word in name for word in outer)]
    inner = {id(p) for p in matrices}
    rest = [p for _, p in named if id(p) not in inner]
    return [
        torch.optim.Muon(matrices, lr=5 * rate, momentum=0.95, weight_decay=decay),
        torch.optim.AdamW(rest, lr=rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def collate(pairs, prompt_weight=0.0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return right-padded ids, loss weights and attention mask, each (batch, longest pair)."""
    width = max(len(prompt) + len(response) for prompt, response in pairs)
    ids = torch.zeros(len(pairs), width, dtype=torch.long)
    weights = torch.zeros(len(pairs), width)
    mask = torch.zeros(len(pairs), width, dtype=torch.long)
    for row, (prompt, response) in enumerate(pairs):
        end = len(prompt) + len(response)
        ids[row, :end] = torch.tensor(prompt + response)
        weights[row, : len(prompt)] = prompt_weight
        weights[row, len(prompt) : end] = 1.0
        mask[row, :end] = 1
    return ids, weights, mask


def batches_by_length(rng: random.Random, pairs, batch: int) -> list[list]:
    """Return batches of pairs of similar lengths, to save padding, in random order."""
    pairs = sorted(pairs, key=lambda pair: len(pair[0]) + len(pair[1]))
    batches = [pairs[k : k + batch] for k in range(0, len(pairs), batch)]
    rng.shuffle(batches)
    return batches


def language_loss(prompt_weight: float):
    """Return the loss function of a batch: weighted mean of the tokens' negative log-likelihoods, in nats."""

    def loss(model, batch):
        ids, weights, _ = collate(batch, prompt_weight)
        logits = model(input_ids=ids).logits[:, :-1]
        nll = F.cross_entropy(logits.reshape(-1, logits.size(-1)), ids[:, 1:].reshape(-1), reduction="none")
        weights = weights[:, 1:].reshape(-1)
        return (nll * weights).sum() / weights.sum()

    return loss


def train(model, stream, steps: int, rate: float, loss, flat=0.2, decay=0.1, report=None) -> list[float]:
    """Train in place and return the loss of every step.

    The rate warms up, stays flat for the share `flat` of the steps and falls linearly. `report(loss)` is called after
    every step.
    """
    optimizers = optimisers(model, rate, decay)
    groups = [(group, group["lr"]) for optimizer in optimizers for group in optimizer.param_groups]
    model.train()
    losses = []
    for step in range(steps):
        warm = min(1, (step + 1) / WARM_UP)
        fall = min(1, max(FINAL_RATE, (1 - step / steps) / (1 - flat)))
        for group, highest in groups:
            group["lr"] = highest * warm * fall
        value = loss(model, next(stream))
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        losses.append(value.item())
        if report:
            report(losses[-1])
    return losses
