"""What is declared, what is judged, and what is asked for when joints become a motion."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from posellm_assets.footage.labels import Labels
from posellm_assets.motion.arrays import write_npy
from posellm_assets.motion.bvh_out import write_bvh
from posellm_assets.motion.formats import read_motions
from posellm_assets.motion.skeletons import BODY
from posellm_assets.motion.sources import Declaration, UnusableSource, declared, motion_from_joints
from posellm_assets_tests.unit.motion.people import moving_person

UNDECLARED = Declaration()


def imported(joints, said=UNDECLARED):
    return motion_from_joints(joints, BODY.joints, BODY.parents, 20.0, said, "test")


@pytest.mark.parametrize(("unit", "metres"), [("m", 1), ("cm", 0.01), ("mm", 0.001), ("in", 0.0254)])
def test_the_unit_is_judged_by_the_body_and_said(unit, metres):
    person = moving_person(20)
    motion = imported(person.joints / metres)
    np.testing.assert_allclose(motion.joints, person.joints, atol=1e-5)
    assert motion.parameters["unit"].startswith(f"{unit} (judged")


def test_a_body_of_no_known_size_needs_a_unit():
    person = moving_person(20)
    with pytest.raises(UnusableSource, match="declare the unit"):
        imported(person.joints * 17.7)
    motion = imported(person.joints * 17.7, declared(unit="0.0564971751"))
    np.testing.assert_allclose(motion.joints, person.joints, atol=1e-4)
    with pytest.raises(UnusableSource, match="none of m, cm"):
        declared(unit="furlong")


def test_z_up_is_asked_about_and_then_converted():
    person = moving_person(20)
    x, y, z = np.moveaxis(person.joints, -1, 0)
    joints = np.stack([x, -z, y], axis=-1)
    with pytest.raises(UnusableSource, match="along z: declare"):
        imported(joints)
    np.testing.assert_allclose(imported(joints, declared(up="z")).joints, person.joints, atol=1e-6)


def test_left_handed_axes_are_asked_about_and_then_converted():
    person = moving_person(20)
    joints = person.joints * np.array([-1, 1, 1])
    with pytest.raises(UnusableSource, match="left-handed"):
        imported(joints)
    np.testing.assert_allclose(imported(joints, declared(handedness="left")).joints, person.joints, atol=1e-6)


def test_landmarks_of_pictures_are_turned_over():
    person = moving_person(20)
    joints = person.joints * np.array([1, -1, -1])
    np.testing.assert_allclose(imported(joints, declared(up="-y")).joints, person.joints, atol=1e-6)


def test_a_body_under_the_floor_is_put_on_it_and_the_floor_is_unknown():
    person = moving_person(20)
    centred = person.joints - person.joints[:1, :1]
    motion = imported(centred)
    assert motion.unknown == ("floor_height",)
    assert motion.joints[..., 1].min() == pytest.approx(0, abs=1e-6)


def test_an_array_comes_back_from_its_declaration_with_gaps(tmp_path):
    motion = moving_person(30)
    motion.joints[10:14] = np.nan
    write_npy(motion, tmp_path / "a.npy")
    (back,) = read_motions(tmp_path / "a.npy", UNDECLARED)
    np.testing.assert_array_equal(back.motion.joints, motion.joints)
    assert (back.motion.fps, back.motion.skeleton.joints) == (20.0, BODY.joints)
    assert back.motion.skeleton.parents == BODY.parents


def test_an_array_without_a_declaration_says_what_to_declare(tmp_path):
    np.save(tmp_path / "a.npy", moving_person(9).joints)
    with pytest.raises(ValueError, match=r"a\.npy: .*declare joints and fps in a\.npy\.json"):
        list(read_motions(tmp_path / "a.npy", UNDECLARED))


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((5, 17, 3)), r"\(5, 17, 3\); 18 joints are declared"),
        (np.zeros((0, 18, 3)), "18 joints are declared"),
        (np.array([{}], object), "not a NumPy array of numbers"),
        (np.array(["a"]), "not one array of numbers"),
        (np.full((5, 18, 3), np.inf), "infinite"),
        (np.full((5, 18, 3), np.nan), "infinite numbers or none"),
        (np.zeros((5, 18, 3)), "one place: this is no body"),
    ],
)
def test_an_unusable_array_is_refused(tmp_path, array, reason):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    said = Declaration(joints=BODY.joints, parents=BODY.parents, fps=20)
    with pytest.raises(ValueError, match=reason):
        list(read_motions(tmp_path / "a.npy", said))


def test_a_header_that_promises_more_than_there_is_costs_no_memory(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((5, 18, 3)))
    content = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(content.replace(b"(5, 18, 3)", b"(900000000, 18, 3)"[:18]).ljust(500))
    with pytest.raises(ValueError, match=r"cut short|not a NumPy"):
        list(read_motions(tmp_path / "a.npy", Declaration(joints=BODY.joints, fps=20)))


def test_a_damaged_header_of_an_array_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((5, 18, 3)))
    content = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(content.replace(b"}", b"("))
    with pytest.raises(ValueError, match="not a NumPy array of numbers"):
        list(read_motions(tmp_path / "a.npy", Declaration(joints=BODY.joints, fps=20)))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"fps": "fast"}', "fps: "),
        ('{"rate": 3}', "rate: is not known; known keys are label, captions"),
        ("{", r"a\.npy\.json"),
    ],
)
def test_a_declaration_that_cannot_be_used_names_its_key(tmp_path, content, reason):
    np.save(tmp_path / "a.npy", np.zeros((5, 18, 3)))
    (tmp_path / "a.npy.json").write_text(content)
    with pytest.raises(ValueError, match=reason):
        list(read_motions(tmp_path / "a.npy", UNDECLARED))


def table(**columns):
    rows = {
        "clip_id": ["a", "b"],
        "text": ["one", "two"],
        "label": ["walk", None],
        "recording": ["R1", "R2"],
        "fps": [20.0, 30.0],
        "joints": [moving_person(8, seed).joints.reshape(-1).tolist() for seed in range(2)],
    }
    names = {"joint_names": json.dumps(BODY.joints)}
    return pa.table({**rows, **columns}).replace_schema_metadata(names)


def test_a_table_of_motions_gives_each_with_its_words(tmp_path):
    pq.write_table(table(), tmp_path / "a.parquet")
    first, second = read_motions(tmp_path / "a.parquet", UNDECLARED)
    assert (first.name, first.labels) == ("a", Labels(label="walk", captions=["one"], participant="R1"))
    assert (second.labels.label, second.motion.fps) == (None, 30.0)
    place = [first.motion.skeleton.joints.index(name) for name in BODY.joints]
    np.testing.assert_allclose(first.motion.joints[:, place], moving_person(8, 0).joints, atol=1e-6)


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"joints": [[1.0] * 54, [1.0] * 55]}, "row 1: in every frame|row 2: it has 55 numbers"),
        ({"joints": [[1.0], [1.0]]}, "row 1: it has 1 numbers"),
        ({"joints": [[1.0] * 54, None]}, r"row 1: in every frame|row 2: it has no joints \(null\)"),
        ({"joints": [None, None]}, r"row 1: it has no joints \(null\)"),
        ({"joints": [[[1.0, 2.0], [1.0]], [[1.0]]]}, "row 1: its joints are not a list of numbers"),
        ({"joints": ["x", "y"]}, "row 1: its joints are not a list of numbers"),
        ({"fps": [20.0, None]}, "row 2: it has no frame rate"),
        ({"fps": [20.0, np.inf]}, "row 2: its frame rate is inf frames/s, and must be from 1 to 10,000"),
        ({"fps": [20.0, 1e-300]}, "row 2: its frame rate is 1e-300"),
        ({"fps": [0.0, 1.0]}, "row 1: its frame rate is 0 frames/s"),
        ({"label": ["walk", "x" * 300]}, "row 2: label: "),
    ],
)
def test_a_bad_row_is_named(tmp_path, columns, reason):
    pq.write_table(table(**columns), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=reason):
        list(read_motions(tmp_path / "a.parquet", UNDECLARED))


def test_a_table_without_rows_is_refused(tmp_path):
    pq.write_table(table().slice(0, 0), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"a\.parquet: the table has no rows"):
        list(read_motions(tmp_path / "a.parquet", UNDECLARED))


def test_the_file_beside_a_motion_says_what_it_shows_too(tmp_path):
    write_bvh(moving_person(20), tmp_path / "take.bvh")
    about = {"label": "zancada", "captions": ["Una zancada."], "participant": "ana", "language": "es"}
    (tmp_path / "take.bvh.json").write_text(json.dumps({**about, "fps": 25}))
    (found,) = read_motions(tmp_path / "take.bvh", UNDECLARED)
    assert (found.labels.model_dump(exclude_defaults=True), found.motion.fps) == (about, 25)
    (found,) = read_motions(tmp_path / "take.bvh", declared(label="lunge"))
    assert (found.labels.label, found.labels.participant) == ("lunge", "ana")


def test_a_motion_of_a_lake_comes_in_again_with_the_labels_beside_it(tmp_path):
    moving_person(20).write(tmp_path / "x.motion.parquet")
    (tmp_path / "x.motion.parquet.json").write_text('{"label": "walk"}')
    (found,) = read_motions(tmp_path / "x.motion.parquet", UNDECLARED)
    assert (found.name, found.labels) == ("x", Labels(label="walk"))


@pytest.mark.parametrize(("name", "value"), [("unit", "cm"), ("fps", 30.0), ("up", "z")])
def test_what_our_own_file_says_is_not_declared_over_it(tmp_path, name, value):
    moving_person(20).write(tmp_path / "x.motion.parquet")
    with pytest.raises(ValueError, match=f"says its own {name}: do not declare"):
        list(read_motions(tmp_path / "x.motion.parquet", declared(**{name: value})))


def test_a_table_without_joints_or_names_says_so(tmp_path):
    pq.write_table(table().drop_columns("joints"), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="no column is called joints"):
        list(read_motions(tmp_path / "a.parquet", UNDECLARED))
    pq.write_table(table().replace_schema_metadata({}), tmp_path / "b.parquet")
    with pytest.raises(ValueError, match=r"declare them in b\.parquet\.json"):
        list(read_motions(tmp_path / "b.parquet", UNDECLARED))
    (tmp_path / "c.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(ValueError, match="not a readable parquet"):
        list(read_motions(tmp_path / "c.parquet", UNDECLARED))
