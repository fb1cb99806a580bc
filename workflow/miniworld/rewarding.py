"""The reward model: a sequence classifier trained on right and wrong answers, and how good it is.

Its loss is Bradley-Terry on pairs plus cross-entropy, so that sigmoid(score) is a probability of being right at even
odds. Most pairs share the prompt, because only those teach to read the answer instead of how hard the prompt is.
"""

import random
from collections import defaultdict

import numpy as np
import torch
import torch.nn.functional as F
from corpora import GROUP
from tokenizer import encode
from training import batches_by_length, collate
from world import OPEN

PROMPTS = 8000
BATCH = 24  # pairs
SCORE_BATCH = 128


def reward_prompts(guard, n=PROMPTS) -> list:
    """The training items that the teachers answer for the reward model."""
    rng = random.Random(31)
    return [guard.draw(rng, tasks=OPEN) for _ in range(n)]


def _pairs(rng, samples):
    """Endless pairs of samples, a right against a wrong one: to the same prompt in 70 %, of any style."""
    right = [sample for sample in samples if sample[3]]
    wrong = [sample for sample in samples if not sample[3]]
    wrong_of = defaultdict(list)
    for sample in wrong:
        wrong_of[sample[0]].append(sample)
    while True:
        good = rng.choice(right)
        same = wrong_of[good[0]]
        yield good, rng.choice(same if same and rng.random() < 0.7 else wrong)


def pair_batches(rng, tokenizer, items, samples):
    """Endless batches of pairs ((prompt ids, right response ids), (prompt ids, wrong response ids)).

    `samples` holds (index of the item, style, response, whether it is right).
    """
    pairs = _pairs(rng, samples)
    while True:
        drawn = [next(pairs) for _ in range(BATCH * GROUP)]
        good, bad = (
            encode(tokenizer, [items[sample[0]] for sample in side], [sample[2] for sample in side])
            for side in zip(*drawn, strict=True)
        )
        lengths = [(g[0] + g[1], b[0] + b[1], g, b) for g, b in zip(good, bad, strict=True)]
        yield from ([pair[2:] for pair in batch] for batch in batches_by_length(rng, lengths, BATCH))


def _scores(model, pairs) -> torch.Tensor:
    ids, _, mask = collate(pairs)
    return model(input_ids=ids, attention_mask=mask).logits[:, 0]


def pair_loss(model, batch) -> torch.Tensor:
    """Bradley-Terry loss of the pairs plus cross-entropy of their 2 n answers, in nats."""
    n = len(batch)
    scores = _scores(model, [good for good, _ in batch] + [bad for _, bad in batch])
    right = torch.cat([torch.ones(n), torch.zeros(n)])
    return F.binary_cross_entropy_with_logits(scores, right) - F.logsigmoid(scores[:n] - scores[n:]).mean()


@torch.no_grad()
def rewards(model, tokenizer, items, responses) -> np.ndarray:
    """Raw scores (logits) of the reward model, one per response."""
    model.eval()
    pairs = encode(tokenizer, items, responses)
    scores = np.zeros(len(pairs))
    order = sorted(range(len(pairs)), key=lambda i: len(pairs[i][0]) + len(pairs[i][1]))
    for k in range(0, len(order), SCORE_BATCH):
        rows = order[k : k + SCORE_BATCH]
        scores[rows] = _scores(model, [pairs[i] for i in rows]).numpy()
    return scores


def auc(scores, right) -> float:
    """Probability that a right answer scores above a wrong one, ties count half."""
    scores, right = np.asarray(scores), np.asarray(right, dtype=bool)
    good, bad = scores[right][:, None], scores[~right]
    return float(((good > bad).mean() + (good >= bad).mean()) / 2)


def quality(scores, right, easiness) -> dict[str, float]:
    """How well scores tell right answers from wrong ones.

    `scores` and `right` are (teachers, items); `easiness` (items) is the success rate of an item's task and level,
    which never sees the answer: its AUC is what a reward reaches by knowing difficulty alone. Only the accuracy within
    a prompt, a right answer above a wrong one to the same instruction, shows that the answer was read.
    """
    won = [won for s, ok in zip(scores.T, right.T, strict=True) for won in (s[ok][:, None] > s[~ok]).ravel()]
    return {
        "same_prompt_accuracy": float(np.mean(won)),
        "same_prompt_pairs": len(won),
        "auc": auc(scores.ravel(), right.ravel()),
        "difficulty_only_auc": auc(np.tile(easiness, len(scores)), right.ravel()),
    }
