"""Checks of the config's grid blocks: the names in them, their pilots, and the cells of `include` and `exclude`."""

from pathlib import Path

from ..engines.engine import ENGINES
from ..errors import BadInput
from ..evaluation import judge_prompts
from ..evaluation.protocols import PROTOCOLS
from ..hub import pins
from ..metrics.variants import Metric
from ..spec import schema
from ..spec.ids import Corpus, pilot_subset
from ..spec.seeds import derived_seed
from ..spec.spelling import known
from ..tasks import checkers
from .config_data import most_rows, require_file

VERIFY = "verify"  # the judge that checks answers
# keys of a block that list names of the config's entries
NAMED = ("instructions", "teachers", "corpora", "bases", "recipes", "suites", "metrics")
# {what is ranked: the key that lists it}
UNITS = {"teacher": "teachers", "instructions": "instructions", "recipe": "recipes"}
# without these no student can be trained and compared
TRAINING = ("recipes", "seeds", "suites", "performance")


def judges_of(config: dict, suite: str) -> list[str]:
    """Return the judges of a suite, `verify` first where a task has a checker."""
    tasks = [config["tasks"][task] for task in config["suites"][suite]["tasks"]]
    return [VERIFY] * any(task["checker"] is not None for task in tasks) + config["suites"][suite]["judges"]


# keys of a judge whose model the job loads
OF_LOADED = ("template", "template_args", "refused_prompts", "batch", "shard")
# keys that belong to each kind of judge, beside `baseline`; the first says that it is of this kind
JUDGES = {
    "reward": ("reward", "tie"),
    "model": ("model", "protocol", "order", "prompt", "prompt_version", "max_tokens", "engine", *OF_LOADED),
    "of": ("of", "control", "gamed", "gamed_revision"),
    "loss": ("loss",),
}
# AlpacaEval's own file for the control of length
GAMED, GAMED_REVISION = "hub:tatsu-lab/alpaca_eval/df_gamed.csv", "2edc6fad8be6b14ea7230aabfd08188da6b8b814"


def check_judges(config: dict) -> None:
    """Raise BadInput for a judge that contradicts itself or names something that the config does not have, and for such a suite."""
    if VERIFY in config["judges"]:
        raise BadInput(f"config.judges.{VERIFY}: this name is reserved for the checkers of tasks; rename it")
    defaults = schema.filled({}, schema.definition("judge"), outside_too=True)
    for name, judge in config["judges"].items():
        where = f"config.judges.{name}"
        kinds = [kind for kind in JUDGES if judge[kind] is not None]
        if len(kinds) != 1:
            raise BadInput(
                f"{where}: state one of 'reward', 'model' (with 'protocol'), 'of' (with 'control') and 'loss'"
            )
        own = JUDGES[kinds[0]]
        other = next((k for keys in JUDGES.values() for k in keys if k not in own and judge[k] != defaults[k]), None)
        if other:
            raise BadInput(f"{where}.{other}: a judge with '{kinds[0]}' does not read it; remove it")
        check = {"reward": _judge_by_reward, "model": _judge_by_model, "of": _derived_judge, "loss": _judge_by_loss}
        check[kinds[0]](config, where, judge)
    for name, suite in config["suites"].items():
        for task in suite["tasks"]:
            known(f"config.suites.{name}.tasks", task, config["tasks"])
        for judge in suite["judges"]:
            known(f"config.suites.{name}.judges", judge, config["judges"])
            if config["judges"][judge]["loss"]:
                _refuse_columns(config, f"config.suites.{name}.judges", suite["tasks"])


def _judge_by_loss(_config: dict, where: str, judge: dict) -> None:
    if judge["baseline"] is not None:
        raise BadInput(f"{where}.baseline: a loss has no opponent; remove it")


def _refuse_columns(config: dict, where: str, tasks: list[str]) -> None:
    """Raise BadInput where the answer of a task is columns for its checker, and no text that a model could have written."""
    for task in tasks:
        if not isinstance(config["tasks"][task]["fields"]["answer"], str | None):
            raise BadInput(
                f"{where}: task '{task}' has columns as its `fields.answer`, of which there is no loss; take a suite whose tasks have texts"
            )


def _judge_by_reward(config: dict, where: str, judge: dict) -> None:
    known(f"{where}.reward", judge["reward"], config["rewards"])
    if config["rewards"][judge["reward"]]["similarity"]:
        raise BadInput(
            f"{where}.reward: '{judge['reward']}' compares responses with each other and cannot judge; name another reward"
        )
    if config["rewards"][judge["reward"]]["column"] is not None:
        raise BadInput(
            f"{where}.reward: '{judge['reward']}' reads published rewards, and answers have none; name another reward"
        )
    _opponent(config, where, judge)


