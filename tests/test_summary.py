"""Tables and recommendation of a grid whose answer is known: 2 bases, 3 teachers, 2 SFT seeds, 20 items."""

import copy

import numpy as np
import pytest
import yaml
from scipy.stats import binomtest, spearmanr
from tables import entry
from teachergrid import artifacts
from teachergrid.summary import summarise

ITEMS = [f"q{i:02}" for i in range(20)]
# right answers of 20: {base: {teacher: one number per seed}}
RIGHT = {"b1": {"x": [16, 14], "y": [12, 12], "z": [4, 4]}, "b2": {"x": [8, 8], "y": [12, 12], "z": [17, 15]}}
UNTUNED = {"b1": {"chat": 8, "plain": 6}, "b2": {"chat": 10, "plain": 12}}
REWARD = {"x": 3.0, "y": 2.0, "z": 1.0}
METRICS = {"reward": entry("reward_mean", reward="rm"), "loss": entry("nll_mean"), "size": entry("size")}


def score_rows(right: int, task="sums", items=ITEMS, category=None):
    return [
        {"task": task, "id": id, "sample": 0, "score": float(i < right), "verdict": "right", "category": category}
        for i, id in enumerate(items)
    ]


def scores_of(right, **settings):
    return artifacts.table(score_rows(right, **settings), artifacts.SCORES)


def metric_table(reward: float, loss: float):
    common = {"n": 4, "missing": 0}
    rows = [
        {"metric": "reward_mean/rm", "entry": "reward", "formula": "reward_mean", "value": reward, **common},
        {"metric": "nll_mean/chat", "entry": "another block's name", "formula": "nll_mean", "value": loss, **common},
        {"metric": "nll_mean/chat/no-end", "entry": "loss", "formula": "nll_mean", "value": loss, **common},
        {"metric": "ppl/chat", "entry": "only in another block", "formula": "ppl", "value": 9.0, **common},
    ]
    return artifacts.table(rows, artifacts.METRICS)


class World:
    """A grid's settings and results; tests take parts away."""

    def __init__(self, right=RIGHT, untuned=UNTUNED, reward=REWARD, **grid):
        teachers = list(next(iter(right.values())))
        block = {
            "compare": "teacher",
            "instructions": ["pool"],
            "teachers": teachers,
            "corpora": [],
            "recipes": ["sft"],
        }
        block |= {
            "performance": ["test/verify"],
            "primary": "reward",
            "bootstrap": 400,
            "seed": 5,
            "suites": ["test"],
            **grid,
        }
        cells = [(b, t, s) for b, row in right.items() for t in teachers for s in range(len(row[t]))]
        label = {"family": "f", "parent": None, "licence": "apache-2.0", "output_terms": "free"}
        self.settings = {
            "grid": block,
            "students": [
                {
                    "student": f"{b}__pool__{t}__sft__s{s}",
                    "base": b,
                    "corpus": f"pool__{t}",
                    "instructions": "pool",
                    "teacher": t,
                    "recipe": "sft",
                    "seed": s,
                    "self_pair": (b, t) == ("b1", "x"),
                }
                for b, t, s in cells
            ],
            "references": [
                {"name": f"{b}.{format}", "base": b, "role": "untuned", "format": format}
                for b in right
                for format in untuned.get(b, {})
            ],
            "pairs": [[b, f"pool__{t}"] for b in right for t in teachers],
            "metrics": METRICS,
            "teachers": {t: {**label, "model": t, "parameters": 2.0**i} for i, t in enumerate(teachers)},
            "bases": {b: {**label, "model": b, "parameters": 1} for b in right},
            "suites": {"test": ["verify"]},
            "gates": {"empty": 0.1},
        }
        self.scores = {(f"{b}__pool__{t}__sft__s{s}", "test", "verify"): scores_of(right[b][t][s]) for b, t, s in cells}
        for b in right:
            for format, number in untuned.get(b, {}).items():
                self.scores[f"{b}.{format}", "test", "verify"] = scores_of(number)
        self.metrics = {(b, f"pool__{t}"): metric_table(reward[t], -reward[t]) for b in right for t in teachers}
        made = {"steps": 3, "examples": 4, "trained_tokens": 50, "weights": {"model.safetensors": "sha256:1"}}
        self.students = {student["student"]: made for student in self.settings["students"]}
        self.health = {}

    def summary(self):
        found = summarise(self.settings, self.scores, self.metrics, self.students, self.health)
        artifacts.table(found.performance, artifacts.PERFORMANCE)
        artifacts.table(found.metrics, artifacts.GRID_METRICS)
        artifacts.table(found.correlations, artifacts.CORRELATIONS)
        artifacts.table(found.effects, artifacts.EFFECTS)
        artifacts.table(found.lineage, artifacts.LINEAGE)
        assert yaml.safe_load(yaml.safe_dump(found.recommendation)) == found.recommendation
        return found


