"""Folders of pictures: what they show is declared, and each picture that is kept shows one whole person, once."""

import os
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import UnidentifiedImageError

from posellm_assets.coaching.labels.measurements import MeasuredClip
from posellm_assets.coaching.labels.rule_teacher import RuleTeacher
from posellm_assets.coaching.labels.teachers import Answer, Consensus
from posellm_assets.coaching.model.config import ImagesConfig
from posellm_assets.coaching.model.dataset import UnusableCoaching
from posellm_assets.coaching.model.dataset_sources import from_images, side_of
from posellm_assets.coaching.model.images import UnusableImages, find_pictures, read_picture, see_people
from posellm_assets.coaching.model.near_duplicates import MOST_BITS, first_alike, picture_hash
from posellm_assets.demo.footage import plan, rendered_athlete, rendered_frames
from posellm_assets.footage.splits import split_of
from posellm_assets.poses.config import PoseConfig
from posellm_assets_tests.unit.motion.people import real_data


class Here:
    """A pool that works in this process."""

    workers = 1

    def map(self, fn: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        for item in items:
            yield item, fn(item)


class Praises:
    """A teacher who finds everything right, and remembers whom it looked at."""

    name = "praise"

    def __init__(self) -> None:
        self.looked_at: list[MeasuredClip] = []

    def teach(self, clip: MeasuredClip) -> Answer:
        self.looked_at.append(clip)
        return Answer("Good position.", ())


def athlete(label: str, number: int = 0) -> np.ndarray:
    """The first picture of an athlete of the demo, about at the farthest point of the movement."""
    clip = [clip for clip in plan() if clip.label == label][number]
    clip = replace(clip, phase=0.5, duration_s=0.2)
    return next(islice(rendered_frames(clip, rendered_athlete(clip)), 0, None))


def save(path: Path, rgb: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), rgb[..., ::-1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pictures")
    squat, jack = athlete("squat"), athlete("jumping jack", 1)
    save(root / "squats" / "train" / "ana_1.png", squat)
    save(root / "squats" / "train" / "ana_1_small.jpg", cv2.resize(squat, None, fx=0.7, fy=0.7))
    save(root / "squats" / "train" / "two.png", np.concatenate([squat, jack], 1))
    save(root / "squats" / "train" / "wall.png", np.full((200, 200, 3), 120, np.uint8))
    save(root / "squats" / "train" / "head.png", squat[:100])
    (root / "squats" / "train" / "broken.jpg").write_bytes(b"no picture")
    save(root / "jacks" / "ben_1.png", jack)
    save(root / "images" / "other.png", jack)
    (root / "activities.yaml").write_text(
        'folders:\n  squats: squat\n  jacks: {activity: jumping jack, source: studio}\nsource: "^([a-z]+)_"\n'
    )
    return root


def test_what_a_folder_shows_is_what_was_declared_and_an_undeclared_one_is_refused_by_name(folder: Path) -> None:
    pictures, left_out = find_pictures(folder)
    declared = {picture.name: (picture.activity, picture.source) for picture in pictures}
    assert declared["squats/train/ana_1.png"] == ("squat", "ana")
    assert declared["squats/train/two.png"] == ("squat", None)
    assert declared["jacks/ben_1.png"] == ("jumping jack", "studio")
    assert [(one.what, "not declared" in one.reason) for one in left_out] == [("images", True)]


def test_pictures_of_nobody_of_two_of_a_part_of_one_and_copies_are_left_out_with_the_reason(folder: Path) -> None:
    kept, left_out = see_people(find_pictures(folder)[0], ImagesConfig(), PoseConfig(), Here())
    assert [one.picture.name for one in kept] == ["jacks/ben_1.png", "squats/train/ana_1.png"]
    reasons = {Path(one.what).stem: one.reason for one in left_out}
    assert reasons["ana_1_small"] == "near-duplicate of squats/train/ana_1.png"
    assert "2 people" in reasons["two"] and "0 people" in reasons["wall"] and "no picture" in reasons["broken"]
    assert "0 people" in reasons["head"] or "joints are visible" in reasons["head"]


def test_a_picture_is_judged_by_the_teacher_that_looks_at_it(folder: Path) -> None:
    teacher = Praises()
    examples, left_out = from_images(folder, ImagesConfig(), PoseConfig(), teacher, Here())
    assert {(one.activity, one.source, one.teacher) for one in examples} == {
        ("jumping jack", "studio", "praise"),
        ("squat", "ana", "praise"),
    }
    squat = next(one for one in examples if one.activity == "squat")
    assert "knee_angle" in squat.facts and squat.answer.positive_note == "Good position."
    assert all(clip.sheet.startswith(b"\xff\xd8") for clip in teacher.looked_at)
    assert "images" in {one.what for one in left_out}


def test_the_rules_are_not_asked_about_pictures(folder: Path) -> None:
    for teacher in (RuleTeacher(), Consensus(Praises(), RuleTeacher())):
        with pytest.raises(UnusableCoaching, match="a picture shows none"):
            from_images(folder, ImagesConfig(), PoseConfig(), teacher, Here())


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "has no activities.yaml"),
        ("folders: {}", "folders"),
        ("folders: [a", "is not YAML"),
        ("folders: {a: squat}\nsource: ana", "brackets"),
        ("folders: {a: squat}\nsplit: 90", "split"),
    ],
)
def test_a_wrong_declaration_is_said(content: str | None, why: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "activities.yaml").write_text(content)
    with pytest.raises(UnusableImages, match=why):
        find_pictures(tmp_path)


def test_copies_hash_alike_and_other_moments_do_not() -> None:
    first, other = athlete("squat"), athlete("jumping jack")
    copies = [
        cv2.resize(first, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
        cv2.imdecode(cv2.imencode(".jpg", first, [cv2.IMWRITE_JPEG_QUALITY, 35])[1], 1),
        np.clip(first.astype(int) + 25, 0, 255).astype(np.uint8),
    ]
    hashes = [picture_hash(picture) for picture in (first, *copies, other)]
    assert first_alike(hashes) == [None, 0, 0, 0, None]
    assert np.bitwise_count(hashes[0] ^ hashes[4]).sum() > 2 * MOST_BITS


def test_a_tenth_of_the_sources_is_held_out_and_they_are_those_held_out_elsewhere() -> None:
    names = [f"source {number}" for number in range(2000)]
    held_out = [name for name in names if side_of(name) == "val"]
    assert 0.08 < len(held_out) / len(names) < 0.12
    assert all(split_of(name) == "val" for name in held_out)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.bmp"])
def test_postscript_under_the_name_of_a_picture_starts_no_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The case eps.jpg: Pillow would start Ghostscript, which is what `gs` on the path stands for here."""
    (tmp_path / name).write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n%%EndComments\nnewpath 10 10 moveto stroke\nshowpage\n"
    )
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(UnidentifiedImageError):
        read_picture(tmp_path / name)
    assert not (tmp_path / "started").exists()


def test_a_picture_of_absurd_size_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 12_000, 12_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks)
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    with pytest.raises(ValueError, match=r"12000 x 12000 pixels|144000000 pixels"):
        read_picture(tmp_path / "a.png")


def test_case_eps_jpg() -> None:
    with pytest.raises(UnidentifiedImageError):
        read_picture(real_data() / "cases" / "eps.jpg")
