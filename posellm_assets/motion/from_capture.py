"""From a motion-capture file to the motion of the lake: its skeleton, its frame rate, and long enough to be of use."""

from dataclasses import replace

from posellm_assets.motion.config import MotionConfig
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.resampling import resample
from posellm_assets.motion.retarget import retarget


def motion_from_capture(capture: Motion, config: MotionConfig) -> Motion:
    """The motion on the BODY skeleton, or its own where `config.skeleton` is "source", at `config.fps`.

    Nothing else is changed: motion capture knows the size of a body and its way over the floor. Raises ValueError where
    joints are missing or there is no stretch of `config.min_segment_s`.
    """
    motion = resample(retarget(capture) if config.skeleton == "body" else capture, config.fps)
    if not motion.segments(config.min_segment_s):
        longest_s = max((segment.duration_s for segment in motion.segments(0.0)), default=0.0)
        raise ValueError(
            f"the longest stretch without a gap is {longest_s:.2f} s, of {config.min_segment_s} s that a motion needs "
            "(motion.min_segment_s)"
        )
    made = {"source_skeleton": capture.skeleton.name, "settings": config.model_dump()}
    return replace(motion, parameters={**motion.parameters, **made})
