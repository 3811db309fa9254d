"""What is familiar: how far from its class a motion may lie."""

import numpy as np

from posellm_assets.actions.members.classifier import LabelledMotion
from posellm_assets.actions.members.familiarity import Familiarity
from posellm_assets.actions.moments.config import WindowConfig
from posellm_assets.actions.moments.shots import motions_of_shots
from posellm_assets.motion.config import MotionConfig
from posellm_assets.motion.motion import Motion
from posellm_assets_tests.unit.actions.rendered import seen, takes


def taught(name: str) -> list[LabelledMotion]:
    return [
        LabelledMotion(motions_of_shots(seen(clip), MotionConfig())[0][0], name, name, clip.participant)
        for clip in takes(name)
    ]


def held(one: LabelledMotion) -> Motion:
    """Standing as in its first frame, with no more than the shake of landmarks."""
    motion, rng = one.motion, np.random.default_rng(len(one.group))
    still = np.repeat(motion.joints[:1], len(motion), axis=0)
    return Motion(
        (still + rng.normal(0, 0.003, still.shape)).astype(np.float32), motion.fps, motion.skeleton, motion.filled
    )


def test_a_class_whose_clips_are_alike_takes_in_no_more_than_is_like_them() -> None:
    squats, lunges = taught("squat"), taught("lunge")
    standing = [LabelledMotion(held(one), "stand", "stand", one.group) for one in squats[:-1]]
    familiarity, _ = Familiarity.fit([*standing, *lunges], [], [], WindowConfig())
    stand, lunge = (familiarity.sizes[familiarity.classes.index(name)] for name in ("stand", "lunge"))
    assert stand < lunge
    named = [value is not None and value >= 0.5 for value in familiarity.of([one.motion for one in squats])]
    assert not any(named), "whoever squats does not stand still, though they begin and end as those who do"
    assert (familiarity.of([held(squats[-1])])[0] or 0) >= 0.5
