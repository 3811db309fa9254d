import pytest

from posellm_assets.keys import InvalidKey, check_snapshot_key, check_video_key, snapshot_key, sport_of, video_key

HASH = "9f3a12cd" + "0" * 56


@pytest.mark.parametrize(
    ("sport", "stem", "key"),
    [
        ("tennis", "serve 01", "tennis.serve-01.9f3a12cd"),
        ("Table Tennis", "Élan vital", "table-tennis.elan-vital.9f3a12cd"),
        ("football", "🏈🏈", "football.clip.9f3a12cd"),
        ("yoga", "-rf", "yoga.rf.9f3a12cd"),
        ("../etc", "..", "etc.clip.9f3a12cd"),
        ("gym", "x" * 255, f"gym.{'x' * 40}.9f3a12cd"),
    ],
)
def test_any_file_name_becomes_a_key_that_is_safe_in_a_path(sport: str, stem: str, key: str) -> None:
    assert video_key(sport, stem, HASH) == key
    assert check_video_key(key) == key


@pytest.mark.parametrize(
    "key", ["", "..", "a/b", "tennis.serve.9f3a12cd\n", "tennis.serve", "Tennis.serve.9f3a12cd", "a.b.9f3a12cg"]
)
def test_partition_keys_that_dagster_would_take_are_refused_before_a_path_is_built(key: str) -> None:
    with pytest.raises(InvalidKey, match="is not a video key"):
        check_video_key(key)


def test_the_sport_is_the_prefix_of_a_key() -> None:
    assert sport_of("table-tennis.serve.9f3a12cd") == "table-tennis"


def test_snapshots_are_numbered_within_their_scope() -> None:
    assert snapshot_key("all", 7) == "all-0007"
    with pytest.raises(InvalidKey):
        check_snapshot_key("all/../0007")
