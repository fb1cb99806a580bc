"""What is built, one row per model, and where its files are."""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Recipe:
    """One model: its kind (base, trunk, teacher, rewriter or reward), size, parent, style of answers, steps and cost."""

    name: str
    kind: str
    size: str  # key of networks.SHAPES
    parent: str | None
    style: str | None
    steps: int
    cpu_seconds: int  # on one core, for the estimate of the time left

    @property
    def shipped(self) -> bool:
        """The trunk is only there to make the large teachers and the reward model."""
        return self.kind != "trunk"

    @property
    def needs(self) -> set[str]:
        """Models that must be there first."""
        return {self.parent, *(TEACHERS if self.kind == "reward" else ())} - {None}


# The reward model's phases: which pairs, how many steps.
REWARD_PHASES = (("any", 600), ("same", 700))

# In the order in which they start: what others wait for comes first.
RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("bs", "base", "s", None, None, 2500, 160),
        Recipe("bm", "base", "m", None, None, 2000, 260),
        Recipe("tl", "trunk", "l", None, None, 2600, 465),
        Recipe("steps-l", "teacher", "l", "tl", "steps", 700, 190),
        Recipe("concise-l", "teacher", "l", "tl", "concise", 900, 170),
        Recipe("steps-m", "teacher", "m", "bm", "steps", 450, 120),
        Recipe("concise-m", "teacher", "m", "bm", "concise", 450, 90),
        Recipe("steps-s", "teacher", "s", "bs", "steps", 400, 70),
        Recipe("concise-s", "teacher", "s", "bs", "concise", 400, 50),
        Recipe("rewriter-l", "rewriter", "s", "bs", None, 900, 90),
        Recipe("rewriter-s", "rewriter", "xs", None, None, 3600, 130),
        Recipe("rm", "reward", "l", "tl", None, sum(steps for _, steps in REWARD_PHASES), 450),
    )
}
TEACHERS = tuple(name for name, recipe in RECIPES.items() if recipe.kind == "teacher")


class Places:
    """Paths of a build; `.build` holds what is not shipped: the trunk and the teachers' sampled answers."""

    def __init__(self, out: Path):
        self.out, self.work = out, out / ".build"

    def make_folders(self) -> None:
        for folder in (self.out / "models", self.out / "data", self.work / "samples"):
            folder.mkdir(parents=True, exist_ok=True)

    def model(self, name: str) -> Path:
        return self.out / "models" / name if RECIPES[name].shipped else self.work / name

    def samples(self, name: str) -> Path:
        return self.work / "samples" / f"{name}.json"

    def rows(self) -> dict[str, dict]:
        """Return the rows of models.json: {model: row}."""
        path = self.out / "models.json"
        return {row["name"]: row for row in json.loads(path.read_text())} if path.exists() else {}

    def finished(self, name: str) -> bool:
        """Return whether the model exists, complete and measured."""
        return (self.model(name) / "model.safetensors").exists() and name in self.rows()


def pending(names, places: Places) -> list[str]:
    """Return the unfinished models among `names` and the unfinished ones that these need, in the order of the recipes."""
    unfinished = [name for name in names if not places.finished(name)]
    for name in unfinished:  # grows while it is read
        unfinished += [need for need in RECIPES[name].needs if need not in unfinished and not places.finished(need)]
    return [name for name in RECIPES if name in unfinished]