def _opponent(config: dict, where: str, judge: dict) -> None:
    if judge["baseline"] is None:
        raise BadInput(f"{where}: needs the key 'baseline', the opponent")
    known(f"{where}.baseline", judge["baseline"], config["references"])


def _judge_by_model(config: dict, where: str, judge: dict) -> None:
    known(f"{where}.model", judge["model"], config["models"])
    defaults = schema.filled({}, schema.definition("judge"), outside_too=True)
    for key in OF_LOADED if ENGINES[judge["engine"]].by_endpoint else ():
        if judge[key] != defaults[key]:
            raise BadInput(f"{where}.{key}: engine '{judge['engine']}' does not read it; remove it")
    if judge["protocol"] is None:
        raise BadInput(f"{where}: needs the key 'protocol': how its model is asked for verdicts")
    protocol = PROTOCOLS[judge["protocol"]]
    if not protocol.alone:
        _opponent(config, where, judge)
    elif judge["baseline"] is not None:
        raise BadInput(f"{where}.baseline: protocol '{judge['protocol']}' judges answers alone; remove it")
    if judge["prompt"] == judge_prompts.OWN:
        if protocol.prompt(None) not in judge_prompts.OFFICIAL:
            raise BadInput(
                f"{where}.prompt: protocol '{judge['protocol']}' has no official prompt; leave it out, or name a file"
            )
    elif judge["prompt"] is not None:
        require_file(f"{where}.prompt", judge["prompt"])
        judge_prompts.check(f"{where}.prompt", _text(f"{where}.prompt", judge["prompt"]))
    elif judge["prompt_version"] not in (versions := judge_prompts.versions(protocol.prompt(None))):
        raise BadInput(f"{where}.prompt_version: its prompt has the versions {', '.join(map(str, versions))}")


def _text(where: str, path: str) -> str:
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{where}: '{path}' cannot be read as text ({error})") from error


def _derived_judge(config: dict, where: str, judge: dict) -> None:
    known(f"{where}.of", judge["of"], config["judges"])
    if judge["control"] is None:
        raise BadInput(f"{where}: needs the key 'control': what is held fixed")
    of = config["judges"][judge["of"]]
    if of["protocol"] is None or PROTOCOLS[of["protocol"]].alone:
        raise BadInput(f"{where}.of: '{judge['of']}' is no language model that compares two answers; name one that is")
    if judge["baseline"] is not None:
        raise BadInput(f"{where}.baseline: the opponent is that of '{judge['of']}'; remove it")
    if judge["control"] != "length" and judge["gamed"] is not None:
        raise BadInput(f"{where}.gamed: AlpacaEval's df_gamed.csv goes with 'control: length'; remove it")
    on_hub = judge["gamed"] is not None and judge["gamed"].startswith(pins.HUB)
    if on_hub and not pins.data_set(judge["gamed"])[1]:
        raise BadInput(f"{where}.gamed: name one file of the data set, as in hub:org/name/df_gamed.csv")
    if on_hub != (judge["gamed_revision"] is not None) or (on_hub and not pins.is_commit(judge["gamed_revision"])):
        raise BadInput(f"{where}.gamed_revision: a file on the hub, and no other, needs its commit of 40 hex digits")
    if judge["gamed"] is not None and not on_hub:
        require_file(f"{where}.gamed", judge["gamed"])


def name_gamed(config: dict) -> None:
    """Name AlpacaEval's own file where length is controlled and the config names none."""
    for judge in config["judges"].values():
        if judge["control"] == "length" and judge["gamed"] is None:
            judge |= {"gamed": GAMED, "gamed_revision": GAMED_REVISION}


def check(config: dict) -> None:
    """Raise BadInput for a block that contradicts itself or names something that the config does not have."""
    for name, block in config["grids"].items():
        _block(config, f"config.grids.{name}", block)
    for name, block in config["grids"].items():
        if block["pilot"]:
            _pilot(config, f"config.grids.{name}.pilot", block)


def _block(config: dict, where: str, block: dict) -> None:
    for key in (*NAMED, "references"):
        for name in block[key]:
            known(f"{where}.{key}", name, config[key])
    if block["primary"] is not None:
        known(f"{where}.primary", block["primary"], block["metrics"])
    missing = [key for key in TRAINING if not block[key]]
    if 0 < len(missing) < len(TRAINING):
        raise BadInput(
            f"{where}.{missing[0]}: is empty; students need {', '.join(TRAINING)} (leave all out to only measure)"
        )
    for text in block["performance"]:
        _primary(config, f"{where}.performance", text, block["suites"])
    for text in block["weights"]:
        known(f"{where}.weights", text, block["performance"])
    behind = list(dict.fromkeys(text.split("/")[1] for text in block["performance"]))
    for judge in block["primary_judges"]:
        known(f"{where}.primary_judges", judge, behind)
    _pairs(where, block)
    for key in ("include", "exclude"):
        for index, cell in enumerate(block[key]):
            _cell(config, f"{where}.{key}[{index}]", cell)


