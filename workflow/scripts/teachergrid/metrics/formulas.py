"""The formulas of metrics: numbers about a corpus that may predict how good its student will be.

Nearly all are means over responses and functions of such means, written in the language of `expressions`: the text that is
printed is what is computed. A new one is one row here, or `expression` in the config, and schedules no GPU job. Some take the
whole text of a corpus (`diversity`); those without either need the whole grid (`analysis.baselines`).

With s(A|Q) and s(A) the losses of the answer given the question and alone, s(Q) that of the question, all in nats per token
under the untuned base, and r the reward:

    CAR     mean r / (1 + beta mean s(A|Q))   Xu et al. 2025, "Stronger Models are NOT Stronger Teachers" (arXiv 2411.07133)
    IFD     s(A|Q) / s(A)                     Li et al. 2024, "Cherry LLM" (arXiv 2308.12032)
    IC-IFD  s(A|Q) / (s(Q) s(A))              Hui et al. 2024, equation 2 (arXiv 2412.11231)
    LARK    L / sum L (2 B / L - sum B / sum L)   arXiv 2605.30651, score_lark.py; L = s(A|Q), B its Brier score, sums over the
                                              responses to the same question in the corpus

Not here, since no stage computes what they need: reverse IFD (log p of the question given the answer), LALP (passes over short
windows; their width is not stated), GRACE (a gradient per example), ASLEC (where the steps of an answer begin; its
regression is not stated). PerSyn, SCAS and SPPL are not stated completely.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from . import diversity


class Formula(NamedTuple):
    """What a formula is, where it comes from, and how it is computed.

    `text` describes it and names its source. `published` is the (text format, end token) in which its paper computes it; None
    where that makes no difference to the name. `expression` is over the columns of `expressions.COLUMNS`, which say which
    files it joins. A response is left out where a loss in `divides_by` is nearly 0. `text_function` maps diversity.Texts
    to a number.
    """

    text: str
    unit: str
    best: str = "highest"  # which values promise a better student
    expression: str | None = None
    divides_by: tuple[str, ...] = ()
    text_function: Callable | None = None
    published: tuple[str | None, bool] | None = None


_NATS = "nats per token"
_CAR = "CAR (Xu et al. 2025, arXiv 2411.07133), the mean reward over 1 + beta times the untuned base's loss;"
_IFD = "(Li et al. 2024, arXiv 2308.12032)"
_SUPER = "(Li et al. 2024, Superfiltering)"
_IC = "(Hui et al. 2024, equation 2)"
_LI = "(Li et al. 2016); falls with the size of a corpus"
_RSR = "(arXiv 2601.14249)"
_LI_FORM = (None, False)  # any template, no end token
_HUI_FORM = ("plain", False)
FORMULAS = {
    "reward_mean": Formula("mean reward", "reward", "highest", "mean(reward)"),
    "reward_median": Formula("median reward", "reward", "highest", "median(reward)"),
    "reward_share": Formula("share of rewards above `threshold`", "share", "highest", "mean(reward > threshold)"),
    "car_mean": Formula(
        f"{_CAR} loss: mean over responses of their token means",
        "reward",
        "highest",
        "positive(mean(reward)) / (1 + beta * mean(loss))",
    ),
    "car_pooled": Formula(
        f"{_CAR} loss: over all tokens of the corpus",
        "reward",
        "highest",
        "positive(mean(reward)) / (1 + beta * mean(given) / mean(tokens))",
    ),
    "car_sum": Formula(
        f"{_CAR} loss as printed: mean over responses of their sums over tokens",
        "reward",
        "highest",
        "positive(mean(reward)) / (1 + beta * mean(given))",
    ),
    "car_each": Formula(
        f"{_CAR} of each response, then their mean; undefined with any reward below 0",
        "reward",
        "highest",
        "mean(positive(reward) / (1 + beta * loss))",
    ),
    "nll_mean": Formula(
        f"loss of the answer, mean over responses; surprisal of RSR {_RSR}", _NATS, "lowest", "mean(loss)"
    ),
    "nll_question": Formula("loss of the question, mean over responses", _NATS, "lowest", "mean(question)"),
    "grape": Formula(
        "mean log-probability of a token (GRAPE, arXiv 2502.04194), mean over responses; of a single response what GRAPE "
        "chooses by",
        _NATS,
        "highest",
        "mean(-loss)",
    ),
    "ppl": Formula(
        "perplexity over all tokens of the corpus; with `scorer`, under another model",
        "perplexity",
        "lowest",
        "exp(mean(given) / mean(tokens))",
    ),
    "ppl_mean": Formula("mean over responses of their perplexities", "perplexity", "lowest", "mean(exp(loss))"),
    "ifd_loss": Formula(
        f"IFD in losses {_IFD}", "ratio", "highest", "mean(loss / alone)", ("alone",), published=_LI_FORM
    ),
    "ifd_ppl": Formula(
        f"IFD in perplexities {_SUPER}", "ratio", "highest", "mean(exp(loss - alone))", ("alone",), published=_LI_FORM
    ),
    "ic_ifd_loss": Formula(
        f"IC-IFD in losses {_IC}",
        "1 / nats",
        "highest",
        "mean(loss / alone / question)",
        ("alone", "question"),
        published=_HUI_FORM,
    ),
    "ic_ifd_ppl": Formula(
        "IC-IFD in perplexities, as the same paper's prose says",
        "ratio",
        "highest",
        "mean(exp(loss - alone - question))",
        ("alone", "question"),
        published=_HUI_FORM,
    ),
    "ic_ifd_reverse_loss": Formula(
        "IFD times the question's loss, as one commit of IC-IFD's code ranks (its direction is not stated)",
        "nats",
        "highest",
        "mean(loss * question / alone)",
        ("alone",),
    ),
    "ic_ifd_reverse_ppl": Formula(
        "the same in perplexities", "perplexity", "highest", "mean(exp(loss + question - alone))", ("alone",)
    ),
    "ifd_power": Formula(
        "log of IFD over the question's loss to the `power` (lambda): 0 ranks as IFD, 1 as IC-IFD, -1 as its reverse; mean "
        "of logs over responses",
        "log ratio",
        "highest",
        "mean(log(loss)) - mean(log(alone)) - power * mean(log(question))",
        ("loss", "alone", "question"),
    ),
    "rsr": Formula(
        f"rank-surprisal ratio {_RSR} as its code has it: mean over responses of their average ranks (capped at 100) over "
        "mean of their average surprisals",
        "ranks per nat",
        "lowest",
        "mean(rank) / mean(loss)",
    ),
    "rank_mean": Formula(
        f"average rank of the response's tokens {_RSR}, capped at 100, mean over responses",
        "rank",
        "lowest",
        "mean(rank)",
    ),
    "lark": Formula(
        "LARK (arXiv 2605.30651, as its code has it): with a response's loss L and Brier score B, (L / sum L) (2 B / L - sum B / sum L), "
        "sums over the responses to the same instruction; B / L where there is one. Here over the whole vocabulary, there over the "
        "50 likeliest tokens; mean over responses",
        "1 / nats",
        "highest",
        "mean(lark)",
        ("loss",),
    ),
    "brier": Formula(
        "Brier score of a token, 1 - 2 p + the sum of squared probabilities of all tokens; mean over the response's tokens, then over "
        "responses",
        "score",
        "lowest",
        "mean(brier)",
    ),
    "entropy": Formula(
        "entropy of the next token's distribution, mean over the response's tokens, then over responses",
        _NATS,
        "lowest",
        "mean(entropy)",
    ),
    "top": Formula(
        "probability of the likeliest next token (Hui et al. 2024, arXiv 2412.11231, of an evolver's own outputs), mean over the "
        "response's tokens, then over responses",
        "probability",
        "lowest",
        "mean(top)",
    ),
    "sure": Formula(
        "share of the response's tokens where the likeliest next token has a probability above 0.99, mean over responses",
        "share",
        "lowest",
        "mean(sure)",
    ),
    "length": Formula(
        "length of the whole response in the scorer's tokens (estimated where likelihood.max_length cut it); without likelihoods "
        "in the teacher's, else in words",
        "tokens",
        "highest",
        "mean(length)",
    ),
    "length_question": Formula(
        "length of the question in the scorer's tokens, as its format writes it; a baseline of selections by IC-IFD",
        "tokens",
        "highest",
        "mean(asked)",
    ),
    "distinct_1": Formula(f"distinct over all words {_LI}", "share", text_function=partial(diversity.distinct, n=1)),
    "distinct_2": Formula(
        f"distinct over all pairs of adjacent words {_LI}", "share", text_function=partial(diversity.distinct, n=2)
    ),
    "distinct_3": Formula(f"the same of three words {_LI}", "share", text_function=partial(diversity.distinct, n=3)),
    "distinct_4": Formula(f"the same of four words {_LI}", "share", text_function=partial(diversity.distinct, n=4)),
    "self_similarity": Formula(
        "mean cosine over all pairs of responses of their counts of adjacent word pairs, hashed; needs no model",
        "cosine",
        "lowest",
        text_function=diversity.self_similarity,
    ),
    "embedding_similarity": Formula(
        "mean cosine over all pairs of responses of their embeddings, by the encoder of a `reward` with `similarity`. Of a "
        "derived corpus to first order, from how alike all responses of its teachers are",
        "cosine",
        "lowest",
        "mean(reward)",
    ),
    "compression": Formula(
        "bytes after zlib (level 1) over bytes before; low is repetitive", "share", text_function=diversity.compression
    ),
    "size": Formula("the teacher's parameters", "billions"),
    "own_score": Formula(
        "the teacher's own benchmark score: `score` of its entry, or where no teacher states one the AP of the reference "
        "that is its model",
        "points",
    ),
    "borrowed": Formula("mean AP of the other bases' students of the same unit", "points"),
    "random": Formula(
        "a random number for each unit, from the grid's seed: what no metric must fall behind", "uniform"
    ),
}
