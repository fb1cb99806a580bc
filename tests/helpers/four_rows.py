"""A corpus of four responses with rewards and likelihoods that one can compute by hand, for tests of metrics."""

import math
import zlib

from tables import LIKELIHOOD, distributions, entry, likelihoods, responses, rewards
from teachergrid.metrics.join import join
from teachergrid.metrics.measure import measure
from teachergrid.metrics.variants import Metric
from teachergrid.store import artifacts, inputs

TEXT = {("i1", 0): "a b c", ("i2", 0): "a b a b", ("i3", 0): "c", ("i4", 0): "x y z"}
REWARD = {("i1", 0): 1.0, ("i2", 0): 0.5, ("i3", 0): 0.5, ("i4", 0): 0.0}
# with the end token s(A|Q) = 1, 2, 0.5, 0.5, s(A) = 2, 1, 2, 1 and s(Q) = 2, 1, 4, 1
CHAT = {
    ("i1", 0): (4, 3, 1, -8, -3, -1, -6, -2),
    ("i2", 0): (2, 4, 1, -2, -8, -2, -4, -1),
    ("i3", 0): (5, 1, 1, -20, -0.5, -0.5, -1, -3),
    ("i4", 0): (1, 9, 1, -1, -2, -3, -9, -1),
}
# without end tokens, s(A|Q) = 2, 2, 2, 4
PLAIN = {
    ("i1", 0): (4, 3, 0, -8, -6, 0, -6, 0),
    ("i2", 0): (2, 4, 0, -2, -8, 0, -4, 0),
    ("i3", 0): (5, 1, 0, -20, -2, 0, -1, 0),
    ("i4", 0): (1, 9, 0, -1, -36, 0, -9, 0),
}
# of each token of the response, then of the end token: means 2, 2, 50.5 (of 1 and 300, capped at 100) and 1
RANKS = {("i1", 0): [1, 1, 2, 4], ("i2", 0): [1, 1, 1, 1, 6], ("i3", 0): [1, 300], ("i4", 0): [1] * 10}
# sums of p, p squared, entropies, top-1 probabilities and tokens above 0.99, end tokens apart: with them B = 0.5, 1, 0.25, 0.3, entropies
# of 1, 2, 0.5, 0.5 a token, top-1 probabilities of 0.75, 0.5, 0.75, 0.9, and shares of 0.5, 0, 1, 0.5
SURE = {
    ("i1", 0): (1.5, 0.5, 1.5, 0.5, 3, 1, 2.5, 0.5, 2, 0),
    ("i2", 0): (0.5, 0.5, 1.5, 0.5, 8, 2, 2, 0.5, 0, 0),
    ("i3", 0): (0.75, 0.75, 0.75, 0.75, 0.5, 0.5, 0.75, 0.75, 1, 1),
    ("i4", 0): (5.5, 0.5, 4.5, 0.5, 4, 1, 8.5, 0.5, 4, 1),
}
NOT_ASKED = dict.fromkeys(CHAT, "format not asked for")

# the value of each formula, computed by hand
BY_HAND = {
    "reward_mean": 0.5,
    "embedding_similarity": 0.5,
    "reward_median": 0.5,
    "reward_share": 0.25,  # above 0.5
    "car_pooled": 0.5 / (1 + 20 / 21),
    "car_each": (1 / 2 + 0.5 / 3 + 0.5 / 1.5 + 0) / 4,
    "nll_question": 2.0,
    "grape": -1.0,
    "ppl_mean": (math.exp(1) + math.exp(2) + 2 * math.exp(0.5)) / 4,
    "ic_ifd_reverse_loss": (1 + 2 + 1 + 0.5) / 4,
    "ic_ifd_reverse_ppl": (math.exp(1) + math.exp(2) + math.exp(2.5) + math.exp(0.5)) / 4,
    "ifd_power": math.log(0.25 * 2 * 0.0625 * 0.5) / 4,  # with a power of 1
    "rsr": (2 + 2 + 50.5 + 1) / (1 + 2 + 0.5 + 0.5),
    "rank_mean": 55.5 / 4,
    "distinct_1": 6 / 11,
    "distinct_3": 1.0,  # abc, aba bab, none, xyz
    "distinct_4": 1.0,  # abab
    "self_similarity": 2 / math.sqrt(2 * 5) / 3,  # (ab bc) and (2 ab, ba) share one of three pairs of responses
    "car_mean": 0.5 / (1 + 1),
    "car_sum": 0.5 / (1 + (4 + 10 + 1 + 5) / 4),
    "nll_mean": 1.0,
    "ppl": math.exp(20 / 21),
    "ifd_loss": (0.5 + 2 + 0.25 + 0.5) / 4,
    "ifd_ppl": (math.exp(-1) + math.exp(1) + math.exp(-1.5) + math.exp(-0.5)) / 4,
    "ic_ifd_loss": (0.25 + 2 + 0.0625 + 0.5) / 4,
    "ic_ifd_ppl": (math.exp(-3) + math.exp(0) + math.exp(-5.5) + math.exp(-1.5)) / 4,
    "lark": (0.5 + 0.5 + 0.5 + 0.6) / 4,  # B / L, since each instruction has one response
    "brier": (0.5 + 1 + 0.25 + 0.3) / 4,
    "entropy": (1 + 2 + 0.5 + 0.5) / 4,
    "top": (0.75 + 0.5 + 0.75 + 0.9) / 4,
    "sure": (0.5 + 0 + 1 + 0.5) / 4,
    "length": 4.25,
    "length_question": 3.0,
    "distinct_2": 5 / 7,  # ab bc, ab ba ab, none, xy yz
    "compression": len(zlib.compress(b"a b c\na b a b\nc\nx y z\n", 1)) / 22,
}
# an entry of each formula
ALL = {name: entry(name, reward="rm", threshold=[0.5]) for name in BY_HAND}


def with_ranks(chat=CHAT, ranks=RANKS):
    return {key: dict(zip(LIKELIHOOD, row, strict=True)) | {"token_ranks": ranks.get(key)} for key, row in chat.items()}


def four(text=TEXT, reward=REWARD, chat=CHAT, plain=NOT_ASKED, sure=None, ranks=True, instructions=(), **settings):
    # of another corpus: those of the instruction, or of the first
    sure = sure or {key: SURE.get((key[0], 0), SURE["i1", 0]) for key in chat}
    tables = {
        ("self", "chat"): {"t": likelihoods(chat)},
        ("self", "plain"): {"t": likelihoods(plain)},
        ("self", f"{inputs.DISTRIBUTIONS}chat"): {"t": distributions(sure)},
    }
    rows = join({"t": responses(text)}, {"rm": {"t": rewards(reward)}}, tables, ranks=ranks, **settings)
    return rows.with_categories(instructions)


def measured(entries, rows=None, **settings):
    """{full name: row}, after the check that the rows are what the artifact may hold."""
    rows = measure(entries, rows or four(), seed=0, **settings)
    artifacts.table(rows, artifacts.METRICS)
    return {row["metric"]: row for row in rows}


def value(formula, rows=None, **settings):
    chosen = entry(formula, **settings)
    return measured({"m": chosen}, rows)[Metric(chosen).name].get("value")
