"""The texts that probes read.

They come, in this order, from the results, from their source, from responses of earlier probes, or are made up.
"""

import io
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from ..hub import needs
from ..spec import canonical
from ..spec.ids import Responses
from ..store.results import RESULTS

if TYPE_CHECKING:
    import pyarrow as pa
    from transformers import PreTrainedTokenizerBase

    from ..grid.cells import Cells

MOST = 2_000  # rows of a table
WORDS = "the sum of all red apples in a basket is what a child would count and then write down as one answer "


# --- in the process of the plan


class Texts:
    """Tables for probes. probed: {responses or model: (responses of its probe, their instructions)}."""

    def __init__(self, cells: "Cells") -> None:
        self.cells = cells
        self.probed: dict[str, tuple[pa.Table, pa.Table]] = {}

    def put(self, folder: Path, rule: str, cell: str, row: dict) -> None:
        """Write the tables that a probe reads into its folder. The probe makes up those that are missing."""
        import pyarrow.parquet as pq

        tables: dict[str, pa.Table | None] = {}
        if rule == "answer":
            tables = {f"task-{name}": table for name, table in self.items(row).items()}
        elif found := self.responses(rule, cell, row):
            tables["responses"], tables["instructions"] = found
        elif rule != "judge":
            tables["instructions"] = self.instructions(row["instructions"][0])
        for name, table in tables.items():
            if table is not None:
                pq.write_table(table.slice(0, MOST), folder / f"{name}.parquet")

    def keep(self, folder: Path, rule: str, cell: str, row: dict) -> None:
        """Keep the responses of a probed model, for probes of jobs that score them or are trained on them."""
        import pyarrow.parquet as pq

        if rule == "generate":
            name, asked = cell, folder / "instructions.parquet"
        elif rule == "answer":
            task = min(canonical.load(row["spec"])["tasks"])
            name, asked = cell.split("/")[1], folder / f"task-{task}.parquet"
        else:
            return
        if asked.exists():
            responses = pq.read_table(folder / "probed.parquet")
            if rule == "answer":
                responses = as_responses(responses, task)
            self.probed[name] = responses, pq.read_table(asked)

    def responses(self, rule: str, cell: str, row: dict) -> "tuple[pa.Table, pa.Table] | None":
        """Return (RESPONSES, INSTRUCTIONS) for a job that scores responses or is trained on them; None without any."""
        if rule == "judge":
            return self.probed.get(cell.split("/")[1])
        if rule in ("generate", "answer"):
            return None
        names = row["responses"] if rule == "finetune" else [cell.split("/")[-1]]
        return next((texts for name in names if (texts := self.made(name) or self.probed.get(name))), None)

    @cache
    def made(self, responses: str) -> "tuple[pa.Table, pa.Table] | None":
        """Return (RESPONSES, INSTRUCTIONS) from the results, or None where they have none."""
        import pyarrow.compute as pc

        from ..store import artifacts

        path = Path(RESULTS, "responses", f"{responses}.parquet")
        asked = self.instructions(Responses.parse(responses).instructions)
        if asked is None or not path.exists():
            return None
        found = artifacts.read(path, artifacts.RESPONSES)
        found = found.filter(pc.is_in(found["id"], asked["id"]))
        return (found, asked) if found.num_rows else None

    @cache
    def instructions(self, name: str) -> "pa.Table | None":
        """Return rows of an instruction set; None where neither the results nor this machine have it."""
        from ..data import loading
        from ..store import artifacts

        path = Path(RESULTS, "instructions", f"{name}.parquet")
        if path.exists():
            return artifacts.read(path, artifacts.INSTRUCTIONS).slice(0, MOST)
        row = self.cells.rows["load_instructions"][name]
        wanted, _ = needs.needs({row["spec"]})
        settings = canonical.load(row["spec"])
        if "made" in settings or any(map(needs.lacks, wanted)):
            return None
        entry = settings["instructions"]
        return loaded(lambda: loading.load(next(iter(row["files"]), None), entry, name))

    def items(self, row: dict) -> "dict[str, pa.Table | None]":
        """Return the prompts of each task of a suite, None for those that are missing."""
        from ..data import loading

        tasks = canonical.load(row["spec"])["tasks"]
        return {
            name: loaded(partial(loading.load, path, tasks[name], name))
            # after the files of the tasks come those of their examples
            for name, path in zip(sorted(tasks), row["prompts"][: len(tasks)], strict=True)
        }


