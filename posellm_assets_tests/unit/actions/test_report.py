"""A recogniser trained on a dataset of actions, and the report on it."""

import json
from pathlib import Path

import numpy as np
import pytest

from posellm_assets.actions.config import RecogniserJob, RecognitionConfig, ReportJob
from posellm_assets.actions.dataset.clips import EXAMPLES, ActionExample
from posellm_assets.actions.dataset.label_set import LabelSet
from posellm_assets.actions.evaluate import evaluate, macro_f1
from posellm_assets.actions.members.members import ActionClip
from posellm_assets.actions.members.video_mae import VideoMaeMember
from posellm_assets.actions.moments.shots import motions_of_shots
from posellm_assets.actions.recogniser import ActionRecogniser
from posellm_assets.actions.train_recogniser import train
from posellm_assets.files import write_json
from posellm_assets.motion.config import MotionConfig
from posellm_assets_tests.unit.actions.rendered import cycles, seen, takes, write_grey_video

KNOWN = ("serve", "squat", "lunge")
SPLITS = ("train", "train", "train", "val", "test")


def quiet(message: str) -> None:
    """A report that nobody reads."""


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> RecogniserJob:
    """Five clips of each of three movements; their pictures show nothing, their motions are exact."""
    folder = tmp_path_factory.mktemp("actions")
    (folder / "dataset" / "videos").mkdir(parents=True)
    write_grey_video(folder / "dataset" / "videos" / "clip.mp4", [60], [90])
    label_set = LabelSet.of_labels("gym", KNOWN)
    examples, motions = [], {}
    for name in KNOWN:
        for clip, split in zip(takes(name), SPLITS, strict=False):
            key = f"gym.{name}-{clip.participant}.00000000"
            (motion,), _ = motions_of_shots(seen(cycles(clip, 2)), MotionConfig())
            motions[key] = folder / f"{key}.parquet"
            motion.write(motions[key])
            example = ActionExample(
                id=key, video=Path("clip.mp4"), start_s=0.0, end_s=2.4, class_id=name, participant=clip.participant,
                split=split, key=key, file="clip.mp4",
            )  # fmt: skip
            examples.append(example.as_record())
    content = {"label_set": label_set.model_dump(), "languages": ["en"], "examples": examples}
    write_json(folder / "dataset" / EXAMPLES, content)
    return RecogniserJob(dataset=folder / "dataset", motions=motions, out=folder / "recogniser")


def report_on(job: RecogniserJob, out: Path, **more) -> dict:
    return evaluate(ReportJob(recogniser=job.out, dataset=job.dataset, motions=job.motions, out=out, **more), quiet)


def test_the_report_has_every_figure_with_its_baselines_and_says_who_was_absent(
    job: RecogniserJob, tmp_path: Path
) -> None:
    record = train(job, quiet)
    assert set(record.absent) == {"vision-language", "video-mae", "language"}
    assert (record.training_clips, record.validation_clips) == (9, 3)
    metrics = report_on(job, tmp_path)
    assert metrics["members"]["motion"]["accuracy"]["value"] == 1.0
    assert metrics["baselines"]["majority"]["value"] == pytest.approx(1 / 3)
    assert {"nearest neighbour", "majority"} == set(metrics["baselines"])
    assert json.loads((tmp_path / "metrics.json").read_text())["members"]["ensemble"]["by_class"][0]["recall"] == 1.0
    page = (tmp_path / "index.html").read_text()
    for said in ("recognition.video_mae names no folder", "Who is taken for whom", "calibration error", "squat"):
        assert said in page


def test_a_clip_that_was_mistaken_is_shown_with_its_frames_and_what_each_member_said(
    job: RecogniserJob, tmp_path: Path
) -> None:
    train(job, quiet)
    content = json.loads((job.dataset / EXAMPLES).read_text())
    wrong = json.loads(json.dumps(content))
    for example in wrong["examples"]:
        if example["split"] == "test" and example["class_id"] == "squat":
            example["class_id"] = "lunge"
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "videos").symlink_to(job.dataset / "videos")
    write_json(tmp_path / "dataset" / EXAMPLES, wrong)
    metrics = report_on(job.model_copy(update={"dataset": tmp_path / "dataset"}), tmp_path / "report")
    (mistake,) = metrics["mistakes"]
    assert (mistake["true"], mistake["named"], mistake["said"]) == ("lunge", "squat", {"motion": "squat"})
    assert "data:image/jpeg;base64," in (tmp_path / "report" / "index.html").read_text()
    assert metrics["members"]["ensemble"]["accuracy"]["value"] == pytest.approx(2 / 3)


def test_a_split_without_clips_is_refused(job: RecogniserJob, tmp_path: Path) -> None:
    train(job, quiet)
    content = json.loads((job.dataset / EXAMPLES).read_text())
    (tmp_path / "dataset").mkdir()
    write_json(
        tmp_path / "dataset" / EXAMPLES,
        {**content, "examples": [one for one in content["examples"] if one["split"] != "test"]},
    )
    with pytest.raises(ValueError, match="no clip in the test split"):
        report_on(job.model_copy(update={"dataset": tmp_path / "dataset"}), tmp_path / "report")


def test_video_mae_learns_where_its_weights_are_and_is_not_asked_where_it_adds_nothing(
    job: RecogniserJob, tmp_path: Path
) -> None:
    import transformers

    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.VideoMAEConfig(image_size=32, patch_size=16, num_frames=4, **shape)
    transformers.VideoMAEModel(config).save_pretrained(tmp_path / "weights")
    asked = RecognitionConfig(video_mae=tmp_path / "weights")
    record = train(job.model_copy(update={"config": asked, "out": tmp_path / "recogniser"}), quiet)
    # Its pictures show nothing, so it knows nothing: validation finds that out, and nobody waits for it.
    assert record.absent["video-mae"].startswith("it adds nothing on 3 validation clips")
    assert set(record.members) == set(record.ensemble.weights) == {"motion"}
    assert [member.name for member in ActionRecogniser(tmp_path / "recogniser").members] == ["motion"]
    case = ActionClip(0.0, 2.4, job.dataset / "videos" / "clip.mp4")
    (opinion,) = VideoMaeMember.load(tmp_path / "weights", tmp_path / "recogniser" / "video-mae").opinions([case])
    assert opinion and set(opinion.log_probs) == set(KNOWN)
    (tmp_path / "other").mkdir()
    transformers.BertConfig(hidden_size=16, num_attention_heads=2).save_pretrained(tmp_path / "other")
    with pytest.raises(ValueError, match="a model of type bert, not videomae"):
        train(job.model_copy(update={"config": RecognitionConfig(video_mae=tmp_path / "other")}), quiet)


def test_macro_f1_counts_every_class_alike() -> None:
    truth, named = np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0])
    assert macro_f1(truth, named) == pytest.approx((6 / 7 + 0) / 2)


def test_a_damaged_recogniser_is_named_with_what_to_do(job: RecogniserJob, tmp_path: Path) -> None:
    train(job.model_copy(update={"out": tmp_path}), quiet)
    path = tmp_path / "recogniser.json"
    content = json.loads(path.read_text())
    content["ensemble"]["weights"]["motion"] = "much"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"damaged \(ensemble\.weights\.motion: .*; materialize action_recogniser"):
        ActionRecogniser(tmp_path)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ValueError, match=r"recogniser\.json is damaged"):
        ActionRecogniser(tmp_path)
