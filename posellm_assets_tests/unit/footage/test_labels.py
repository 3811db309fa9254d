import json
import os

import pytest

from posellm_assets.footage.labels import LabelError, Labels, labels_changed_ns, read_labels


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw" / "tennis"
    (folder / "slice serve").mkdir(parents=True)
    return tmp_path / "raw"


def test_sidecar_wins_over_table_and_table_over_folder(raw):
    folder = raw / "tennis" / "slice serve"
    (folder / "labels.csv").write_text("file,label,participant,caption\na.mp4,kick,Ana,from the table\n")
    assert read_labels(raw, "tennis/slice serve/b.mp4") == Labels(label="slice serve")
    assert read_labels(raw, "tennis/slice serve/a.mp4") == Labels(
        label="kick", captions=["from the table"], participant="Ana"
    )
    (folder / "a.mp4.json").write_text(json.dumps({"label": "flat", "captions": ["one", "two"]}))
    assert read_labels(raw, "tennis/slice serve/a.mp4") == Labels(
        label="flat", captions=["one", "two"], participant="Ana"
    )


def test_a_clip_right_in_its_sport_has_no_label(raw):
    assert read_labels(raw, "tennis/a.mp4") == Labels()


def test_what_people_write_is_kept_verbatim(raw):
    said = {
        "label": "  Aufschlag „slice“ 🎾 ",
        "captions": ["line one\nline two", 'a "quote", a ; and |'],
        "participant": "Žofie",
        "language": "de",
    }
    (raw / "tennis" / "a.mp4.json").write_text(json.dumps(said, ensure_ascii=False))
    labels = read_labels(raw, "tennis/a.mp4")
    assert labels.model_dump(exclude_defaults=True) == said


def test_a_table_may_come_from_a_spreadsheet_with_quotes_and_a_byte_order_mark(raw):
    (raw / "tennis" / "labels.csv").write_bytes(
        '\ufefffile,label,caption,participant\r\n"a, b.mp4",,"says ""hop"", then\nturns",\r\n\r\n'.encode()
    )
    assert read_labels(raw, "tennis/a, b.mp4") == Labels(captions=['says "hop", then\nturns'])


def test_a_name_is_found_however_its_accents_are_stored(raw):
    (raw / "tennis" / "labels.csv").write_text("file,label\ncafe\u0301.mp4,lob\n")
    assert read_labels(raw, "tennis/caf\u00e9.mp4").label == "lob"


@pytest.mark.parametrize(
    ("sidecar", "says"),
    [
        ("{", "a.mp4.json: Invalid JSON"),
        ("[]", "a.mp4.json: Input should be an object"),
        ('{"label": 3}', "a.mp4.json: label: Input should be a valid string"),
        ('{"captions": "one"}', "a.mp4.json: captions: Input should be a valid array"),
        ('{"captions": ["one", null]}', "a.mp4.json: captions.1: Input should be a valid string"),
        (
            '{"participants": "Ana"}',
            "a.mp4.json: participants: is not known; known keys are label, captions, participant",
        ),
        ('{"label": " "}', "a.mp4.json: label: is empty"),
        ('{"label": "\\ud83c"}', "a.mp4.json"),
        ('{"label": "' + 201 * "x" + '"}', "a.mp4.json: label: String should have at most 200 characters"),
        ('{"captions": ["' + 2_100_000 * "x" + '"]}', "a.mp4.json is larger than 2048 KiB"),
        ("[" * 5_000, "a.mp4.json"),
    ],
)
def test_a_wrong_sidecar_is_an_error_that_names_the_file_and_the_key(raw, sidecar, says):
    (raw / "tennis" / "a.mp4.json").write_text(sidecar)
    with pytest.raises(LabelError) as error:
        read_labels(raw, "tennis/a.mp4")
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (b"file,athlete\n", "labels.csv: unknown column 'athlete'; columns are file, label, caption, participant"),
        (b"file;label\n", "labels.csv: unknown column 'file;label'"),
        (b"label\nlob\n", "file is required"),
        (b"", "file is required"),
        (b"file,label\na.mp4\n", "labels.csv row 2: 1 values for 2 columns"),
        (b"file,label\n,lob\n", "labels.csv row 2: the column file is empty"),
        (b"file,label\na.mp4,lob\n\na.mp4,kick\n", "labels.csv row 4: a.mp4 stands in row 2 already"),
        (b"file,label\n\xff.mp4,lob\n", "labels.csv is not UTF-8 text"),
        (b'file,label\n"a.mp4,lob\n', "labels.csv line 2"),
    ],
)
def test_a_wrong_table_is_an_error_that_names_the_row(raw, table, says):
    (raw / "tennis" / "labels.csv").write_bytes(table)
    with pytest.raises(LabelError) as error:
        read_labels(raw, "tennis/a.mp4")
    assert says in str(error.value)


def test_a_corrected_table_is_read_again(raw):
    table = raw / "tennis" / "labels.csv"
    table.write_text("file,label\na.mp4,lob\n")
    assert read_labels(raw, "tennis/a.mp4").label == "lob"
    table.write_text("file,label\na.mp4,volley\n")
    assert read_labels(raw, "tennis/a.mp4").label == "volley"
    table.unlink()
    assert read_labels(raw, "tennis/a.mp4").label is None


def test_a_sidecar_that_is_a_link_or_a_pipe_is_refused_and_not_opened(raw, tmp_path):
    (tmp_path / "secret.json").write_text('{"label": "secret"}')
    (raw / "tennis" / "a.mp4.json").symlink_to(tmp_path / "secret.json")
    with pytest.raises(LabelError, match=r"a\.mp4\.json cannot be read"):
        read_labels(raw, "tennis/a.mp4")
    os.mkfifo(raw / "tennis" / "b.mp4.json")
    with pytest.raises(LabelError, match=r"b\.mp4\.json is not a plain file"):
        read_labels(raw, "tennis/b.mp4")


def test_a_name_of_255_bytes_has_no_sidecar_and_that_is_no_error(raw):
    assert read_labels(raw, f"tennis/{'é' * 125}x.mp4") == Labels()


def test_touching_sidecar_table_or_permissions_shows(raw):
    video = raw / "tennis" / "a.mp4"
    video.write_bytes(b"video")
    seen = [labels_changed_ns(video)]
    for change in (
        lambda: (raw / "tennis" / "a.mp4.json").write_text("{}"),
        lambda: (raw / "tennis" / "labels.csv").write_text("file\n"),
        lambda: video.chmod(0o600),
    ):
        deadline_ns = seen[-1]
        while labels_changed_ns(video) <= deadline_ns:  # file times tick in milliseconds
            change()
        seen.append(labels_changed_ns(video))
    assert seen == sorted(set(seen))