def ap(found, base, unit):
    return next(r for r in found.performance if (r["base"], r.get("unit"), r["measure"]) == (base, unit, "AP"))


def correlation(found, base, metric):
    return next(row for row in found.correlations if (row["base"], row["metric"]) == (base, metric))


def doubts(found) -> str:
    return "\n".join(found.recommendation["cannot_say"])


@pytest.fixture(scope="module")
def whole():
    return World().summary()


def test_performance_by_hand(whole):
    x = ap(whole, "b1", "x")
    assert (x["value"], x["seeds"], x["by_seed"], x["n_items"]) == (pytest.approx(75), [0, 1], [80.0, 70.0], 20)
    assert (x["panel"], x["model"], x["self_pair"]) == ("pool, sft", "b1__pool__x__sft", True)
    assert x["gain"] == pytest.approx(35)
    # paired on 20 items: 6 gains of 1 and 2 of a half, no loss, so that the sign flips leave 2 / 2^8 at least
    assert 2 / 256 * 0.5 < x["p_gain"] < 2 / 256 * 1.5
    assert x["low"] < 75 < x["high"] and x["gain_low"] < 35 < x["gain_high"]
    y = ap(whole, "b1", "y")
    assert (y["value"], y["behind_best"]) == (pytest.approx(60), pytest.approx(15))
    assert y["behind_low"] < 15 < y["behind_high"]
    assert [ap(whole, "b2", unit)["value"] for unit in "xyz"] == pytest.approx([40, 60, 80])
    assert sum(ap(whole, "b1", unit)["p_best"] for unit in "xyz") == pytest.approx(1)
    assert (x["behind_best"], x["tied_with_best"], ap(whole, "b1", "z")["tied_with_best"]) == (0, True, False)


def test_gain_is_over_the_better_format_of_the_untuned_base(whole):
    assert ap(whole, "b2", "y")["gain"] == 0
    references = {
        row["model"]: row for row in whole.performance if row["kind"] == "reference" and row["measure"] == "AP"
    }
    assert references["b2.chat"]["gain"] == pytest.approx(-10) and references["b2.plain"].get("gain") is None
    answer = whole.recommendation["bases"]["b2"]
    assert (answer["untuned_reference"], answer["untuned_format"], answer["untuned_value"]) == ("b2.plain", "plain", 60)


def test_with_one_seed_p_is_mcnemars():
    one = {base: {teacher: seeds[:1] for teacher, seeds in row.items()} for base, row in RIGHT.items()}
    found = World(one).summary()
    assert ap(found, "b1", "x")["p_gain"] == pytest.approx(binomtest(0, 8).pvalue)
    assert "another SFT seed" in doubts(found)


