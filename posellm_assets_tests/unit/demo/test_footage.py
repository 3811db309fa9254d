"""The rendered clips: their plan, their files, and what is in the files."""

import pickle
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posellm_assets.demo.footage import (
    FPS,
    SIZE_PX,
    ClipPlan,
    plan,
    render_clip,
    render_footage,
    rendered_athlete,
    rendered_frames,
    truth_of,
)
from posellm_assets.footage import video
from posellm_assets.footage.labels import read_labels, sidecar_of
from posellm_assets.footage.splits import split_of
from posellm_assets.pool import LocalPool


def short(clip: ClipPlan) -> ClipPlan:
    """The same clip, ten frames long."""
    return replace(clip, duration_s=10 / FPS)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> tuple[ClipPlan, Path]:
    clip = short(next(clip for clip in plan() if clip.label == "jumping jack"))
    return clip, render_clip(clip, tmp_path_factory.mktemp("raw"))


def test_the_plan_has_ten_labels_in_five_sports_done_by_many_athletes() -> None:
    clips = plan()
    assert len({clip.label for clip in clips}) >= 8
    assert len({clip.sport for clip in clips}) >= 3
    assert len({clip.participant for clip in clips}) >= 10
    assert 80 <= len(clips) <= 100
    assert {"left side bend", "right side bend"} <= {clip.label for clip in clips}
    assert all(2.5 <= clip.duration_s <= 3.5 and clip.repetitions >= 1.4 for clip in clips)


def test_no_two_clips_of_a_plan_share_a_file_and_no_two_clips_look_alike() -> None:
    clips = plan()
    assert len({clip.path(Path("raw")) for clip in clips}) == len(clips)
    assert len({(clip.tempo, clip.amplitude, clip.phase, clip.camera.azimuth_deg) for clip in clips}) == len(clips)


def test_every_movement_has_enough_clips_to_learn_from_and_enough_unseen_people_to_be_tested_on() -> None:
    splits: dict[str, Counter] = defaultdict(Counter)
    for clip in plan():
        splits[clip.label][split_of(clip.participant)] += 1
    for label, counts in splits.items():
        assert counts["train"] >= 5, label
        assert counts["test"] >= 2, label
    assert sum(counts["val"] for counts in splits.values()) >= 5


def test_a_plan_is_the_same_whenever_it_is_made_and_another_seed_brings_other_people() -> None:
    assert plan(3) == plan(3)
    assert not {clip.participant for clip in plan(0)} & {clip.participant for clip in plan(1)}
    assert not {clip.file for clip in plan(0)} & {clip.file for clip in plan(1)}


def test_a_plan_can_go_to_another_process_and_names_its_clip_in_messages() -> None:
    clip = plan()[0]
    assert pickle.loads(pickle.dumps(clip)) == clip  # noqa: S301 - our own bytes
    assert str(clip) == "fitness/squat/squat-athlete-01.mp4"


def test_more_clips_per_label_than_athletes_are_refused() -> None:
    with pytest.raises(ValueError, match="12 clips per label need as many athletes"):
        plan(athletes=10, clips_per_label=12)
    with pytest.raises(ValueError, match="seed"):
        plan(seed=-1)


def test_the_captions_name_the_side_that_leads() -> None:
    for clip in plan():
        if clip.label.startswith(("left", "right")):
            assert clip.side == clip.label.split()[0]
        assert len(clip.captions) == len(set(clip.captions)) == 2
        for caption in clip.captions:
            assert "{" not in caption
            if "bends sideways" in caption:
                assert f"to the {clip.side}" in caption


def test_the_same_plan_gives_the_same_bytes(rendered: tuple[ClipPlan, Path], tmp_path: Path) -> None:
    clip, first = rendered
    again = render_clip(clip, tmp_path)
    for file in (again, sidecar_of(again), truth_of(again)):
        assert file.read_bytes() == (first.parent / file.name).read_bytes()


