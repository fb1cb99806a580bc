"""A made-up grid in the schemas of artifacts: 2 bases, 8 teachers, 2 seeds, with one teacher stopped by its gate and one
student dead. Its numbers are drawn around those of the mini world; the statistics are computed as the workflow does."""

import numpy as np
from teachergrid.data.health import limited
from teachergrid.decisions.summary import Results, summarise
from teachergrid.metrics.variants import variants
from teachergrid.spec import schema
from teachergrid.store import artifacts

# name: (parameters in billions, share of right responses, tokens, worked solutions)
TEACHERS = {
    "concise-s": (0.00027, 0.49, 6, False),
    "concise-m": (0.00071, 0.54, 6, False),
    "concise-l": (0.00094, 0.71, 6, False),
    "steps-s": (0.00027, 0.58, 27, True),
    "steps-m": (0.00071, 0.67, 27, True),
    "steps-l": (0.00094, 0.86, 27, True),
    "concise-m-t1.5": (0.00071, 0.32, 7, False),
    "concise-m-t2": (0.00071, 0.15, 9, False),
}
AP = {
    "bs": dict(zip(TEACHERS, (41.6, 41.8, 43.4, 43.8, 44.0, 45.2, 39.7, 31.2), strict=True)),
    "bm": dict(zip(TEACHERS, (44.9, 48.6, 47.3, 44.7, 44.6, 44.4, 43.2, 35.4), strict=True)),
}
UNTUNED = {"bs": (27.4, 31.9), "bm": (36.7, 35.2)}
CATEGORIES = ("add", "comp", "copy", "count", "filter", "max", "min", "nth", "reverse", "sort", "sort-numbers", "sub")
GATED, DEAD = "concise-m-t2", "bm__pool__steps-s__sft__s2"
N = 700
ESTIMATES = {
    "stages": [
        {"rule": "generate", "on_gpus": True, "jobs": 8, "estimated_s": 7200.0, "actual_s": 9360.0, "inside": 7},
        {"rule": "check", "on_gpus": False, "jobs": 8, "estimated_s": 4.0, "actual_s": 3.0, "inside": 6},
    ],
    "unplanned": 3,
    "resumed": 1,
    "elsewhere": 2,
}


def settings(bases=("bs", "bm"), teachers=tuple(TEACHERS), seeds=(1, 2), metrics=True) -> dict:
    entries = {
        "car": {"formula": "car_mean", "reward": "verifier", "beta": [1, 0.1, 0.3, 3, 10]},
        "car-rm": {"formula": "car_mean", "reward": "rm", "beta": [1, 0.1, 0.3, 3, 10]},
        "reward-verifier": {"formula": "reward_mean", "reward": "verifier"},
        "nll": {"formula": "nll_mean"},
        "ifd": {"formula": "ifd_loss"},
        "ic-ifd": {"formula": "ic_ifd_loss"},
        "length": {"formula": "length"},
    }
    filled = {name: schema.filled(entry, schema.definition("metric")) for name, entry in entries.items() if metrics}
    students = [
        {
            "student": f"{base}__pool__{teacher}__sft__s{seed}" if seed else None,
            "base": base,
            "corpus": f"pool__{teacher}",
            "instructions": "pool",
            "teacher": teacher,
            "recipe": "sft" if seed else None,
            "seed": seed,
            "self_pair": teacher[-1] == base[-1] or (base == "bm" and "-t" in teacher),
        }
        for base in bases
        for teacher in teachers
        for seed in seeds or (None,)
    ]
    about = {"licence": "Apache-2.0", "output_terms": "free", "parent": None, "model": "made up"}
    return {
        "grid": {
            "compare": "teacher",
            "teachers": list(teachers),
            "bases": list(bases),
            "recipes": ["sft"] if seeds else [],
            "seeds": list(seeds),
            "performance": ["miniworld/verify"] if seeds else [],
            "primary": "car" if metrics else None,
            "bootstrap": 500,
            "seed": 1,
            "smallest_difference": 2,
        },
        "students": students,
        "references": [
            {"name": f"{base}-untuned{tail}", "base": base, "role": "untuned", "format": format}
            for base in bases
            for tail, format in (("", "chat"), ("-plain", "plain"))
            if seeds
        ],
        "pairs": [[base, f"pool__{teacher}"] for base in bases for teacher in teachers],
        "metrics": filled,
        "teachers": {
            name: {"family": "qwen2" if "-m" in name else "llama", "parameters": TEACHERS[name][0], **about}
            for name in teachers
        },
        "bases": {base: {"family": "llama", "parameters": 0.0003, **about} for base in bases},
        "suites": {"miniworld": ["verify"]} if seeds else {},
        "gates": {"truncated": 0.2, "empty": 0.1, "repeated": 0.2},
        "recipes": {"sft": {"learning_rate": 0.0005}},
    }