def _pairs(where: str, block: dict) -> None:
    ranked = [*block[UNITS[block["compare"]]], *block["corpora"]]
    for pair in block["pairs"]:
        for name in pair:
            known(f"{where}.pairs", name, ranked)
    if block["pairs"] and not block["recipes"]:
        raise BadInput(
            f"{where}.pairs: students are compared, and this grid trains none; remove the key, or state recipes"
        )


def _primary(config: dict, where: str, text: str, suites: list[str]) -> None:
    """Check the name of a primary score: suite/judge, suite/judge/task or suite/judge/task:measure."""
    suite, judge, *rest = text.split("/")
    known(where, suite, suites)
    known(f"{where} ({text})", judge, judges_of(config, suite))
    if not rest:
        return
    task, _, measure = rest[0].partition(":")
    known(f"{where} ({text})", task, config["suites"][suite]["tasks"])
    if measure and judge == VERIFY:
        measures = checkers.measures_of(config["tasks"][task]["checker"])
        if not measures:
            raise BadInput(
                f"{where} ({text}): the checker of task '{task}' has no measure beside its score; write {suite}/{judge}/{task}"
            )
        known(f"{where} ({text})", measure, measures)
    elif measure and config["judges"][judge]["loss"]:
        raise BadInput(
            f"{where} ({text}): it is in nats, and AP is a mean of shares; write {suite}/{judge}/{task}, the probability"
        )


def _cell(config: dict, where: str, cell: dict) -> None:
    kinds = {"base": "bases", "teacher": "teachers", "instructions": "instructions", "recipe": "recipes"}
    for key, kind in kinds.items():
        if key in cell:
            known(f"{where}.{key}", cell[key], config[kind])
    if "corpus" in cell:
        _corpus(config, f"{where}.corpus", cell["corpus"])


def _corpus(config: dict, where: str, text: str) -> None:
    try:
        responses, derived = Corpus.parse(text)
    except ValueError:
        raise BadInput(f"{where}: '{text}' is neither instructions__teacher nor a derived corpus") from None
    if responses:
        known(where, responses.instructions, config["instructions"])
        known(where, responses.teacher, config["teachers"])
    else:
        known(where, derived or "", config["corpora"])


# --- pilots


def _pilot(config: dict, where: str, block: dict) -> None:
    pilot = block["pilot"]
    if block["compare"] != "teacher" or not block["recipes"]:
        raise BadInput(
            f"{where}: a pilot chooses whose students are trained: it needs `compare: teacher` and recipes; remove it"
        )
    for metric in pilot["by"]:
        known(f"{where}.by", metric, config["metrics"])
    for metric in pilot["by"]:
        _ranks_teachers(f"{where}.by", metric, config["metrics"][metric])
    if pilot["keep"] >= len(block["teachers"]):
        raise BadInput(f"{where}.keep: {pilot['keep']} of {len(block['teachers'])} teachers drops none; lower it")
    for name in block["instructions"]:
        sample = config["instructions"][name]["sample"]
        if sample is not None and sample <= pilot["sample"]:
            raise BadInput(f"{where}.sample: config.instructions.{name} has only {sample} instructions; lower `sample`")
        if (rows := most_rows(config["instructions"][name])) < pilot["sample"]:
            raise BadInput(
                f"{where}.sample: {pilot['sample']} rows cannot be drawn from config.instructions.{name}, which has {rows}; "
                "lower it"
            )


def _ranks_teachers(where: str, name: str, metric: dict) -> None:
    """Raise BadInput unless a metric is a mean over responses, which the ranking of teachers needs."""
    expression = Metric(metric).expression
    if expression is None:
        raise BadInput(
            f"{where}: '{name}' ({metric['formula']}) has no value of a single response; rank by another metric"
        )
    if expression.medians:
        raise BadInput(f"{where}: '{name}' ({metric['formula']}) is not a mean over responses; rank by another metric")


def add_pilot_subsets(config: dict) -> None:
    """Add the instruction sets of each pilot: a smaller sample of each of the block's sets, drawn with the same seed.

    Raises BadInput where the config already has a different set of that name.
    """
    for block in config["grids"].values():
        for name in block["instructions"] if block["pilot"] else ():
            entry, sample = config["instructions"][name], block["pilot"]["sample"]
            seed = derived_seed(config["seed"], f"instructions/{name}") if entry["seed"] is None else entry["seed"]
            smaller, subset = {**entry, "sample": sample, "seed": seed}, pilot_subset(name, sample)
            if config["instructions"].setdefault(subset, smaller) != smaller:
                raise BadInput(f"config.instructions.{subset}: a pilot needs this name; rename it")
