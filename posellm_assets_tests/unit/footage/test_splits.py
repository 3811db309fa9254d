import hashlib
from collections import Counter

from posellm_assets.footage.manifest import normalised_participant
from posellm_assets.footage.splits import TEST_SHARE, TRAIN_SHARE, VAL_SHARE, split_of


def test_the_shares_are_what_the_constants_say():
    count = 20_000
    splits = Counter(split_of(f"participant {number}") for number in range(count))
    assert TRAIN_SHARE + VAL_SHARE + TEST_SHARE == 1
    for name, share in (("train", TRAIN_SHARE), ("val", VAL_SHARE), ("test", TEST_SHARE)):
        three_sigma = 3 * (share * (1 - share) / count) ** 0.5
        assert abs(splits[name] / count - share) < three_sigma


def test_a_participant_never_changes_sides_between_versions():
    for name in ("ana", "b", "x", "12", "tennis.serve.0a1b2c3d"):
        position = int(hashlib.sha256(name.encode()).hexdigest()[:16], 16) / 16**16
        expected = "train" if position < 0.65 else "val" if position < 0.75 else "test"
        assert split_of(name) == expected


def test_one_person_written_in_several_ways_is_one_person():
    assert (
        normalised_participant("  Ana\u00a0 B ")
        == normalised_participant("ana b")
        == normalised_participant("ＡＮＡ b")
    )
    assert normalised_participant(None) == normalised_participant("  ") == ""