def test_a_clip_can_be_probed_and_has_all_its_frames(rendered: tuple[ClipPlan, Path]) -> None:
    clip, path = rendered
    info = video.probe(path)
    assert (info.width, info.height, info.fps, info.variable_frame_rate) == (SIZE_PX, SIZE_PX, FPS, False)
    assert len(list(video.frames(path))) == clip.frame_count == 10


def test_the_decoded_frames_show_what_was_drawn(rendered: tuple[ClipPlan, Path]) -> None:
    clip, path = rendered
    drawn = rendered_frames(clip, rendered_athlete(clip))
    for decoded, picture in zip(video.frames(path), drawn, strict=True):
        assert np.abs(decoded.rgb.astype(int) - picture[..., ::-1]).mean() < 4


def test_the_drop_zone_reads_the_sidecar_and_the_folder_agrees_with_it(rendered: tuple[ClipPlan, Path]) -> None:
    clip, path = rendered
    raw = path.parents[2]
    labels = read_labels(raw, path.relative_to(raw).as_posix())
    assert labels.label == "jumping jack"
    assert labels.captions == list(clip.captions)
    assert labels.participant == clip.participant
    assert path.parent == raw / "fitness" / "jumping_jack"


def test_the_truth_holds_all_landmarks_in_pixels_and_metres(rendered: tuple[ClipPlan, Path]) -> None:
    clip, path = rendered
    with np.load(truth_of(path), allow_pickle=False) as truth:
        assert truth["image"].shape == (10, 33, 2)
        assert truth["world"].shape == (10, 33, 3)
        assert truth["visible"].shape == (10, 33)
        assert np.allclose(truth["world"][:, 23:25].mean(1), 0, atol=1e-6)
        assert truth["time_s"][-1] == pytest.approx(9 / FPS)
        assert (str(truth["movement"]), str(truth["participant"])) == ("jumping jack", clip.participant)
        assert truth["repetitions"] == pytest.approx(10 / FPS * clip.tempo / clip.movement.cycle_s)
        knees_to_ankles = np.linalg.norm(truth["world"][:, 25] - truth["world"][:, 27], axis=1)
    assert np.allclose(knees_to_ankles, clip.athlete.body.shank, atol=1e-4)


def test_a_clip_that_cannot_be_encoded_leaves_no_part_of_it_and_its_sidecar_came_first(tmp_path: Path) -> None:
    clip = short(plan()[0])
    odd = replace(clip, camera=replace(clip.camera, size_px=1))  # H.264 in 4:2:0 takes two pixels together
    with pytest.raises(Exception):  # noqa: B017 - whatever the encoder says
        render_clip(odd, tmp_path)
    path = odd.path(tmp_path)
    assert {file.name for file in path.parent.iterdir()} == {sidecar_of(path).name, truth_of(path).name}


class WatchedPool:
    """Runs nothing, and remembers what it was asked to run."""

    workers = 1
    items: list[Any]

    def map(self, fn: Callable, items: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        self.items = list(items)
        return iter(())


def test_clips_that_are_there_already_are_not_rendered_again(tmp_path: Path) -> None:
    done = plan()[7]
    render_clip(short(done), tmp_path)
    pool = WatchedPool()
    assert list(render_footage(tmp_path, pool)) == []
    assert len(pool.items) == len(plan()) - 1
    assert done not in pool.items


def test_worker_processes_render_into_the_drop_zone(tmp_path: Path) -> None:
    clips = render_footage(tmp_path, LocalPool(1), seed=5)
    path = next(clips)
    clips.close()  # type: ignore[attr-defined]
    assert path in {clip.path(tmp_path) for clip in plan(5)}
    assert video.probe(path).frame_count == len(list(video.frames(path)))


def test_an_error_in_a_worker_reaches_the_caller(tmp_path: Path) -> None:
    (tmp_path / "fitness").write_text("a file where the folder should be")
    with pytest.raises(OSError, match="fitness"):
        list(render_footage(tmp_path, LocalPool(1)))
