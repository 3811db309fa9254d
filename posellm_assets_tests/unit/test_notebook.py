"""The plots of a notebook, on motions and reports made by hand."""

from pathlib import Path

import matplotlib
import numpy as np
import pytest

import posellm_assets as pa
from posellm_assets.files import write_json
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.skeletons import BODY
from posellm_assets.notebook import OpenLake

matplotlib.use("Agg")


@pytest.fixture
def lake(tmp_path: Path) -> OpenLake:
    return pa.open_lake(tmp_path)


def raised_hand() -> Motion:
    """A left wrist that goes a metre up and half a metre forwards in ten frames, of which the first is lost."""
    joints = np.zeros((10, len(BODY), 3), np.float32)
    joints[:, BODY.index("left_wrist"), 1] = np.linspace(0, 1, 10)
    joints[:, BODY.index("left_wrist"), 2] = np.linspace(0, 0.5, 10)
    joints[0] = np.nan
    return Motion(joints, 20.0, BODY, np.zeros(10, bool))


def test_a_trajectory_is_drawn_in_metres_and_a_dot_marks_where_it_begins(lake: OpenLake) -> None:
    way, begin = lake.plot_trajectories(raised_hand(), ["left_wrist"]).lines
    np.testing.assert_allclose(way.get_xydata()[-1], [0.5, 1])
    np.testing.assert_allclose(begin.get_xydata(), way.get_xydata()[1:2])
    from_above = lake.plot_trajectories(raised_hand(), ["left_wrist"], seen="above")
    np.testing.assert_allclose(from_above.lines[0].get_xydata()[-1], [0, 0.5])
    assert (from_above.get_xlabel(), from_above.get_ylabel()) == ("to the left, m", "forwards, m")


def test_a_joint_that_is_not_there_is_named_with_those_that_are(lake: OpenLake) -> None:
    with pytest.raises(ValueError, match=r"no joint 'tail'; it has pelvis, neck"):
        lake.plot_trajectories(raised_hand(), ["tail"])
    with pytest.raises(TypeError, match="give a list"):
        lake.plot_trajectories(raised_hand(), "left_wrist")


def test_confusions_of_a_generation_and_of_a_recogniser_are_drawn_with_their_counts(lake: OpenLake) -> None:
    table = {"labels": ["squat", "run"], "counts": [[3, 0, 1], [0, 2, 0]]}
    write_json(lake.lake.report("all-0001") / "metrics.json", {"confusion": {"naming": table}})
    members = {"ensemble": {"confusion": table["counts"]}}
    measured = {"classes": {"1": "squat", "2": "run"}, "members": members}
    write_json(lake.lake.action_report("all-0001") / "metrics.json", measured)
    for axes in (lake.plot_confusion("all-0001"), lake.plot_confusion("all-0001", "actions")):
        assert {(one.get_position(), one.get_text()) for one in axes.texts} == {
            ((0, 0), "3"),
            ((2, 0), "1"),
            ((1, 1), "2"),
        }
        assert [label.get_text() for label in axes.get_xticklabels()] == ["squat", "run", "none"]
    with pytest.raises(ValueError, match="all-0001 has no 'recognition'; it has naming"):
        lake.plot_confusion("all-0001", "recognition")
    with pytest.raises(FileNotFoundError):
        lake.plot_confusion("all-0002")