def loaded(load: "Callable[[], pa.Table]") -> "pa.Table | None":
    """Return the table that a loader returns; None where it cannot be read: the job itself will report why."""
    try:
        with redirect_stdout(io.StringIO()):
            return load().slice(0, MOST)
    except (BadInput, OSError):
        return None


def as_responses(answers: "pa.Table", task: str) -> "pa.Table":
    """Return the answers to one task with the column names of RESPONSES."""
    import pyarrow.compute as pc

    rows = answers.filter(pc.equal(answers["task"], task))
    return rows.rename_columns({"answer": "response", "answer_tokens": "response_tokens"})


# --- in the process of the probe


class Given:
    """The tables of a probe's folder; missing ones are made up, with as many tokens as expected.

    given: the content of given.json. model: its config entry.
    """

    def __init__(self, folder: Path, given: dict[str, Any], model: dict[str, Any]) -> None:
        self.folder, self.read, self.written, self.model = folder, given["read"], given["written"], model

    def instructions(self, rows: int, name: str = "instructions") -> "pa.Table":
        """Return INSTRUCTIONS (of a task: `task-NAME`) with at most so many rows."""
        found = self.table(name)
        return self.made_up(rows) if found is None else found.slice(0, rows)

    def responses(self, rows: int) -> "tuple[pa.Table, pa.Table]":
        """Return (RESPONSES of so many rows, INSTRUCTIONS they answer); few texts are repeated."""
        import pyarrow as pa

        responses, instructions = self.table("responses"), self.instructions(rows)
        if responses is None:
            responses = pa.table({"id": instructions["id"]})
            columns: dict[str, Any] = {"sample": 0, "response": self.text(self.written), "finish_reason": "stop"}
            for column, value in columns.items():
                responses = responses.append_column(column, pa.array([value] * responses.num_rows))
        else:
            instructions = self.table("instructions")
        responses = pa.concat_tables([responses] * -(-rows // responses.num_rows)).slice(0, rows)
        return (responses if self.are_counted(responses) else self.counted(responses, instructions)), instructions

    def table(self, name: str) -> "pa.Table | None":
        """Return a table of the folder, or None."""
        import pyarrow.parquet as pq

        path = self.folder / f"{name}.parquet"
        return pq.read_table(path) if path.exists() else None

    def made_up(self, rows: int) -> "pa.Table":
        """Return made-up INSTRUCTIONS with different texts."""
        from ..data import files
        from ..store import artifacts

        asked = self.text(self.read)
        messages = [[{"role": "user", "content": f"{i}: {asked}"}] for i in range(rows)]
        made = [{"id": files.message_id(m), "messages": m, "source": "probe", "round": 0} for m in messages]
        return artifacts.table(made, artifacts.INSTRUCTIONS)

    def text(self, tokens: float) -> str:
        """Return a text of about so many tokens of the model."""
        ids = self.tokenizer(WORDS * (1 + int(tokens) // 20), add_special_tokens=False)["input_ids"]
        return self.tokenizer.decode(ids[: max(1, round(tokens))])

    @staticmethod
    def are_counted(found: "pa.Table") -> bool:
        """Whether responses have the token counts of all prompts and responses."""
        return {"prompt_tokens", "response_tokens"} <= set(found.column_names) and not (
            found["prompt_tokens"].null_count + found["response_tokens"].null_count
        )

    def counted(self, found: "pa.Table", asked: "pa.Table") -> "pa.Table":
        """Return responses with token counts by this model, for existing and made-up ones, which have none."""
        import pyarrow as pa

        prompts = {
            row["id"]: "\n".join(turn["content"] for turn in row["messages"])
            for row in asked.select(["id", "messages"]).to_pylist()
        }
        rows = found.select(["id", "sample", "response", "finish_reason"]).to_pylist()
        for row in rows:
            row["prompt_tokens"], row["response_tokens"] = (
                len(self.tokenizer(text)["input_ids"]) for text in (prompts[row["id"]], row["response"])
            )
        return pa.Table.from_pylist(rows)

    @cached_property
    def tokenizer(self) -> "PreTrainedTokenizerBase":
        """Return the model's tokenizer."""
        from ..models import loading

        return loading.load_tokenizer(self.model, {"template": "own", "template_args": {}})
