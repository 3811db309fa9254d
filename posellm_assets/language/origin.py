"""What a finished model was made from and what it has learned, kept in its folder: settings may have changed since."""

from pathlib import Path

from posellm_assets import files
from posellm_assets.language.config import ModelConfig, StageJob, Task, TinyConfig
from posellm_assets.records import Record

_FILE = "origin.json"


class Origin(Record):
    """The base that a model was made from, with the shape of the built-in one, and the tasks of all its stages."""

    base: str
    tiny: TinyConfig | None
    tasks: tuple[Task, ...]

    @classmethod
    def of(cls, job: StageJob) -> "Origin":
        """Of the model that `job` makes: a parent's base, and what the parent has learned besides."""
        tasks = {task for task, share in job.stage.tasks.items() if share}
        if job.parent:
            before = cls.read(job.parent)
            return before.model_copy(update={"tasks": tuple(sorted(tasks.union(before.tasks)))})
        return cls.of_base(job.model).model_copy(update={"tasks": tuple(sorted(tasks))})

    @classmethod
    def of_base(cls, model: ModelConfig) -> "Origin":
        """Of the base itself, which has learned none of the tasks."""
        return cls(base=model.base, tiny=model.tiny if model.base == "tiny" else None, tasks=())

    def fits(self, model: ModelConfig) -> bool:
        """Whether `model` asks for this base."""
        asked = self.of_base(model)
        return (self.base, self.tiny) == (asked.base, asked.tiny)

    def __str__(self) -> str:
        if self.tiny:
            return f"{self.base} with {self.tiny.layers} layers of {self.tiny.hidden_size}"
        return self.base

    def write(self, folder: Path) -> None:
        """Write into a model folder."""
        files.write_json(folder / _FILE, self.model_dump())

    @classmethod
    def read(cls, folder: Path) -> "Origin":
        """Read what `write` wrote; FileNotFoundError where `folder` holds no finished model."""
        return files.read_record(folder / _FILE, cls, "copy the model again, or train it again")
