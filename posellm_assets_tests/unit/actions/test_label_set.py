from pathlib import Path

import pytest

from posellm_assets.actions.dataset.label_set import LabelSet, LabelSetError
from posellm_assets.lake import Lake

CURLING = """
names: {en: curling}
classes:
  - {id: sweep, names: {en: sweep, es: barrido}, synonyms: {en: [brushing]}}
  - {id: throw, names: {en: throw, es: lanzamiento}}
"""


def badminton() -> LabelSet:
    found = LabelSet.load("badminton")
    assert found
    return found


def written(lake: Path, text: str, sport: str = "curling") -> Lake:
    (lake / "label_sets").mkdir(exist_ok=True)
    (lake / "label_sets" / f"{sport}.yaml").write_text(text)
    return Lake(lake)


@pytest.mark.parametrize(
    ("answer", "class_id"),
    [
        ("Short Serve", "short-serve"),
        ("短发球", "short-serve"),
        ("发网前球", "short-serve"),
        ("00_Short Serve", "short-serve"),
        ("rear-court-flat-drive", "rear-court-flat-drive"),
        ("This is a tap smash.", "tap-smash"),
        ("视频中的动作是过渡切球。", "transitional-slice"),
        ("The player hits a SMASH!", "smash"),
    ],
)
def test_an_answer_in_any_language_or_synonym_is_one_class(answer: str, class_id: str) -> None:
    found = badminton().class_of(answer)
    assert found and found.id == class_id


@pytest.mark.parametrize("answer", ["a smash or a clear", "a smashing dress", "", "乒乓"])
def test_an_answer_that_names_no_class_or_two_is_none(answer: str) -> None:
    assert badminton().class_of(answer) is None


def test_every_stroke_of_badminton_is_named_in_both_languages() -> None:
    classes = badminton().classes
    assert len(classes) == 18
    assert all(one.names.keys() == {"en", "zh"} and one.description for one in classes)


def test_only_names_of_the_language_asked_for_count() -> None:
    assert badminton().class_of("杀球", "en") is None
    found = badminton().class_of("杀球", "zh")
    assert found and found.id == "smash"


def test_a_file_in_the_lake_adds_a_sport_and_goes_before_the_projects_own(tmp_path: Path) -> None:
    lake = written(tmp_path, CURLING)
    found = LabelSet.load("curling", lake)
    assert found and [one.id for one in found.classes] == ["sweep", "throw"]
    assert LabelSet.load("curling") is None
    own = LabelSet.load("badminton", written(tmp_path, CURLING, "badminton"))
    assert own and len(own.classes) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CURLING + "  - {id: sweep, names: {en: other}}", r"curling\.yaml: two classes have the id 'sweep'"),
        (CURLING + "  - {id: brush, names: {en: Brushing}}", "'sweep' and 'brush' are both called 'Brushing'"),
        (CURLING + "  - {id: hog, names: {en: '--'}}", "the name '--' holds neither letters nor digits"),
        (CURLING + "  - {id: Big Throw, names: {en: big}}", r"curling\.yaml line 6: classes\.2\.id"),
        (
            CURLING + "  - {id: hog, name: {en: hog}}",
            r"line 6: classes\.2\.name is not known; did you mean names\?",
        ),
        ("classes: []", r"curling\.yaml line 1: classes"),
        ("just text", r"curling\.yaml: expected `classes:`"),
        ("classes: [", r"curling\.yaml line 1 is not YAML"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_its_name_and_the_class(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(LabelSetError, match=message):
        LabelSet.load("curling", written(tmp_path, text))


def test_labels_of_footage_are_classes_however_they_are_written() -> None:
    found = LabelSet.of_labels("gym", ["left_lunge", "Left lunge", "squat", "下蹲"])
    assert [one.id for one in found.classes] == ["left-lunge", "squat", "u4e0b-8e72"]
    assert found.class_of("LEFT-LUNGE") is found["left-lunge"]
    with pytest.raises(LabelSetError, match="no footage has a label"):
        LabelSet.of_labels("gym", [])
    with pytest.raises(LabelSetError, match="neither letters nor digits"):
        LabelSet.of_labels("gym", ["--"])


def test_sports_joined_share_a_class_of_one_id_and_keep_all_its_names(tmp_path: Path) -> None:
    tennis = LabelSet.of_labels("tennis", ["smash", "serve"])
    found = LabelSet.joined("all", [tennis, badminton()])
    assert len(found.classes) == 19
    assert found["smash"].spellings("zh") == ["杀球", "扣杀", "扣球"]
    assert found.of_sport("tennis") == {"smash", "serve"} and len(found.of_sport("badminton")) == 18
    assert found.of_sport("golf") == found.of_sport(None) == found.ids, "no class is known to be golf's"
    few = found.among({"serve", "clear"})
    assert few.ids == {"serve", "clear"} and few.of_sport("tennis") == {"serve"}
    lifts = LabelSet.of_labels("gym", ["underarm lift"])
    with pytest.raises(LabelSetError, match="'underarm-lift' and 'lift' are both called"):
        LabelSet.joined("all", [lifts, badminton()])
