"""A table in which a model gave no finite number is refused; where some rows are not finite, the log counts them."""

import pytest
from teachergrid.errors import BadInput
from teachergrid.scoring import finite
from teachergrid.store import artifacts

SOUND, BROKEN = {"n_answer": 1, "n_question": 1, "n_end": 1}, {"reason": finite.LOG_PROBABILITIES}
OTHER = {"reason": "not in the subset"}


def tables(*shards: list[dict]) -> list:
    key = {"id": "q", "sample": 0, "truncated": False}
    return [artifacts.table([key | row for row in shard], artifacts.LIKELIHOODS) for shard in shards]


@pytest.mark.parametrize(
    ("shards", "said"),
    [
        (([SOUND, OTHER], [SOUND]), ""),
        (([OTHER],), ""),
        (([SOUND, BROKEN], [OTHER, SOUND]), "warning: org/m: 1 of 3 likelihoods are NaN or infinite, and left out\n"),
        (([BROKEN, OTHER], [BROKEN]), None),
    ],
)
def test_rows_that_are_not_finite(capsys, shards, said):
    given, found = tables(*shards), []
    reading = finite.checked(given, "org/m", "likelihoods")
    if said is None:
        with pytest.raises(BadInput, match="org/m: all 2 likelihoods are NaN or infinite; try `dtype: float32`"):
            found.extend(reading)
    else:
        assert [*reading] == given and capsys.readouterr().out == said