def scores(value: float, rng) -> list[dict]:
    """Verdicts of a model on the test items; easy items are easy for all."""
    ease = np.linspace(-0.35, 0.35, N)
    right = np.random.default_rng(rng).random(N) < np.clip(value / 100 + ease, 0, 1)
    return artifacts.table(
        [
            {
                "task": "problems",
                "id": f"t{i:03}",
                "sample": 0,
                "category": CATEGORIES[i % len(CATEGORIES)],
                "score": float(r),
            }
            for i, r in enumerate(right)
        ],
        artifacts.SCORES,
    )


def metric_rows(chosen: dict, base: str, teacher: str) -> list[dict]:
    _, right, tokens, steps = TEACHERS[teacher]
    rng = np.random.default_rng(len(teacher) + tokens + (base == "bm"))
    loss = {"bs": 0.5 if steps else 0.9, "bm": 0.52 if steps else 0.6}[base] * (2 - right) * rng.uniform(0.95, 1.05)
    rows = []
    for variant in variants(chosen["metrics"]).values():
        entry = variant.metric.settings
        shift = loss * (1.4 if entry["format"] == "plain" else 1) * (1 if entry["end_token"] else 0.9)
        reward = right if entry["reward"] == "verifier" else 0.42 + 0.2 * right
        value = {
            "car_mean": reward / (1 + (variant.metric.value or 0) * shift),
            "reward_mean": reward,
            "nll_mean": shift,
            "ifd_loss": shift / 2.7,
            "ic_ifd_loss": shift / 5.5,
            "length": float(tokens),
        }[entry["formula"]]
        interval = {"low": value * 0.97, "high": value * 1.03}
        named = {"entry": variant.entry, "own": variant.own, **variant.metric.labels}
        rows.append({**named, "value": value, **interval, "n": 600, "missing": 0})
    return artifacts.table(rows, artifacts.METRICS)


def health(teacher: str) -> list[dict]:
    gated = teacher == GATED
    example = {"example_id": "i1", "example": "red red red <b>red</b> red"}
    return [
        {"check": check, "count": count, "n": 600, "share": count / 600, **(example if count else {})}
        for check, count in [("truncated", 168 if gated else 3), ("empty", 0), ("repeated", 12 if gated else 0)]
    ]


def samples(teachers) -> dict:
    hostile = "<script>alert(1)</script> see http://example.org & more"
    given = ["7 + 5 = 12 . Answer: 12", "Answer: 12", hostile, "Answer: 13"]
    responses = [
        {
            "id": f"i{i}",
            "question": question,
            "answers": [
                {
                    "teacher": t,
                    "text": given[(i + j) % 4],
                    "reward": float(j % 2),
                    "finish_reason": "length" if j == 5 else "stop",
                }
                for j, t in enumerate(teachers)
            ],
        }
        for i, question in enumerate(["Add 7 and 5", "Reverse this list: cat pink green . Use upper case."])
    ]
    answers = [
        {
            "id": "t001",
            "task": "problems",
            "question": "Sort these words alphabetically: lemon red apple",
            "reference_answer": "apple lemon red",
            "answers": [
                {"model": model, "text": text, "score": score}
                for model, text, score in (
                    ("bs__pool__steps-l__sft__s1", "Answer: apple lemon red", 1.0),
                    ("bm__pool__concise-m__sft__s1", "Answer: lemon apple red", 0.0),
                    ("bs-untuned", "Answer: " + "apple " * 400, None),
                )
            ],
        }
    ]
    return {"responses": responses, "answers": answers}