def test_measures_of_tasks_and_categories():
    world = World()
    for model, suite, judge in world.scores:
        number = int(20 * np.mean(world.scores[model, suite, judge]["score"].to_numpy()))
        rows = score_rows(number, "sums", ITEMS[:10], "easy") + score_rows(number - 10, "lists", ITEMS[10:])
        world.scores[model, suite, judge] = artifacts.table(rows, artifacts.SCORES)
    found = world.summary()
    x = {row["measure"]: row["value"] for row in found.performance if row["model"] == "b1__pool__x__sft"}
    assert x == pytest.approx(
        {"AP": 75, "test/verify": 75, "test/verify/sums": 100, "test/verify/sums/easy": 100, "test/verify/lists": 50}
    )


def with_judge(world, won: int):
    """Add a second primary score: `won` of 5 items of another suite, for every model."""
    world.settings["grid"]["performance"] = ["test/verify", "chats/rm"]
    world.settings["suites"]["chats"] = ["rm"]
    for model, _, _ in list(world.scores):
        world.scores[model, "chats", "rm"] = scores_of(won, task="chat", items=ITEMS[:5])


def test_ap_weighs_primary_scores_equally_whatever_their_length():
    world = World()
    with_judge(world, 5)
    found = world.summary()
    x = ap(found, "b1", "x")
    assert (x["value"], x["gain"], x["n_items"]) == (pytest.approx(87.5), pytest.approx(17.5), 25)
    # items of a suite that is constant add no noise: half of the interval of the other suite, in points
    alone = next(r for r in found.performance if r["model"] == x["model"] and r["measure"] == "test/verify")
    assert x["high"] - x["low"] == pytest.approx((alone["high"] - alone["low"]) / 2, rel=0.25)


def test_a_missing_primary_score_is_null_with_its_reason():
    world = World()
    with_judge(world, 5)
    for seed in (0, 1):
        del world.scores[f"b1__pool__x__sft__s{seed}", "chats", "rm"]
    found = world.summary()
    x = ap(found, "b1", "x")
    assert (x.get("value"), x["reason"]) == (None, "no scores in chats/rm")
    assert found.recommendation["bases"]["b1"]["best"] == "y"
    assert "scores of b1__pool__x__sft__s1 in chats/rm" in found.recommendation["missing"]
    assert correlation(found, "b1", "reward_mean/rm")["n"] == 2


def test_a_missing_seed_leaves_the_other():
    world = World()
    del world.scores["b1__pool__x__sft__s1", "test", "verify"], world.students["b1__pool__x__sft__s1"]
    found = world.summary()
    assert (ap(found, "b1", "x")["value"], ap(found, "b1", "x")["seeds"]) == (pytest.approx(80), [0])
    assert found.recommendation["missing"] == ["student b1__pool__x__sft__s1"]
    assert "1 results are missing" in doubts(found)


def test_items_without_a_score_are_left_out_for_all_models_of_the_base():
    world = World()
    rows = score_rows(16)
    rows[0]["score"] = None
    world.scores["b1__pool__x__sft__s0", "test", "verify"] = artifacts.table(rows, artifacts.SCORES)
    found = world.summary()
    assert {ap(found, "b1", unit)["n_items"] for unit in "xyz"} == {19}
    assert ap(found, "b1", "y")["value"] == pytest.approx(100 * 11 / 19)
    assert ap(found, "b2", "y")["n_items"] == 20


def test_a_model_that_lacks_many_scores_is_missing_itself():
    world = World()
    rows = score_rows(16)
    for row in rows[:5]:
        row["score"] = None
    world.scores["b1__pool__y__sft__s0", "test", "verify"] = artifacts.table(rows, artifacts.SCORES)
    found = world.summary()
    assert ap(found, "b1", "x")["n_items"] == 20
    assert ap(found, "b1", "y")["seeds"] == [1]


