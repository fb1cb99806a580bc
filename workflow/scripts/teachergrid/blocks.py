"""One analysis of the config (a grid block): its cells, and the rows of its summary and its report in the table of cells."""

from itertools import product

from . import canonical, exam, pilot
from .canonical import picked
from .config import VERIFY, judges_of
from .errors import BadInput
from .ids import Corpus, Responses, Student

LABELS = ("family", "parameters", "parent", "licence", "output_terms")
OWN_LABELS = {"teachers": ("score",), "bases": ()}


def add(cells, name: str, block: dict) -> None:
    """Add all jobs of a block to the table of cells (grid.Cells), or those of its pilot alone as long as that has no result.

    Raises BadInput where no cell is left.
    """
    config = cells.config
    found = whole = combinations(name, block)
    if block["pilot"]:
        chosen = pilot.add(cells, name, block, whole)
        if chosen is None:
            return
        found = pilot.kept(chosen, whole)
    described = [describe(config, *words) for words in found]
    # without recipes a block only measures responses: its cells have no student
    students = [cell for cell in described if cell["student"]]
    models = [cell["student"] for cell in students] + block["references"]
    suites = {suite: judges_of(config, suite) for suite in block["suites"]}
    pairs = list(dict.fromkeys((base, corpus) for base, corpus, _, _ in found))
    for cell in students:
        cells.add_student(cell)
    for model, (suite, judges) in product(models, suites.items()):
        exam.add(cells, model, suite, judges)
    for base, corpus in pairs:
        cells.add_metrics(base, corpus, block["metrics"])
    responses = list(dict.fromkeys(source for _, corpus in pairs for source in cells.sources(corpus)))
    judged = [(m, suite, judge) for m, suite in product(models, suites) for judge in suites[suite] if judge != VERIFY]
    exams = {"models": models, "verified": [suite for suite in suites if VERIFY in suites[suite]]}
    cells.rows["correlate"][name] = {
        **exams,
        "spec": summary_spec(config, block, described, suites, pairs, responses),
        "bases": [base for base, _ in pairs],
        "corpora": [corpus for _, corpus in pairs],
        "judged_models": [model for model, _, _ in judged],
        "judged_suites": [suite for _, suite, _ in judged],
        "judges": [judge for _, _, judge in judged],
        "students": [cell["student"] for cell in students],
        "responses": responses,
        # items of a suite: some hundreds to a thousand
        "rows": 1_000 * len(models),
    }
    tasks = fields_of(config, block["suites"])
    cells.rows["report"][name] = {
        **exams,
        "spec": canonical.dump(
            title=block["title"] or name,
            tasks=tasks,
            models=models_of(config, pairs, responses),
            judges={judge: config["judges"][judge] for _, _, judge in judged},
            **({"saved": pilot.savings(cells, whole, found)} if block["pilot"] else {}),
        ),
        "pilots": [name] if block["pilot"] else [],
        "complete": pilot.complete(config, block, whole, combinations) if block["pilot"] else [],
        # one seed is enough to look at
        "models": [c["student"] for c in students if c["seed"] == block["seeds"][0]] + block["references"],
        "instructions": list(dict.fromkeys(Responses.parse(name).instructions for name in responses)),
        "responses": responses,
        "rewards": cells.rewards_of(block["metrics"]),
        "suites": block["suites"],
        "prompts": [config["tasks"][task]["prompts"] for task in sorted(tasks)],
        "rows": cells.rows_of(responses),
    }


