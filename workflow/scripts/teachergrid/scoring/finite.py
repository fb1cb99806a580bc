"""What a model gave that is no finite number: counted in the log where it is some of the rows, refused where it is all of them."""

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from ..errors import BadInput

LOG_PROBABILITIES = "log-probabilities are not finite"  # the reason of such a row of likelihoods


def check(repo: str, what: str, broken: int, sound: int) -> None:
    """Write into the log how many rows are not finite.

    Args:
        repo: of the model.
        what: the model gave, such as "rewards".
        broken: number of rows that are NaN or infinite.
        sound: number of rows with a value.
    Raises:
        BadInput: some rows are not finite and none has a value.
    """
    if broken and not sound:
        raise BadInput(
            f"{repo}: all {broken} {what} are NaN or infinite; try `dtype: float32`, and check that the model's files are complete"
        )
    if broken:
        print(f"warning: {repo}: {broken} of {broken + sound} {what} are NaN or infinite, and left out", flush=True)


def checked(tables: Iterable[pa.Table], repo: str, what: str) -> Iterator[pa.Table]:
    """Yield tables of artifacts.LIKELIHOODS as they are; behind the last one, `check` all rows. Other arguments: of `check`."""
    broken = sound = 0
    for table in tables:
        broken += pc.sum(pc.equal(table["reason"], LOG_PROBABILITIES)).as_py() or 0
        sound += len(table) - table["n_answer"].null_count
        yield table
    check(repo, what, broken, sound)
