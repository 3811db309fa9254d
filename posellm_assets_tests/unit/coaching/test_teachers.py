"""Teachers behind endpoints: a truthful one is believed, every lie of another is caught and counted, once paid for."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from posellm_assets.coaching.labels.endpoint_teacher import AnswerCache, EndpointTeacher
from posellm_assets.coaching.labels.labelling import label_clip
from posellm_assets.coaching.labels.measurements import MeasuredClip
from posellm_assets.coaching.labels.rule_teacher import RuleTeacher
from posellm_assets.coaching.labels.schema import CoachingLabel
from posellm_assets.coaching.labels.teachers import Consensus
from posellm_assets.demo.faults import DemoRepetition
from posellm_assets.endpoint import Endpoint, EndpointConfig, EndpointError
from posellm_assets_tests.coaching_clips import measured
from posellm_assets_tests.endpoint_server import Served, endpoint, hangs, refuses, says


@pytest.fixture(scope="module")
def clip() -> MeasuredClip:
    """Squats of which in one the right arm lags and in one the left knee falls in, with a sheet of frames."""
    repetitions = (
        DemoRepetition(),
        DemoRepetition("asymmetric arms", "right"),
        DemoRepetition("knee valgus", "left"),
        DemoRepetition(),
    )
    return replace(measured("squat", repetitions), sheet=b"\xff\xd8 a sheet")


@pytest.fixture(scope="module")
def truth(clip: MeasuredClip) -> dict[str, Any]:
    """What a good teacher answers."""
    return {"positive_note": "Deep squats.", "feedback_points": list(RuleTeacher().teach(clip).points)}


def teacher(served: Served, folder: Path, model: str = "m", **settings: Any) -> EndpointTeacher:
    config = EndpointConfig(url=served.url, model=model, **settings)
    return EndpointTeacher(Endpoint(config, sleep=lambda _: None), AnswerCache(Path(folder)))


def changed(truth: dict[str, Any], lie: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    answer = copy.deepcopy(truth)
    for point in answer["feedback_points"]:
        lie(point)
    return answer


def swap_sides(point: dict[str, Any]) -> None:
    swapped = json.dumps(point).replace("left", "\0").replace("right", "left").replace("\0", "right")
    point.clear()
    point.update(json.loads(swapped))


def invent_angles(point: dict[str, Any]) -> None:
    point["coaching_script"] = f"{point['coaching_script']} Your elbow is bent by 77 degrees."
    point["measured"]["value"] = 1.9 * point["measured"]["value"] + 0.1


def break_the_schema(point: dict[str, Any]) -> None:
    del point["severity"]


def test_a_truthful_answer_is_kept_and_the_model_was_shown_the_frames_and_what_was_measured(
    clip: MeasuredClip, truth: dict[str, Any], tmp_path: Path
) -> None:
    with endpoint(says(truth)) as served:
        label = label_clip(clip, teacher(served, tmp_path))
    assert {point.fault for point in label.feedback_points} == {"asymmetric arms", "knee valgus"}
    assert label.positive_note == "Deep squats."
    assert label.rejected == ()
    assert label.teacher == f"m at {served.url[7:-3]}"
    text, image = served.requests[0]["messages"][1]["content"]
    assert "Repetitions found: 4" in text["text"]
    assert "arm_lag: left" in text["text"]
    assert image["image_url"]["url"].startswith("data:image/jpeg;base64,")


@pytest.mark.parametrize(
    ("lie", "check"), [(swap_sides, "side"), (invent_angles, "angle"), (break_the_schema, "schema")]
)
def test_every_lie_of_an_endpoint_is_caught_and_counted_and_kept_as_it_was_said(
    clip: MeasuredClip, truth: dict[str, Any], tmp_path: Path, lie: Callable[[dict[str, Any]], None], check: str
) -> None:
    answer = changed(truth, lie)
    with endpoint(says(answer)) as served:
        label = label_clip(clip, teacher(served, tmp_path))
    assert (label.status, label.feedback_points) == ("success", ())
    assert label.rejections[check] == len(truth["feedback_points"]) == 2
    assert [rejected.said for rejected in label.rejected] == answer["feedback_points"]


@pytest.mark.parametrize(
    "answer", ["The knees look fine to me.", ["a list"], {"positive_note": "No points."}, {"feedback_points": "none"}]
)
def test_an_answer_that_is_no_label_fails_with_what_was_said(clip: MeasuredClip, tmp_path: Path, answer: Any) -> None:
    with endpoint(says(answer)) as served:
        label = label_clip(clip, teacher(served, tmp_path))
    assert (label.status, label.progress_score, label.rejections) == ("failed", None, {"schema": 1})
    assert label.rejected[0].said == answer


def test_time_outs_and_429_are_sat_out_and_counted(clip: MeasuredClip, truth: dict[str, Any], tmp_path: Path) -> None:
    with endpoint(says(truth)) as served:
        served.replies[:0] = [hangs(served), refuses(429, Retry_After="1"), refuses(503)]
        asked = teacher(served, tmp_path, timeout_s=5)
        label = label_clip(clip, asked)
    assert len(label.feedback_points) == 2
    assert asked.endpoint.tried == 4
    assert asked.endpoint.failed == {"time-out": 1, "HTTP 429": 1, "HTTP 503": 1}
    assert "4 requests, failed: HTTP 429 1, HTTP 503 1, time-out 1, 0.0000 USD" in str(asked.endpoint)


def test_where_nothing_was_answered_nothing_is_kept_and_no_label_made(clip: MeasuredClip, tmp_path: Path) -> None:
    with endpoint(refuses(500)) as served, pytest.raises(EndpointError, match="no answer after 2 tries"):
        label_clip(clip, teacher(served, tmp_path, tries=2))
    assert list(tmp_path.iterdir()) == []


def labels_twice(
    first: MeasuredClip, second: MeasuredClip, reply: Any, folder: Path
) -> tuple[int, list[CoachingLabel]]:
    """How many requests two labels took."""
    with endpoint(reply) as served:
        labels = [label_clip(one, teacher(served, folder)) for one in (first, second)]
        return len(served.requests), labels


@pytest.mark.parametrize("answer", ["not JSON at all", {"positive_note": "", "feedback_points": [{"bad": 1}]}])
def test_an_answer_is_paid_for_once_a_useless_one_too(clip: MeasuredClip, tmp_path: Path, answer: Any) -> None:
    requests, labels = labels_twice(clip, clip, says(answer), tmp_path)
    assert requests == 1
    assert labels[0] == labels[1]
    assert labels[0].rejected


def test_other_frames_or_other_facts_are_another_question(
    clip: MeasuredClip, truth: dict[str, Any], tmp_path: Path
) -> None:
    assert labels_twice(clip, replace(clip, sheet=b"other"), says(truth), tmp_path / "a")[0] == 2
    assert labels_twice(clip, replace(clip, exercise="goblet squat"), says(truth), tmp_path / "b")[0] == 2


def test_another_model_is_asked_itself(clip: MeasuredClip, truth: dict[str, Any], tmp_path: Path) -> None:
    with endpoint(says(truth)) as served:
        for model in ("m", "n", "m"):
            label_clip(clip, teacher(served, tmp_path, model))
        assert [request["model"] for request in served.requests] == ["m", "n"]


def test_of_two_teachers_only_what_both_say_is_kept_and_the_rest_is_counted(
    clip: MeasuredClip, truth: dict[str, Any], tmp_path: Path
) -> None:
    arms, knee = sorted(truth["feedback_points"], key=lambda point: point["fault"])
    alone = {**truth, "feedback_points": [arms, {"broken": True}]}
    with endpoint(says(alone)) as served:
        both = Consensus(RuleTeacher(), teacher(served, tmp_path))
        label = label_clip(clip, both)
    assert [point.fault for point in label.feedback_points] == ["asymmetric arms"]
    assert label.rejections == {"consensus": 1, "schema": 1}
    assert label.rejected[0].said == knee
    assert label.teacher.startswith("rules and m at ")


def test_two_teachers_who_tell_the_same_lie_agree_and_are_rejected_all_the_same(
    clip: MeasuredClip, truth: dict[str, Any], tmp_path: Path
) -> None:
    with endpoint(says(changed(truth, swap_sides))) as served:
        label = label_clip(clip, Consensus(teacher(served, tmp_path, "m"), teacher(served, tmp_path, "n")))
    assert label.feedback_points == ()
    assert label.rejections["side"] == 2
