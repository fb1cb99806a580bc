"""The columns of the parquet tables between the rules; `artifacts` reads and writes them.

Units: rewards are raw scores, log-probabilities are natural (nats), counts are tokens, scores lie in 0..1, performance in
0..100. A value that is undefined is null and `reason` says why; it is never 0.
"""

import pyarrow as pa

_MESSAGE = pa.struct([("role", pa.string()), ("content", pa.string())])
_MEASURE = pa.struct([("measure", pa.string()), ("value", pa.float64())])
_KEY = [("id", pa.string()), ("sample", pa.int32())]


def _schema(*fields: tuple[str, pa.DataType], optional: str = "") -> pa.Schema:
    """Return a schema. optional: names of the columns that may be null."""
    may_be_null = set(optional.split())
    return pa.schema([pa.field(name, kind, nullable=name in may_be_null) for name, kind in fields])


# one row per instruction; id = hash of the messages
INSTRUCTIONS = _schema(
    ("id", pa.string()),
    ("messages", pa.list_(_MESSAGE)),
    ("answer", pa.string()),  # reference answer, where a verifier can check it
    ("source", pa.string()),
    ("category", pa.string()),
    ("parent_id", pa.string()),  # the instruction this one was evolved from
    ("operator", pa.string()),
    ("round", pa.int32()),
    optional="answer category parent_id operator",
)
# one row per instruction that a model was asked to rewrite: what it became, or why it was left out
EVOLVED = _schema(
    ("id", pa.string()),  # null: left out
    ("parent_id", pa.string()),
    ("root", pa.string()),  # id in the set that the evolution began with
    ("round", pa.int32()),
    ("operator", pa.string()),
    ("reason", pa.string()),
    ("text", pa.string()),  # what the model wrote
    optional="id operator reason",
)
# one row per instruction x benchmark task that share text (see data.contamination)
CONTAMINATION = _schema(
    ("instructions", pa.string()),
    ("id", pa.string()),
    ("task", pa.string()),
    ("item", pa.string()),  # id of the benchmark's prompt
    ("how", pa.string()),  # equal, overlap or near
    ("similarity", pa.float64()),  # of near ones
    ("removed", pa.bool_()),  # whether it was removed from the instruction set
    ("instruction", pa.string()),
    ("prompt", pa.string()),
    optional="similarity",
)
# finish reasons of responses that end too early: by max_tokens, or since an endpoint kept the rest to itself; they get no end token
CUT_OFF = ("length", "content_filter")
# one row per instruction x sample; a row group is a shard
RESPONSES = _schema(
    *_KEY,
    ("response", pa.string()),
    # stop, length, content_filter, prompt_too_long, prompt_refused; unknown: from elsewhere
    ("finish_reason", pa.string()),
    ("prompt_tokens", pa.int32()),
    ("response_tokens", pa.int32()),
    ("seed", pa.int64()),
    optional="prompt_tokens response_tokens seed",
)
# one row per check of a teacher's responses
HEALTH = _schema(
    ("check", pa.string()),
    ("count", pa.int64()),
    ("n", pa.int64()),
    ("share", pa.float64()),
    ("example_id", pa.string()),
    ("example", pa.string()),
    optional="example_id example",
)
# one row per response
REWARDS = _schema(*_KEY, ("reward", pa.float64()), ("reason", pa.string()), optional="reward reason")
# one row per response: log p(A given Q), log p(A) and log p(Q) as sums with their counts, end tokens apart
LIKELIHOODS = _schema(
    *_KEY,
    ("n_question", pa.int32()),
    ("n_answer", pa.int32()),  # tokens of the response text
    ("n_end", pa.int32()),  # end-of-turn tokens after it
    ("question", pa.float64()),  # sum of log p over the question's tokens
    ("answer_given_question", pa.float64()),
    ("end_given_question", pa.float64()),
    ("answer", pa.float64()),  # the same answer tokens after the bare header
    ("end", pa.float64()),
    ("truncated", pa.bool_()),
    ("token_logprobs", pa.list_(pa.float32())),  # answer given question, then its end tokens
    ("token_ranks", pa.list_(pa.int32())),  # 1 = most likely, capped
    ("reason", pa.string()),
    optional="n_question n_answer n_end question answer_given_question end_given_question answer end token_logprobs "
    "token_ranks reason",
)
# one row per response: what the scorer expected at each of its tokens, from the same pass as LIKELIHOODS; sums over the answer's
# tokens, and over its end tokens apart, given the question. p is the distribution of the next token
DISTRIBUTIONS = _schema(
    *_KEY,
    # of the tokens themselves; the sum of p squared; entropy in nats
    *[(f"{end}{name}", pa.float64()) for name in ("probability", "squares", "entropy") for end in ("", "end_")],
    # with `top`: the probability of the likeliest token, and how many tokens have one above scoring.logprobs.SURE
    *[(f"{end}{name}", pa.float64()) for name in ("top", "sure") for end in ("", "end_")],
    # of each token of the answer, then of its end tokens
    *[(f"token_{name}", pa.list_(pa.float32())) for name in ("squares", "entropies")],
    ("reason", pa.string()),
    optional="probability end_probability squares end_squares entropy end_entropy top end_top sure end_sure token_squares "
    "token_entropies reason",
)
# one row per training example of a derived corpus
CORPUS = _schema(*_KEY, ("teacher", pa.string()), ("why", pa.string()))
# the same as SFT reads it: `why` is in a file of its own (x.parquet.why), so that the same rows are the same bytes
CORPUS_ROWS = CORPUS.remove(CORPUS.get_field_index("why"))
# one row per logged training step
TRAINING_LOG = _schema(
    ("step", pa.int32()),
    *[(name, pa.float64()) for name in ("epoch", "loss", "learning_rate", "grad_norm")],
    optional="loss learning_rate grad_norm",
)
# one row per task x item x sample
ANSWERS = _schema(
    ("task", pa.string()),
    *_KEY,
    ("category", pa.string()),
    ("answer", pa.string()),
    ("finish_reason", pa.string()),
    ("prompt_tokens", pa.int32()),
    ("answer_tokens", pa.int32()),
    optional="category prompt_tokens answer_tokens",
)
# one row per task x item x sample; score is 1 for right or won, 0.5 for a tie
SCORES = _schema(
    ("task", pa.string()),
    *_KEY,
    ("category", pa.string()),
    ("score", pa.float64()),
    ("verdict", pa.string()),
    ("first", pa.float64()),  # pairwise: the score with the model's answer shown first ...
    ("second", pa.float64()),  # ... and shown second; a judge without an order gives the same
    ("raw", pa.list_(pa.string())),  # the judge's output
    ("cost", pa.float64()),  # USD
    ("reason", pa.string()),
    # further named values of the answer; their mean over samples, then items, is the figure of that name (evaluation.measures)
    ("measures", pa.list_(_MEASURE)),
    optional="category score verdict first second raw cost reason measures",
)
# what a metric is
_METRIC = (
    ("metric", pa.string()),  # full name with its variant: car_mean/verify/chat/beta=1
    ("variant_of", pa.string()),  # the name shared with metrics of other format, end token and parameter value
    ("entry", pa.string()),  # its name in the config
    # true: the variant that the entry states; false: one with another format, end token or parameter value
    ("own", pa.bool_()),
    ("value_unit", pa.string()),
    ("direction", pa.string()),  # which values promise a better student: highest or lowest
    ("scorer", pa.string()),
    ("format", pa.string()),
    ("end_token", pa.bool_()),  # whether end tokens count; null without likelihoods
    ("parameter", pa.string()),  # that its entry sweeps: beta, threshold or power
    ("parameter_value", pa.float64()),
)
METRIC_COLUMNS = tuple(name for name, _ in _METRIC)
_METRIC_OPTIONAL = "scorer format end_token parameter parameter_value "
# one row per metric of a corpus under a base, and per category of its instructions
METRICS = _schema(
    *_METRIC,
    ("description", pa.string()),  # of the formula, with its source
    ("formula", pa.string()),
    ("reward", pa.string()),
    ("beta", pa.float64()),  # the parameter again, in a column of its own
    ("threshold", pa.float64()),
    ("power", pa.float64()),
    ("category", pa.string()),  # null: all responses
    ("value", pa.float64()),
    ("low", pa.float64()),  # 95 % bootstrap interval over instructions
    ("high", pa.float64()),
    ("n", pa.int64()),  # responses that it is computed from
    ("missing", pa.int64()),  # responses left out since their value is undefined, see reason
    ("removed", pa.int64()),  # responses left out by the entry's `below`
    ("cut", pa.int64()),  # of n: responses of which the scorer read only the beginning; null without likelihoods
    ("reason", pa.string()),
    optional=_METRIC_OPTIONAL + "reward beta threshold power category value low high removed cut reason",
)
# one row per unit of a grid (base x corpus x recipe, or a reference) x measure
PERFORMANCE = _schema(
    ("kind", pa.string()),  # student or reference
    ("model", pa.string()),  # student id without its seed, or the reference's name
    *[(name, pa.string()) for name in ("base", "corpus", "instructions", "teacher", "recipe")],
    ("unit", pa.string()),  # the value of the grid's `compare` word
    ("panel", pa.string()),  # the cell's other parts, which are held fixed in a comparison
    ("measure", pa.string()),  # AP, suite/judge, suite/judge/task, suite/judge/task/category, suite/judge/task:measure
    ("value", pa.float64()),  # 0..100, mean over items and seeds
    ("low", pa.float64()),
    ("high", pa.float64()),
    ("n_items", pa.int64()),
    ("seeds", pa.list_(pa.int64())),
    ("by_seed", pa.list_(pa.float64())),
    # paired with the untuned base on the same items
    *[(name, pa.float64()) for name in ("gain", "gain_low", "gain_high", "p_gain")],
    # paired distance to the best unit of this base; 0 for the best
    *[(name, pa.float64()) for name in ("behind_best", "behind_low", "behind_high")],
    ("p_best", pa.float64()),  # probability that it is truly the best, given the noise of items and of several seeds
    ("tied_with_best", pa.bool_()),
    ("self_pair", pa.bool_()),  # the teacher descends from this very base
    ("reason", pa.string()),  # why value is null
    ("least", pa.float64()),  # where so many items have no score that value is null: between these it lies
    ("most", pa.float64()),
    ("p_gain_holm", pa.float64()),  # p_gain, adjusted over the units of the panel (Holm); of a reference p_gain
    ("p_behind", pa.float64()),  # of the distance to the best unit, adjusted over units (Holm)
    ("se_drawn", pa.float64()),  # standard error by drawing answers, in points; null with one answer an item
    optional="base corpus instructions teacher recipe unit panel value low high gain gain_low gain_high p_gain behind_best behind_low "
    "behind_high p_best tied_with_best reason least most p_gain_holm p_behind se_drawn",
)
# metrics of all cells of a grid, with the unit and panel of the performance that they should predict
GRID_METRICS = pa.schema(
    [pa.field("base", pa.string(), False), pa.field("corpus", pa.string(), False)]
    + [pa.field("unit", pa.string()), pa.field("panel", pa.string())]
    + list(METRICS)
)
_SPREAD = ("bonett_wright", "nested", "accuracy", "regret_1", "regret_3", "family", "of_families")
_ENDS = [(f"{end}_{name}", pa.float64()) for name in _SPREAD for end in ("low", "high")]
# one row per base (or "pooled") x panel x metric
CORRELATIONS = _schema(
    ("base", pa.string()),
    ("panel", pa.string()),
    *_METRIC,
    # primary, baseline, exploratory, or circular: it shares a reward with a judge behind performance
    ("role", pa.string()),
    ("n", pa.int64()),  # pooled: on the base that has the fewest
    # independent units that would tell as much; null where every unit is a family of its own
    ("n_effective", pa.float64()),
    ("rho", pa.float64()),  # Spearman
    ("low", pa.float64()),  # 95 % BCa bootstrap over units
    ("high", pa.float64()),
    ("tau_b", pa.float64()),
    ("p", pa.float64()),  # two-sided permutation
    ("p_max_t", pa.float64()),  # corrected for all metrics of the table
    ("p_family", pa.float64()),  # with families shuffled in place of units: members of a family are alike
    ("families", pa.int64()),  # how many families p_family is over; null where every unit is a family of its own
    ("pairwise_accuracy", pa.float64()),
    ("regret_1", pa.float64()),  # points of performance lost by taking the metric's first choice
    ("regret_3", pa.float64()),
    ("choice", pa.string()),  # the metric's first choice
    ("ceiling", pa.float64()),  # rho that a perfect metric can expect, given the noise of performance
    # rho by Bonett and Wright; rho (nested), pairwise accuracy, regret over units, items and seeds; rho without one family;
    # rho with whole families redrawn
    *_ENDS,
    ("family", pa.string()),  # the one without which rho moves most
    ("reason", pa.string()),
    optional=_METRIC_OPTIONAL
    + "n_effective rho low high tau_b p p_max_t p_family families pairwise_accuracy regret_1 regret_3 choice ceiling family reason "
    + " ".join(name for name, _ in _ENDS),
)
# one row per base (or "pooled") x panel x statement about the teachers that needs no metric. effect is one of: step (performance
# with a larger teacher minus that with its next smaller sibling, points); rises (share of steps above 0); self_pair, own_family
# (how much better, in standard deviations of a base, teachers that descend from the base, or others of its family, are there than
# on the other bases); detectable (smallest difference from the best unit that is found with a power of 80 %, points). low, high: 95 % interval over items
# and seeds. p_holm: corrected over the steps of a base. n: items, steps or cells.
# With `subject` and `other` (decisions.contrasts, components, across): metric_rho, metric_rho_families, metric_regret (those
# of metric `subject` minus those of `other`; intervals over teachers, families, items); partial (rho of `subject` at equal `other`);
# variance (of AP, points squared: teacher, family, base x teacher, seed, items); after (`other` once the grid has `subject`);
# equivalent (AP of `subject` minus that of the best, `other`; interval 90 %); concordance (Kendall's W of `subject` over bases);
# interaction (share of AP's variance that is base x teacher); one_for_all (regret of taking `subject` on all bases; `other`: by which
# mean it is best); own (regret of taking the best seen of each base); combination, picked_metric (rho on families left out)
EFFECTS = _schema(
    *[(name, pa.string()) for name in ("base", "panel", "effect", "family", "smaller", "larger", "subject", "other")],
    *[(name, pa.float64()) for name in ("value", "low", "high", "p", "p_holm")],
    ("n", pa.int64()),
    ("reason", pa.string()),  # why value is null
    optional="family smaller larger subject other value low high p p_holm reason",
)
# what every student was trained from, and under which terms its training data may be used
LINEAGE = _schema(
    *[(name, pa.string()) for name in ("student", "base", "base_licence", "corpus", "teacher", "teacher_licence")],
    *[(name, pa.string()) for name in ("output_terms", "recipe")],
    # trained_tokens: that carry loss, over all epochs
    *[(name, pa.int64()) for name in ("seed", "steps", "examples", "trained_tokens")],
    ("weights", pa.string()),  # sha256
    ("notes", pa.string()),  # what was odd about its training, as sentences
    optional="base_licence teacher_licence output_terms steps examples trained_tokens weights notes",
)
# what a language model as a judge said: one row per task x item x sample x order in which it was shown the answers. It holds what was
# paid for and nothing that was concluded from it, so that another way to read replies asks nobody again
VERDICTS = _schema(
    ("task", pa.string()),
    *_KEY,
    ("order", pa.string()),  # model first, model second, or alone: without an opponent
    ("text", pa.string()),
    ("finish_reason", pa.string()),
    # the likeliest first tokens
    ("logprobs", pa.list_(pa.struct([("token", pa.string()), ("logprob", pa.float64())]))),
    ("prompt_tokens", pa.int32()),
    ("response_tokens", pa.int32()),
    ("cost", pa.float64()),  # USD; null: unknown, or no price
    optional="logprobs prompt_tokens response_tokens cost",
)
