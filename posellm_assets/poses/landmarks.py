"""The 33 landmarks of MediaPipe Pose: names, sides, and the lines between them. Data only."""

NAMES = (
    "nose",
    "left_eye_inner",
    "left_eye",
    "left_eye_outer",
    "right_eye_inner",
    "right_eye",
    "right_eye_outer",
    "left_ear",
    "right_ear",
    "mouth_left",
    "mouth_right",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_pinky",
    "right_pinky",
    "left_index",
    "right_index",
    "left_thumb",
    "right_thumb",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
    "left_heel",
    "right_heel",
    "left_foot_index",
    "right_foot_index",
)
COUNT = len(NAMES)
_SIDES = {"left": "right", "right": "left"}
MIRROR = tuple(NAMES.index("_".join(_SIDES.get(word, word) for word in name.split("_"))) for name in NAMES)
"""Which landmark a mirror shows in the place of each."""
# (left, right) of each joint that comes in pairs.
SHOULDERS, ELBOWS, WRISTS, HIPS, KNEES, ANKLES = (11, 12), (13, 14), (15, 16), (23, 24), (25, 26), (27, 28)
EARS, MOUTH, HEELS, TOES = (7, 8), (9, 10), (29, 30), (31, 32)
PAIRS = (SHOULDERS, ELBOWS, WRISTS, HIPS, KNEES, ANKLES)
LEFT_LINES = ((11, 13), (13, 15), (15, 19), (11, 23), (23, 25), (25, 27), (27, 29), (27, 31), (29, 31))
RIGHT_LINES = tuple((start + 1, end + 1) for start, end in LEFT_LINES)
MIDDLE_LINES = ((11, 12), (23, 24), (7, 8), (9, 10))
# Bones whose length does not change in a rigid limb.
LIMBS = ((11, 13), (13, 15), (12, 14), (14, 16), (23, 25), (25, 27), (24, 26), (26, 28))
