"""Settings and job files of the evaluation: what is measured, how much of it, and what keeps a model from release.

Free of torch, so that the graph's definitions can import it.
"""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from posellm_assets.generations.gate import TOLERANCE
from posellm_assets.language.config import SamplingConfig
from posellm_assets.program import Job
from posellm_assets.records import Record
from posellm_assets.texts.config import Language


class EvaluatorConfig(Record):
    """How the text-motion retrieval model is trained."""

    steps: int = Field(default=300, ge=1, description="A number of steps, not seconds, so that a seed repeats exactly")
    batch_size: int = Field(default=32, ge=2, description="Text-motion pairs in a step")
    crop_s: float = Field(default=4.0, gt=0, description="Longest window of a motion in a training step")
    width: int = Field(default=128, ge=8, description="Width of the motion encoder")
    embedding_size: int = Field(default=64, ge=4, description="Size of the space that texts and motions share")
    text_buckets: int = Field(default=2048, ge=16, description="Hash buckets for the words and word pairs of a text")
    learning_rate: float = Field(default=2e-3, gt=0, description="The highest learning rate")
    speeds: tuple[float, ...] = Field(default=(0.85, 1.0, 1.18), description="Playing speeds of the training motions")
    temperature: float = Field(default=0.1, gt=0, description="Of the contrastive loss")


class GateConfig(Record):
    """What a model that replaces another must keep."""

    retained: tuple[str, ...] = Field(
        default=("nll_per_code", "naming_accuracy", "recognised_sentences", "valid_share"),
        description="Figures of the report in which a new model may not be worse than the champion",
    )
    improved: tuple[str, ...] = Field(
        default=("nll_per_code", "naming_accuracy"),
        description="Figures of which one at least has to be better, and none worse, on what is new to the champion",
    )
    tolerance: float = Field(
        default=TOLERANCE, ge=0, description="Share of the champion's figure below which a difference counts as none"
    )


class EvaluationConfig(Record):
    """How a model is measured and when it is released."""

    evaluator: EvaluatorConfig = EvaluatorConfig()
    gate: GateConfig = GateConfig()
    phrasings: int = Field(
        default=20, ge=1, le=20, description="Sentences for each label and language, none of them a training text"
    )
    most_sentences: int = Field(
        default=400, ge=1, description="Sentences in all; of more labels than that leaves room for each gets fewer"
    )
    samples_per_label: int = Field(default=5, ge=1, description="Motions generated from each bare label")
    texts: int = Field(default=100, ge=2, description="Held-out texts that motions are generated from, at most")
    samples_per_text: int = Field(default=4, ge=1, description="Motions generated from each held-out text")


class EvaluatorJob(Job):
    """What `python -m posellm_assets.evaluation.train_evaluator` reads."""

    program: ClassVar[str] = "posellm_assets.evaluation.train_evaluator"

    train: Path = Field(description="Examples of the train split (parquet)")
    test: Path = Field(description="Examples of the test split (parquet), for the evaluator's own held-out figures")
    motions: dict[str, Path] = Field(description="Motion file of every video key in the examples")
    frames_per_step: int = Field(gt=0, description="Frames of a motion that a step of codes stands for")
    codes_per_step: int = Field(gt=0, description="So many codes of an example make one step")
    out: Path = Field(description="Folder for model.safetensors, config.json and report.json")
    seed: int = 0
    config: EvaluatorConfig = EvaluatorConfig()


class ChampionReport(Record):
    """The released model that a report compares with."""

    snapshot: str = Field(description="Its key")
    manifest: Path = Field(description="The manifest of its snapshot (JSON): what it had to know")
    report: Path | None = Field(
        description="Folder with its figures on the clips of the job; None where it uses another tokenizer"
    )


class EvaluateJob(Job):
    """What `python -m posellm_assets.evaluation.evaluate` reads."""

    program: ClassVar[str] = "posellm_assets.evaluation.evaluate"

    model: Path = Field(description="Folder of the motion language model")
    tokenizer: Path = Field(description="Folder of the motion tokenizer")
    evaluator: Path = Field(description="Folder of the trained evaluator")
    train: Path = Field(description="Examples of the train split (parquet)")
    test: Path = Field(description="Examples of the test split (parquet)")
    motions: dict[str, Path] = Field(description="Motion file of every video key in the examples")
    names: dict[str, dict[Language, str]] = Field(
        default={}, description="What each training label is called, in the languages that it is asked for in"
    )
    rendered: list[str] = Field(default=[], description="Video keys that show a rendered figure and no person")
    losses: dict[str, Path] = Field(default={}, description="Stage name to its losses.jsonl")
    snapshot: Path | None = Field(default=None, description="Manifest of the snapshot (JSON), shown in the report")
    sampling: SamplingConfig = SamplingConfig()
    text_encoder: str | None = Field(default=None, description="As `language.text_encoder` of the settings")
    generation: str = Field(default="this model", description="The key of its snapshot, for the table of retention")
    champion: ChampionReport | None = Field(default=None, description="The released model; none where there is none")
    earlier: dict[str, Path] = Field(
        default={}, description="Report folders of the generations before this one, of the same tokenizer, oldest first"
    )
    out: Path = Field(description="Folder for metrics.json and index.html")
    seed: int = 0
    config: EvaluationConfig = EvaluationConfig()