def combinations(name: str, block: dict) -> list[tuple]:
    """Return (base, corpus, recipe, seed) of a block: the cross product without `exclude`, then `include`."""
    whole = [str(Responses(*pair)) for pair in product(block["instructions"], block["teachers"])]
    trained = [block["recipes"] or [None], block["seeds"] or [None]]
    cells = list(product(block["bases"], [*whole, *block["corpora"]], *trained))
    for index, pattern in enumerate(block["exclude"]):
        kept = [cell for cell in cells if not matches(pattern, cell)]
        if len(kept) == len(cells):
            raise BadInput(f"config.grids.{name}.exclude[{index}]: matches no cell; remove it or mend it")
        cells = kept
    for index, cell in enumerate(block["include"]):
        corpus = cell.get("corpus")
        if "instructions" in cell and "teacher" in cell:
            corpus = str(Responses(cell["instructions"], cell["teacher"]))
        if "base" not in cell or corpus is None:
            raise BadInput(f"config.grids.{name}.include[{index}]: state base and corpus (or instructions and teacher)")
        recipes = [cell["recipe"]] if "recipe" in cell else trained[0]
        seeds = [cell["seed"]] if "seed" in cell else trained[1]
        cells += product([cell["base"]], [corpus], recipes, seeds)
    if not cells:
        raise BadInput(f"config.grids.{name}: no cell is left; name at least one base, corpus, recipe and seed")
    return list(dict.fromkeys(cells))


def matches(pattern: dict, cell: tuple) -> bool:
    words = dict(zip(("base", "corpus", "recipe", "seed"), cell, strict=True))
    corpus = Corpus.parse(words["corpus"])
    words |= {"instructions": corpus.instructions, "teacher": corpus.teacher}
    return all(words[word] == value for word, value in pattern.items())


def describe(config: dict, base: str, corpus: str, recipe: str | None, seed: int | None) -> dict:
    """Return the words of a cell; its student is None where nothing is trained."""
    instructions, teacher = Corpus.parse(corpus).responses or (None, None)
    return {
        "student": str(Student(base, corpus, recipe, seed)) if recipe else None,
        "base": base,
        "corpus": corpus,
        "instructions": instructions,
        "teacher": teacher,
        "recipe": recipe,
        "seed": seed,
        "self_pair": self_pair(config, base, teacher),
    }


def self_pair(config: dict, base: str, teacher: str | None) -> bool:
    """Whether a teacher is this base, or was tuned from it."""
    name = config["teachers"][teacher]["model"] if teacher else None
    seen = set()
    while name is not None and name not in seen:
        if name == config["bases"][base]["model"]:
            return True
        seen.add(name)
        name = config["models"][name]["parent"]
    return False


def summary_spec(config: dict, block: dict, described: list, suites: dict, pairs: list, responses: list[str]) -> str:
    references = {name: config["references"][name] for name in block["references"]}
    corpora = {name: config["corpora"][name] for name in block["corpora"]}
    return canonical.dump(
        grid=block,
        students=described,
        references=[
            {"name": name, **picked(entry, "model", "base", "role", "format")} for name, entry in references.items()
        ],
        pairs=pairs,
        metrics={name: config["metrics"][name] for name in block["metrics"]},
        suites=suites,
        gates=config["health"]["gates"],
        corpora={name: picked(entry, "instructions", "teachers") for name, entry in corpora.items()},
        recipes={recipe: config["recipes"][recipe] for recipe in block["recipes"]},
        teachers=labels(config, "teachers", teachers_of(responses)),
        bases=labels(config, "bases", {base for base, _ in pairs}),
    )


def labels(config: dict, kind: str, names) -> dict:
    """Return what only describes these entries: family, size, licence, own score. It decides no model's result."""
    found = {}
    for name in sorted(names):
        entry = config[kind][name]
        model = picked(config["models"].get(entry["model"], dict.fromkeys(LABELS)), *LABELS)
        found[name] = {"model": entry["model"], **model, **picked(entry, *OWN_LABELS[kind])}
    return found


def fields_of(config: dict, suites: list[str]) -> dict:
    """Return the tasks of these suites with the columns of their prompts."""
    tasks = {task for suite in suites for task in config["suites"][suite]["tasks"]}
    return {task: picked(config["tasks"][task], "fields") for task in tasks}


def models_of(config: dict, pairs: list[tuple], responses: list[str]) -> dict:
    """Return the models of these bases and teachers."""
    names = {config["teachers"][teacher]["model"] for teacher in teachers_of(responses)}
    names |= {config["bases"][base]["model"] for base, _ in pairs}
    return {name: config["models"][name] for name in sorted(names - {None})}


def teachers_of(responses: list[str]) -> set[str]:
    return {Responses.parse(name).teacher for name in responses}
