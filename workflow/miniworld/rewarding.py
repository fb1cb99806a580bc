"""The reward model: a sequence classifier trained on right and wrong answers, and how good it is.

Its loss is Bradley-Terry on pairs plus cross-entropy, so that sigmoid(score) is a probability of being right at even
odds. It is trained in two phases: on pairs of any answers, then on pairs that share prompt and style, so that neither
difficulty nor style separates right from wrong.
"""

import random
from collections import defaultdict

import numpy as np
import torch
import torch.nn.functional as F
from corpora import GROUP
from tokenizer import encode
from training import batches_by_length, collate
from world import OPEN, STYLES, corrupt, respond

PROMPTS = 8000
BATCH = 24  # pairs
SCORE_BATCH = 128


def reward_prompts(guard, n=PROMPTS) -> list:
    """Return the training items that the teachers answer for the reward model."""
    rng = random.Random(31)
    return [guard.draw(rng, tasks=OPEN) for _ in range(n)]


def _any_pairs(rng, guard, items, samples):
    """Yield a right answer and a wrong one, in 70 % to the same prompt, in any style."""
    right = [sample for sample in samples if sample[3]]
    wrong = [sample for sample in samples if not sample[3]]
    wrong_of = defaultdict(list)
    for sample in wrong:
        wrong_of[sample[0]].append(sample)
    while True:
        good = rng.choice(right)
        wrong_same_prompt = wrong_of[good[0]]
        bad = rng.choice(wrong_same_prompt if wrong_same_prompt and rng.random() < 0.7 else wrong)
        yield (items[good[0]], good[2]), (items[bad[0]], bad[2])


def _same_pairs(rng, guard, items, samples):
    """Yield a right and a wrong answer to one prompt in one style; half of the wrong ones are sampled, half are corruptions."""
    wrong = [sample for sample in samples if not sample[3]]
    right_of = defaultdict(list)
    for k, style, text, right in samples:
        if right:
            right_of[k, style].append(text)
    while True:
        if rng.random() < 0.5:
            k, style, text, _ = rng.choice(wrong)
            item = items[k]
            yield (item, rng.choice(right_of[k, style] or [respond(rng, item, style)])), (item, text)
        else:
            item, style = guard.draw(rng, tasks=OPEN), rng.choice(STYLES)
            yield (item, respond(rng, item, style)), (item, respond(rng, item, style, corrupt(rng, item)))


PAIRS = {"any": _any_pairs, "same": _same_pairs}


def pair_batches(rng, guard, tokenizer, items, samples, kind: str):
    """Yield endless batches of pairs ((prompt ids, right response ids), (prompt ids, wrong response ids)).

    `samples` holds (index of the item, style, response, whether it is right).
    """
    pairs = PAIRS[kind](rng, guard, items, samples)
    while True:
        drawn = [next(pairs) for _ in range(BATCH * GROUP)]
        good, bad = (encode(tokenizer, *zip(*side, strict=True)) for side in zip(*drawn, strict=True))
        lengths = [(g[0] + g[1], b[0] + b[1], g, b) for g, b in zip(good, bad, strict=True)]
        yield from ([pair[2:] for pair in batch] for batch in batches_by_length(rng, lengths, BATCH))


def _scores(model, pairs) -> torch.Tensor:
    ids, _, mask = collate(pairs)
    return model(input_ids=ids, attention_mask=mask).logits[:, 0]


def pair_loss(model, batch) -> torch.Tensor:
    """Return the Bradley-Terry loss of the pairs plus cross-entropy of their 2 n answers, in nats."""
    n = len(batch)
    scores = _scores(model, [good for good, _ in batch] + [bad for _, bad in batch])
    right = torch.cat([torch.ones(n), torch.zeros(n)])
    return F.binary_cross_entropy_with_logits(scores, right) - F.logsigmoid(scores[:n] - scores[n:]).mean()


@torch.no_grad()
def rewards(model, tokenizer, items, responses) -> np.ndarray:
    """Return raw scores (logits) of the reward model, one per response."""
    model.eval()
    pairs = encode(tokenizer, items, responses)
    scores = np.zeros(len(pairs))
    order = sorted(range(len(pairs)), key=lambda i: len(pairs[i][0]) + len(pairs[i][1]))
    for k in range(0, len(order), SCORE_BATCH):
        rows = order[k : k + SCORE_BATCH]
        scores[rows] = _scores(model, [pairs[i] for i in rows]).numpy()
    return scores


def auc(scores, right) -> float:
    """Return the probability that a right answer scores above a wrong one; ties count half."""
    scores, right = np.asarray(scores), np.asarray(right, dtype=bool)
    good, bad = scores[right][:, None], scores[~right]
    return float(((good > bad).mean() + (good >= bad).mean()) / 2)


def quality(scores, right, easiness, styles) -> dict[str, float]:
    """Return how well scores separate right from wrong answers.

    `scores` and `right` are (teachers, items), `styles` (teachers); `easiness` (items) is the success rate of an item's
    task and level. It does not depend on the answer, so its AUC is what difficulty alone explains. Pairs within a prompt
    exclude difficulty, but preferring the style that is more often right also wins them (`style_only_accuracy`); only pairs
    of one prompt and one style show whether a model reads the answer.
    """
    style = np.array([[float(style == "steps")] for style in styles])
    within = [_pair_points(scores[style[:, 0] == value], right[style[:, 0] == value]) for value in (0.0, 1.0)]
    over_all = _pair_points(scores, right)
    return {
        "same_prompt_accuracy": float(np.mean(over_all)),
        "same_prompt_pairs": len(over_all),
        "same_style_accuracy": float(np.mean([*within[0], *within[1]])),
        "same_style_pairs": len(within[0]) + len(within[1]),
        "style_only_accuracy": float(np.mean(_pair_points(np.repeat(style, scores.shape[1], axis=1), right))),
        "auc": auc(scores.ravel(), right.ravel()),
        "difficulty_only_auc": auc(np.tile(easiness, len(scores)), right.ravel()),
    }


def _pair_points(scores, right) -> list[float]:
    """Return for each pair of a right and a wrong answer to one item: 1 if the right one scores higher, a half if equal, else 0."""
    points = []
    for s, ok in zip(scores.T, right.T, strict=True):
        good, bad = s[ok][:, None], s[~ok]
        points += (((good > bad) * 1.0 + (good >= bad)) / 2).ravel().tolist()
    return points