def test_a_gated_teacher_is_listed_and_in_no_statistic():
    world = World()
    gate = {"check": "empty", "count": 3, "n": 10, "share": 0.3}
    world.health["pool__x"] = artifacts.table([gate], artifacts.HEALTH)
    for seed in (0, 1):
        del world.students[f"b1__pool__x__sft__s{seed}"]
    found = world.summary()
    assert ap(found, "b1", "x")["reason"] == "gated: empty 30 % of pool__x > 10 %"
    assert ap(found, "b1", "x").get("value") is None and ap(found, "b1", "y")["behind_best"] == 0
    assert found.recommendation["bases"]["b1"]["best"] == "y"
    assert found.recommendation["gated"] == {"pool__x": "gated: empty 30 % of pool__x > 10 %"}
    assert found.recommendation["missing"] == []
    assert {row["n"] for row in found.correlations} == {2, 0}


# --- metrics and correlations


def test_grid_metrics(whole):
    rows = {(r["base"], r["unit"], r["metric"]): r for r in whole.metrics}
    assert rows["b1", "x", "borrowed"]["value"] == pytest.approx(40)
    assert rows["b2", "z", "borrowed"]["value"] == pytest.approx(20)
    assert rows["b1", "z", "size"]["value"] == 4
    assert rows["b1", "z", "size"]["entry"] == "size"
    # a file may hold another block's metrics, and call a shared one by that block's name
    assert rows["b1", "z", "nll_mean/chat"]["entry"] == "loss"
    assert "ppl/chat" not in {metric for _, _, metric in rows}


def test_borrowed_needs_all_other_bases():
    world = World({**RIGHT, "b3": RIGHT["b1"]})
    for seed in (0, 1):
        del world.scores[f"b2__pool__x__sft__s{seed}", "test", "verify"]
    rows = {(r["base"], r["unit"], r["metric"]): r for r in world.summary().metrics}
    assert rows["b1", "x", "borrowed"]["value"] is None
    assert rows["b1", "x", "borrowed"]["reason"] == "no performance on b2"
    assert rows["b1", "y", "borrowed"]["value"] == pytest.approx(60)


def own_scores(world) -> dict:
    world.settings["metrics"] = {**METRICS, "own": entry("own_score")}
    rows = [row for row in world.summary().metrics if row["metric"] == "own_score"]
    assert {row["entry"] for row in rows} == {"own"}
    return {(row["base"], row["unit"]): (row["value"], row["reason"]) for row in rows}


def test_own_score_is_the_stated_one():
    world = World()
    for teacher, score in (("x", 71.5), ("y", 60)):
        world.settings["teachers"][teacher]["score"] = score
    found = own_scores(world)
    assert found["b1", "x"] == found["b2", "x"] == (71.5, None) and found["b1", "y"] == (60.0, None)
    assert found["b1", "z"] == (None, "teacher 'z' states no `score`, and others do")


def test_own_score_is_else_that_of_the_reference_that_is_its_model():
    world = World()
    world.settings["references"] += [
        {"name": "x-as-it-is", "base": "b1", "role": "instruct", "format": "chat", "model": "x"},
        {"name": "y-bare", "base": "b1", "role": "other", "format": "plain", "model": "y"},
    ]
    for name, right in (("x-as-it-is", 17), ("y-bare", 3)):
        world.scores[name, "test", "verify"] = scores_of(right)
    found = own_scores(world)
    assert found["b1", "x"] == found["b2", "x"] == (pytest.approx(85), None)
    # asked without its chat template a model does not show what it can
    assert found["b1", "y"] == (None, "teacher 'y' states no `score`, and no reference is its model")


def test_random_is_seeded_and_moves_with_no_other_teacher():
    def drawn(**settings) -> dict:
        world = World(**settings)
        world.settings["metrics"] = {**METRICS, "chance": entry("random")}
        rows = [row for row in world.summary().metrics if row["metric"] == "random"]
        return {(row["base"], row["unit"]): row["value"] for row in rows}

    once = drawn()
    assert once == drawn() != drawn(seed=6)
    assert len(set(once.values())) == 6 and all(0 <= value < 1 for value in once.values())
    fewer = drawn(right={base: {t: row[t] for t in "xy"} for base, row in RIGHT.items()})
    assert fewer.items() < once.items()


