"""Metrics and the teacher's strength against performance: their order, their plots, and the reasons of their values."""

import copy
import re

from page_words import Words
from teachergrid.report import metrics, page
from teachergrid.report.data import gather


def test_own_metrics_come_by_role_and_then_as_the_config_states_them(data):
    found = metrics.own_metrics(gather(data))
    assert found[0]["entry"] == "car" and found[0]["role"] == "primary"
    roles = [metric["role"] for metric in found]
    assert roles == sorted(roles, key=["primary", "baseline", "exploratory"].index)
    by_role = {role: [metric["entry"] for metric in found if metric["role"] == role] for role in roles}
    assert by_role["exploratory"] == ["car-rm", "nll", "ifd", "ic-ifd"]
    assert {"reward-verifier", "length"} < set(by_role["baseline"])
    # other betas, formats and metrics without end tokens are variants, and no metrics of their own
    assert len({metric["entry"] for metric in found}) == len(found)


def test_without_correlations_the_config_says_which_is_primary(measured):
    found = metrics.own_metrics(gather({**measured, "correlations": []}))
    assert [metric["entry"] for metric in found if metric["role"] == "primary"] == ["car"]
    assert found[0]["entry"] == "car"


def test_a_metric_has_a_plot_for_each_base_that_knows_it_and_its_reasons_once(data):
    made = copy.deepcopy(data)
    for row in made["metrics"]:
        if row["metric"] == "nll_mean/chat":
            row |= {"reason": "3 of 600 responses left out", "value": None if row["base"] == "bm" else row["value"]}
    found = {metric["entry"]: metric for metric in metrics.against_performance(gather(made))}
    assert len(found["nll"]["plots"]) == 1 and found["nll"]["notes"] == ["3 of 600 responses left out"]
    assert len(found["ifd"]["plots"]) == 2 and found["ifd"]["notes"] == []


def test_strength_is_size_and_the_mean_of_every_reward(data):
    found = metrics.strength(gather(data))
    assert [strength["name"] for strength in found] == ["Teacher size"] + [
        f"Mean reward of the teacher\u2019s responses, by {reward}" for reward in ("verifier", "rm")
    ]
    assert all(len(strength["plots"]) == 2 for strength in found)
    # lines join the sizes of a family, and no rewards
    assert 'class="link' in found[0]["plots"][0] and 'class="link' not in found[1]["plots"][0]


def test_strength_needs_two_teachers_that_are_compared(data):
    alone = {**data, "rewards": {"pool__steps-l": {"rm": 0.5}}}
    assert [strength["name"] for strength in metrics.strength(gather(alone))] == ["Teacher size"]
    settings = copy.deepcopy(data["settings"])
    settings["grid"]["compare"] = "recipe"
    assert metrics.strength(gather({**data, "settings": settings})) == []


def test_a_metric_has_one_name_on_the_page(data, html):
    """Its name in the config. The full one, with all settings, stands once for each metric, for who reads the tables."""
    own = [row for row in data["metrics"] if row["own"] and row["entry"]]
    full = {row["metric"]: row["entry"] for row in own if row["metric"] != row["entry"]}
    assert "car_mean/verifier/chat/beta=1" in full
    plain = html.replace("<wbr>", "")
    shown = re.sub(r'title="[^"]*"', "", plain)
    for metric in full:
        assert len(re.findall(rf"(?<!\w){re.escape(metric)}(?![\w=-]|[./]\w)", shown)) == 1, metric
        assert f"Full name in the tables: {metric}." in shown
    assert "car would have chosen" in Words(html).text
    assert metrics.name_of({"entry": "car", "metric": "car_mean (without self-pairs)"}) == "car, without self-pairs"
    assert metrics.name_of({"entry": None, "metric": "size"}) == "size"


def test_answers_that_were_cut_are_told_from_one_in_twenty(data):
    made = copy.deepcopy(data)
    for row in made["metrics"]:
        if row["own"] and row["formula"] == "nll_mean":
            row |= {"n": 100, "cut": {"steps-l": 80, "steps-m": 4}.get(row["unit"], 0)}
    read = Words(page.build(made)).text
    assert "Answers are longer than likelihood.max_length and were cut: steps-l 80 %." in read
    assert "likelihood.max_length and were cut" not in Words(page.build(data)).text


def test_a_metric_in_another_variant_than_its_papers_says_so(data):
    read = Words(page.build(data)).text
    assert "ifd and ic-ifd: not in the variant of the paper that the name is from" in read
    assert "Not the paper's variant: here in a chat template, with the end token" in read
