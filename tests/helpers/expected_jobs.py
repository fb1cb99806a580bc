"""Changes of the small grid's config, and the jobs that each must run: no more and no fewer."""

from workspace import jobs

ALL_REPORTS = jobs("{correlate,report} {teachers,instructions}")
REPORT = jobs("{correlate,report} teachers")


def exams(*models: str, suites: str = "{math,chat}") -> set[str]:
    """Every answer of these models, and all that scores it."""
    found = jobs(*(f"{{answer,verify}} {model}/{suites}" for model in models))
    return found | (jobs(*(f"judge {model}/chat/wins" for model in models)) if "chat" in suites else set())


def column(teacher: str, bases: str = "{q,w}") -> set[str]:
    """Everything that depends on one teacher's responses to the first instruction set."""
    responses = f"seed__{teacher}"
    return jobs(
        f"{{generate,check,gate}} {responses}",
        f"likelihood {bases}/{responses}",
        f"reward rm/{responses}",
        f"metric {bases}/{responses}",
        f"finetune {bases}__{responses}__sft__s1",
    ) | exams(f"{bases}__{responses}__sft__s1")


BEST = jobs("select best/{q,w}", "finetune {q,w}__best__sft__s1", "metric {q,w}/best") | exams("{q,w}__best__sft__s1")


def add_teacher(config):
    # the grid says `teachers: all`, so this is one place
    config["teachers"]["new"] = {"model": {"repo": "org/new", "revision": "9"}, "sampling": {"temperature": 1}}


def add_base(config):
    config["bases"]["z"] = {"model": {"repo": "org/z", "revision": "9"}, "template": "own"}
    config["grids"]["teachers"]["bases"].append("z")


def add_instructions(config):
    config["instructions"]["more"] = {"source": "config/evolved.jsonl"}
    config["grids"]["instructions"]["instructions"].append("more")


def add_metric(config):
    """A formula on text, one on ranks of tokens, and an expression: what they join lies there already."""
    config["metrics"]["diversity"] = {"formula": "distinct_2"}
    config["metrics"]["rsr"] = {"formula": "rsr"}
    config["metrics"]["mine"] = {"expression": "reward_median - 0.1 * ppl_mean", "best": "highest", "reward": "rm"}


def add_stripped(config):
    config["teachers"]["new"] = {"engine": "stripped", "of": "large"}


def add_mix(config):
    ratios = {"small": 1, "large": 3}
    config["corpora"]["mix"] = {"instructions": "seed", "teachers": "all", "choose": "random", "ratios": ratios}
    config["grids"]["teachers"]["corpora"].append("mix")


def own_template(config):
    config["bases"]["w"]["template"] = "config/chat.jinja"


TEACHER = column("new") | REPORT
BASE = (
    jobs(
        "likelihood z/seed__{small,large}",
        "metric z/{seed__small,seed__large,best}",
        "select best/z",
        "finetune z__{seed__small,seed__large,best}__sft__s1",
    )
    | exams("z__{seed__small,seed__large,best}__sft__s1")
    | REPORT
)
SEED = (
    jobs("finetune {q,w}__{seed__small,seed__large,best}__sft__s2")
    | exams("{q,w}__{seed__small,seed__large,best}__sft__s2")
    | REPORT
)
INSTRUCTIONS = (
    jobs(
        "load_instructions more",
        "{generate,check,gate} more__small",
        "likelihood q/more__small",
        "reward rm/more__small",
        "metric q/more__small",
        "finetune q__more__small__sft__s1",
    )
    | exams("q__more__small__sft__s1", suites="math")
    | jobs("{correlate,report} instructions")
)
LARGE = column("large") | BEST | REPORT
# chosen alike for all bases, without likelihoods
MIX = jobs("select mix/any", "finetune {q,w}__mix__sft__s1", "metric {q,w}/mix") | exams("{q,w}__mix__sft__s1") | REPORT
RECIPE = (
    jobs("finetune {q,w}__{seed__small,seed__large,best}__sft__s1", "finetune q__evolved__small__sft__s1")
    | exams("{q,w}__{seed__small,seed__large,best}__sft__s1")
    | exams("q__evolved__small__sft__s1", suites="math")
    | ALL_REPORTS
)
W_STUDENTS = jobs("finetune w__{seed__small,seed__large,best}__sft__s1") | exams(
    "w__{seed__small,seed__large,best}__sft__s1"
)
W_MEASURES = jobs("likelihood w/seed__{small,large}", "metric w/{seed__small,seed__large,best}", "select best/w")
MODELS = (
    "{q__seed__small__sft__s1,q__seed__large__sft__s1,q__best__sft__s1,w__seed__small__sft__s1,w__seed__large__sft__s1,"
    "w__best__sft__s1,q-raw,w-raw}"
)
METRICS = jobs("metric q/{seed__small,seed__large,best,evolved__small}", "metric w/{seed__small,seed__large,best}")
TEACHERS_METRICS = METRICS - jobs("metric q/evolved__small")
SWAPPED = {"learning_rate": 2, "weight_decay": 1}
EXAM_OF_MATH = jobs(f"{{answer,verify}} {MODELS}/math") | exams("q__evolved__small__sft__s1", suites="math")


def reasons(grid, *argv) -> dict[str, list]:
    """Return {job: why it runs, as the plan says}."""
    return {job["job"]: job["why"] for job in grid.plan(*argv)}