def test_an_expression_has_the_direction_that_it_states():
    """Loss as something to maximise chooses another teacher than nll_mean does."""
    world = World(primary="own")
    chosen = entry("expression", expression="2 * nll_mean", best="highest")
    world.settings["metrics"] = {**METRICS, "own": chosen}
    for reward, key in zip((3.0, 2.0, 1.0) * 2, list(world.metrics), strict=True):
        row = {"metric": "(2 * nll_mean)/chat", "entry": "own", "formula": "expression", "value": -2 * reward}
        row |= {"n": 4, "missing": 0}
        category = {**row, "category": "maths", "value": 100.0}
        table = [*metric_table(reward, -reward).to_pylist(), row, category]
        world.metrics[key] = artifacts.table(table, artifacts.METRICS)
    found = world.summary()
    assert correlation(found, "b1", "nll_mean/chat")["choice"] == "x"
    own = correlation(found, "b1", "(2 * nll_mean)/chat")
    assert (own["choice"], own["role"]) == ("z", "primary")
    # values by category stand in the table, and in no statistic
    assert {row.get("category") for row in found.metrics if row["entry"] == "own"} == {None, "maths"}


def test_three_teachers_give_regret_and_no_correlation(whole):
    row = correlation(whole, "b1", "reward_mean/rm")
    assert (row["n"], row["rho"], row["reason"]) == (3, None, "fewer than 4 teachers")
    assert (row["choice"], row["regret_1"], row["role"]) == ("x", 0, "primary")
    assert correlation(whole, "b2", "reward_mean/rm")["regret_1"] == pytest.approx(40)
    assert correlation(whole, "b2", "borrowed")["role"] == "baseline"
    primary = whole.recommendation["bases"]["b2"]["primary_metric"]
    assert primary == {"metric": "reward_mean/rm", "choice": "x", "regret": pytest.approx(40), "rho": None, "n": 3}


SIX = {
    "b1": {name: [number, number] for name, number in zip("uvwxyz", (4, 6, 8, 16, 10, 12), strict=True)},
    "b2": {name: [number, number] for name, number in zip("uvwxyz", (5, 4, 9, 8, 11, 15), strict=True)},
}
SIX_REWARD = dict(zip("uvwxyz", (1.0, 2.0, 3.0, 6.0, 5.0, 4.0), strict=True))


@pytest.fixture(scope="module")
def six():
    return World(SIX, reward=SIX_REWARD).summary()


def test_correlations_over_six_teachers(six):
    x, y = list(SIX_REWARD.values()), [row[0] for row in SIX["b1"].values()]
    row = correlation(six, "b1", "reward_mean/rm")
    assert row["rho"] == pytest.approx(spearmanr(x, y).statistic) and row["n"] == 6
    assert row["low"] <= row["rho"] <= row["high"] and row["p"] <= row["p_max_t"]
    assert (row["choice"], row["regret_1"], row["regret_3"]) == ("x", 0, 0)
    assert 0 < row["ceiling"] <= 1


def test_a_metric_where_lower_is_better_keeps_its_sign_and_chooses_the_lowest(six):
    up, down = correlation(six, "b1", "reward_mean/rm"), correlation(six, "b1", "nll_mean/chat")
    for key in ("rho", "tau_b"):
        assert down[key] == pytest.approx(-up[key])
    assert (down["low"], down["high"]) == pytest.approx((-up["high"], -up["low"]))
    for key in ("p", "choice", "regret_1", "regret_3", "pairwise_accuracy"):
        assert down[key] == up[key]


def test_only_own_variants_are_corrected_for_many_metrics(six):
    assert correlation(six, "b1", "nll_mean/chat")["p_max_t"] is not None
    assert correlation(six, "b1", "nll_mean/chat/no-end")["p_max_t"] is None
    assert correlation(six, "b1", "nll_mean/chat/no-end")["role"] == "exploratory"


