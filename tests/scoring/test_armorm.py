"""ArmoRM's head: on a tiny checkpoint with the tensors of the published one, against its formula."""

import armorm_models
import pytest
import tiny
from rated_rows import ANSWERED, ASKED, TEXTS, scored
from teachergrid.errors import BadInput


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> dict:
    return armorm_models.made(tmp_path_factory.mktemp("armorm"))


def test_scores_are_those_of_the_formula(model, tmp_path):
    want = armorm_models.by_formula(model, [(f"sort q{i}", text) for i, text in enumerate(TEXTS)])
    assert len({round(value, 3) for value in want}) == len(TEXTS)
    for batch in (1, 4):
        table = scored(model, tmp_path / str(batch), head="armorm", batch=batch)
        assert table["reward"].to_pylist() == pytest.approx(want, abs=1e-5)


def test_weights_in_several_files(model, tmp_path):
    other = armorm_models.made(tmp_path / "model", shards=True)
    want = scored(model, tmp_path / "a", head="armorm")["reward"].to_pylist()
    assert scored(other, tmp_path / "b", head="armorm")["reward"].to_pylist() == want


def test_another_model_or_template_is_refused(model, tmp_path):
    plain = tiny.make(tmp_path / "plain", kind="reward")
    entry = model | {"repo": str(plain)}
    with pytest.raises(
        BadInput, match=r"plain: no ArmoRM, its weights lack regression_layer.weight, .*; leave out `head`"
    ):
        scored(entry, tmp_path / "a", ANSWERED, ASKED, head="armorm")
    with pytest.raises(BadInput, match="use the model's own `template`"):
        scored(model, tmp_path / "b", head="armorm", template=tiny.CHATML)