def grid(bases=("bs", "bm"), teachers=tuple(TEACHERS), seeds=(1, 2), metrics=True, untuned=UNTUNED) -> dict:
    """Return all that page.build takes; without seeds that of a grid that trains nothing and only measures."""
    chosen = settings(bases, teachers, seeds, metrics)
    students, made = (
        [s for s in chosen["students"] if s["student"] and s["teacher"] != GATED and s["student"] != DEAD],
        {},
    )
    for s in students:
        made[s["student"], "miniworld", "verify"] = scores(AP[s["base"]][s["teacher"]], [s["seed"], len(made)])
    for reference in chosen["references"]:
        value = untuned[reference["base"]][reference["format"] == "plain"]
        made[reference["name"], "miniworld", "verify"] = scores(value, [9, len(made)])
    checks = {f"pool__{teacher}": health(teacher) for teacher in teachers}
    results = Results(
        made,
        {tuple(pair): metric_rows(chosen, pair[0], pair[1].split("__")[1]) for pair in chosen["pairs"]},
        {
            s["student"]: {"steps": 114, "examples": 600, "trained_tokens": 1800 * TEACHERS[s["teacher"]][2]}
            for s in students
        },
        {name: artifacts.table(rows, artifacts.HEALTH) for name, rows in checks.items()},
        {},
    )
    found = summarise(chosen, results)
    return {
        "title": "Which teacher for which base, in a made-up world",
        "settings": chosen,
        **{
            key: getattr(found, key)
            for key in ("performance", "metrics", "correlations", "effects", "lineage", "recommendation")
        },
        "health": {name: limited(rows, chosen["gates"]) for name, rows in checks.items()},
        "samples": samples(teachers) if seeds else {**samples(teachers), "answers": []},
        "failures": []
        if not seeds
        else [
            {
                "cell": DEAD,
                "rule": "finetune",
                "reason": "RuntimeError: loss is not finite at step 41",
                "log": f"logs/finetune/{DEAD}.log",
            },
            {
                "cell": f"pool__{GATED}",
                "rule": "gate",
                "reason": "truncated: 28 % of the responses, the gate is 20 %",
                "log": f"logs/gate/pool__{GATED}.log",
            },
        ],
        "stages": [
            {"rule": "generate", "jobs": 8, "wall_s": 61.2, "cpu_s": 58.0, "max_rss_mb": 612.3},
            {"rule": "check", "jobs": 8, "wall_s": 3.1, "cpu_s": None, "max_rss_mb": None},
            {"rule": "finetune", "jobs": 32, "wall_s": 402.0, "cpu_s": 377.5, "max_rss_mb": 910.0},
            {"rule": "answer", "jobs": 36, "wall_s": 143.7, "cpu_s": 120.1, "max_rss_mb": 640.0},
        ][: None if seeds else 2],
        "estimates": ESTIMATES,
        "rewards": {
            f"pool__{t}": {"verifier": TEACHERS[t][1], "rm": 0.42 + 0.2 * TEACHERS[t][1] + 0.03 * TEACHERS[t][3]}
            for t in teachers
        },
        "reward_quality": [
            {"reward": "rm", "same_prompt_accuracy": 0.629, "auc": 0.69, "auc_difficulty_only": 0.791, "n_pairs": 5222}
        ],
        "notes": ["miniworld/rm-wins is circular for car-rm: the same reward model decides both."],
        "provenance": {
            "config": {"sha256": "0f3a" * 16},
            "models": {"bs": {"repo": "workflow/miniworld/models/bs", "revision": None}},
            "versions": {"python": "3.11.7", "snakemake": "9.27.1"},
            "seeds": {"root": 1, "sft": list(seeds)},
            "jobs": 174,
        },
    }


def assert_schemas(data: dict) -> None:
    """Raise artifacts.BadTable unless the tables are what the workflow would write."""
    for key, columns in (
        ("performance", artifacts.PERFORMANCE),
        ("metrics", artifacts.GRID_METRICS),
        ("correlations", artifacts.CORRELATIONS),
        ("effects", artifacts.EFFECTS),
        ("lineage", artifacts.LINEAGE),
    ):
        artifacts.table(data[key], columns)
