"""What probes read: of the results where they are there, else of the source, else what probed models said; else made up."""

import io
from contextlib import redirect_stdout
from functools import cache, cached_property
from pathlib import Path

from .. import canonical, needed
from ..errors import BadInput
from ..ids import Responses
from .graph import RESULTS

MOST = 2_000  # rows of a table
WORDS = "the sum of all red apples in a basket is what a child would count and then write down as one answer "


# --- found by the plan


class Texts:
    """Tables for probes. cells: grid.Cells."""

    def __init__(self, cells):
        self.cells, self.said = cells, {}

    def put(self, folder: Path, rule: str, cell: str, row: dict) -> None:
        """Write what a probe reads into its folder; what is not to be had, it makes up."""
        import pyarrow.parquet as pq

        tables = {}
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
        """Keep what a probed model said, for those that score it or learn from it."""
        import pyarrow.parquet as pq

        if rule == "generate":
            name, asked = cell, folder / "instructions.parquet"
        elif rule == "answer":
            task = min(canonical.load(row["spec"])["tasks"])
            name, asked = cell.split("/")[1], folder / f"task-{task}.parquet"
        else:
            return
        if asked.exists():
            said = pq.read_table(folder / "probed.parquet")
            self.said[name] = (as_responses(said, task) if rule == "answer" else said), pq.read_table(asked)

    def responses(self, rule: str, cell: str, row: dict):
        """Return (RESPONSES, INSTRUCTIONS) for a job that scores responses or learns from them; None where there are none."""
        if rule == "judge":
            return self.said.get(cell.split("/")[1])
        if rule in ("generate", "answer"):
            return None
        names = row["responses"] if rule == "finetune" else [cell.split("/")[-1]]
        return next((found for name in names if (found := self.made(name) or self.said.get(name))), None)

    @cache
    def made(self, responses: str):
        """Return (RESPONSES, INSTRUCTIONS) of the results, or None."""
        import pyarrow.compute as pc

        from .. import artifacts

        path = Path(RESULTS, "responses", f"{responses}.parquet")
        asked = self.instructions(Responses.parse(responses).instructions)
        if asked is None or not path.exists():
            return None
        found = artifacts.read(path, artifacts.RESPONSES)
        found = found.filter(pc.is_in(found["id"], asked["id"]))
        return (found, asked) if found.num_rows else None

    @cache
    def instructions(self, name: str):
        """Return rows of a set of instructions, or None where neither the results nor this machine have any."""
        from .. import artifacts, instructions

        path = Path(RESULTS, "instructions", f"{name}.parquet")
        if path.exists():
            return artifacts.read(path, artifacts.INSTRUCTIONS).slice(0, MOST)
        row = self.cells.rows["load_instructions"][name]
        wanted, _ = needed.needs({row["spec"]})
        if any(map(needed.lacks, wanted)):
            return None
        entry = canonical.load(row["spec"])["instructions"]
        return loaded(lambda: instructions.load(next(iter(row["files"]), None), entry, name))

    def items(self, row: dict) -> dict:
        """Return the prompts of each task of a suite, None for those that are not there."""
        from .. import instructions

        tasks = canonical.load(row["spec"])["tasks"]
        return {
            name: loaded(lambda path=path, name=name: instructions.load(path, tasks[name], name))
            for name, path in zip(sorted(tasks), row["prompts"], strict=True)
        }


def loaded(load):
    """Return the table that a loader gives, or None for what cannot be read: the job itself will say why."""
    try:
        with redirect_stdout(io.StringIO()):
            return load().slice(0, MOST)
    except (BadInput, OSError):
        return None


def as_responses(answers, task: str):
    """Return the answers to one task under the names of RESPONSES."""
    import pyarrow.compute as pc

    found = answers.filter(pc.equal(answers["task"], task))
    return found.rename_columns({"answer": "response", "answer_tokens": "response_tokens"})


# --- read by the probe


class Given:
    """The tables of a probe's folder, made up where there are none, with so many tokens as expected. model: its entry."""

    def __init__(self, folder: Path, given: dict, model: dict):
        self.folder, self.read, self.written, self.model = folder, given["read"], given["written"], model

    def instructions(self, rows: int, name: str = "instructions"):
        """Return INSTRUCTIONS (of a task: `task-NAME`) with at most so many rows."""
        found = self.table(name)
        return self.made_up(rows) if found is None else found.slice(0, rows)

    def responses(self, rows: int):
        """Return (RESPONSES of so many rows, INSTRUCTIONS they answer); few texts are taken again and again."""
        import pyarrow as pa

        found, asked = self.table("responses"), self.instructions(rows)
        if found is None:
            found = pa.table({"id": asked["id"]})
            said = self.text(self.written)
            for column, value in (("sample", 0), ("response", said), ("finish_reason", "stop")):
                found = found.append_column(column, pa.array([value] * found.num_rows))
        else:
            asked = self.table("instructions")
        found = pa.concat_tables([found] * -(-rows // found.num_rows)).slice(0, rows)
        return (found if self.are_counted(found) else self.counted(found, asked)), asked

    def table(self, name: str):
        import pyarrow.parquet as pq

        path = self.folder / f"{name}.parquet"
        return pq.read_table(path) if path.exists() else None

    def made_up(self, rows: int):
        from .. import artifacts, files

        asked = self.text(self.read)
        messages = [[{"role": "user", "content": f"{i}: {asked}"}] for i in range(rows)]
        made = [{"id": files.message_id(m), "messages": m, "source": "probe", "round": 0} for m in messages]
        return artifacts.table(made, artifacts.INSTRUCTIONS)

    def text(self, tokens: float) -> str:
        """Return a text of about so many tokens of the model."""
        ids = self.tokenizer(WORDS * (1 + int(tokens) // 20), add_special_tokens=False)["input_ids"]
        return self.tokenizer.decode(ids[: max(1, round(tokens))])

    @staticmethod
    def are_counted(found) -> bool:
        return {"prompt_tokens", "response_tokens"} <= set(found.column_names) and not (
            found["prompt_tokens"].null_count + found["response_tokens"].null_count
        )

    def counted(self, found, asked):
        """Return responses with their tokens, as this model counts them: existing and made-up ones come without."""
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
    def tokenizer(self):
        from .. import models

        return models.load_tokenizer(self.model, {"template": "own"})