def test_the_primary_metric_stands_there_without_self_pairs_too(six):
    x, y = list(SIX_REWARD.values()), [row[0] for row in SIX["b1"].values()]
    row = correlation(six, "b1", "reward_mean/rm (without self-pairs)")
    rest = [i for i, name in enumerate("uvwxyz") if name != "x"]
    assert row["n"] == 5
    assert row["rho"] == pytest.approx(spearmanr([x[i] for i in rest], [y[i] for i in rest]).statistic)
    assert "reward_mean/rm (without self-pairs)" not in {r["metric"] for r in six.correlations if r["base"] == "b2"}


def test_pooled_is_over_teachers_and_not_over_cells(six):
    row = correlation(six, "pooled", "reward_mean/rm")
    rhos = [correlation(six, base, "reward_mean/rm")["rho"] for base in ("b1", "b2")]
    assert row["rho"] == pytest.approx(np.tanh(np.mean(np.arctanh(rhos)))) and row["n"] == 6
    assert row.get("regret_1") is None and row["role"] == "primary"


def test_reasons_of_the_pooled_row_name_the_base():
    found = World({**SIX, "b2": {teacher: [10, 10] for teacher in SIX["b2"]}}, reward=SIX_REWARD).summary()
    assert correlation(found, "pooled", "reward_mean/rm")["reason"].startswith("b2: constant performance")
    assert correlation(found, "b2", "reward_mean/rm")["reason"] == "constant performance"


def test_the_order_of_the_grid_moves_no_number():
    world = World(SIX, reward=SIX_REWARD)
    world.settings["students"].reverse()
    turned, straight = world.summary(), World(SIX, reward=SIX_REWARD).summary()
    for unit in "uvwxyz":
        assert ap(turned, "b1", unit)["value"] == ap(straight, "b1", unit)["value"]
    for metric in ("reward_mean/rm", "borrowed"):
        assert correlation(turned, "b1", metric)["rho"] == pytest.approx(correlation(straight, "b1", metric)["rho"])


def test_a_derived_corpus_competes_but_does_not_test_metrics():
    world = World()
    extra = {"instructions": None, "teacher": None, "corpus": "routed", "self_pair": False}
    for base in RIGHT:
        name = f"{base}__routed__sft__s0"
        world.settings["students"].append({**world.settings["students"][0], **extra, "student": name, "base": base})
        world.scores[name, "test", "verify"] = scores_of(18)
        world.students[name] = {"weights": {}}
        world.settings["pairs"].append([base, "routed"])
    world.settings["corpora"] = {"routed": {"instructions": "pool", "teachers": ["x", "y"]}}
    world.settings["teachers"]["y"]["output_terms"] = "not for sale"
    found = world.summary()
    answer = found.recommendation["bases"]["b1"]
    assert (answer["best"], answer["teacher"], answer["output_terms"]) == ("routed", None, "free; not for sale")
    assert ap(found, "b1", "routed")["panel"] == "pool, sft"
    assert correlation(found, "b1", "reward_mean/rm")["n"] == 3
    assert found.recommendation["missing"] == ["metrics of routed for b1", "metrics of routed for b2"]
    assert found.lineage[-1]["teacher"] == "x, y"
    # a corpus that takes responses of a gated teacher cannot be used either
    gate = {"check": "empty", "count": 3, "n": 10, "share": 0.3}
    world.health["pool__y"] = artifacts.table([gate], artifacts.HEALTH)
    assert ap(world.summary(), "b1", "routed")["reason"].startswith("gated: empty 30 % of pool__y")


def test_comparing_recipes_keeps_panels_apart():
    world = World(RIGHT, compare="recipe")
    for student in copy.deepcopy(world.settings["students"]):
        name = student["student"].replace("__sft__", "__lora__")
        world.settings["students"].append({**student, "student": name, "recipe": "lora"})
        world.scores[name, "test", "verify"] = scores_of(15)
        world.students[name] = {}
    found = world.summary()
    rows = [r for r in found.performance if r["base"] == "b1" and r["measure"] == "AP" and r.get("panel") == "pool, y"]
    assert {row["unit"]: row["behind_best"] for row in rows} == {"lora": 0, "sft": pytest.approx(15)}
    panels = found.recommendation["bases"]["b1"]["panels"]
    assert {panel: answer["best"] for panel, answer in panels.items()} == {
        "pool, x": "sft",
        "pool, y": "lora",
        "pool, z": "lora",
    }


# --- recommendation


def test_recommendation(whole):
    answer = whole.recommendation["bases"]["b1"]
    assert (answer["best"], answer["value"], answer["gain"]) == ("x", pytest.approx(75), pytest.approx(35))
    assert (answer["licence"], answer["output_terms"], answer["self_pair"]) == ("apache-2.0", "free", True)
    assert answer["references"] == {"b1.chat": 40, "b1.plain": pytest.approx(30)}
    assert "b1, b2: 3 teachers: no correlation can reach p <= 0.05." in doubts(whole)
    assert "b1: x descends from this very base" in doubts(whole)
    assert "b2: students of x are worse than the untuned base (b2.plain)." in doubts(whole)
    assert whole.recommendation["missing"] == [] and whole.recommendation["gated"] == {}


def test_one_teacher():
    found = World({base: {"x": row["x"]} for base, row in RIGHT.items()}).summary()
    answer = found.recommendation["bases"]["b1"]
    assert (answer["best"], answer["p_best"], answer["tied"]) == ("x", 1, [])
    assert "b1, b2: nothing is compared: there is one teacher only." in doubts(found)
    assert correlation(found, "b1", "reward_mean/rm")["regret_1"] is None


def test_one_base():
    found = World({"b1": RIGHT["b1"]}).summary()
    assert {row["base"] for row in found.correlations} == {"b1"}
    rows = [row for row in found.metrics if row["metric"] == "borrowed"]
    assert {(row["value"], row["reason"]) for row in rows} == {(None, "one base only")}
    assert "other bases: this grid has one" in doubts(found)


def test_all_equal():
    equal = {base: {teacher: [10, 10] for teacher in "uvwxyz"} for base in RIGHT}
    found = World(equal, reward=SIX_REWARD).summary()
    answer = found.recommendation["bases"]["b1"]
    assert (answer["best"], sorted(answer["tied"])) == ("u", list("vwxyz"))
    assert "b1, b2: all students perform equally" in doubts(found)
    assert correlation(found, "b1", "reward_mean/rm")["reason"] == "constant performance"


def test_no_reference():
    found = World(untuned={}).summary()
    assert ap(found, "b1", "x").get("gain") is None
    assert "whether tuning helps at all: there is no score of the untuned base." in doubts(found)


def test_nothing_exists():
    world = World()
    world.scores, world.metrics, world.students = {}, {}, {}
    found = world.summary()
    assert found.recommendation["bases"]["b1"]["reason"] == "no student has a performance"
    assert ap(found, "b1", "x")["reason"] == "no scores in test/verify"
    assert len(found.recommendation["missing"]) == 12 + 4 + 6
    assert found.correlations == [] and found.lineage == []


def test_lineage(whole):
    row = whole.lineage[0]
    assert (row["student"], row["weights"], row["trained_tokens"]) == ("b1__pool__x__sft__s0", "sha256:1", 50)
    assert (row["base_licence"], row["teacher_licence"], row["output_terms"]) == ("apache-2.0", "apache-2.0", "free")
    world = World()
    world.students["b1__pool__x__sft__s0"] = {"weights": {"a": "sha256:1", "b": "sha256:2"}}
    both = world.summary().lineage[0]["weights"]
    assert both.startswith("sha256:") and len(both) == len("sha256:") + 64
