"""What users wrote, as Dagster's UI gets it: text, whatever is in it."""

import json
import os
import re
from pathlib import Path

import dagster as dg
import pytest
from markdown_it import MarkdownIt

from posellm_assets.defs.common import listed, noted, stored, table
from posellm_assets.defs.partitions import videos
from posellm_assets.defs.resources import LakeResource, PoolResource, Programs
from posellm_assets.defs.texts import CAPTIONS
from posellm_assets.defs.videos import video_assets
from posellm_assets.demo.faults import DemoRepetition
from posellm_assets.footage.manifest import read_manifest, write_manifest
from posellm_assets.lake import Lake
from posellm_assets_tests.coaching_clips import add
from posellm_assets_tests.conftest import ROOT

REMOTE = "![](http://127.0.0.1:9/a.png) <img src=http://127.0.0.1:9/b> [x](javascript:alert(1)) <script>1</script>"
REMOTE += "\x1b[2J"


def shown(metadata: dict[str, dg.MetadataValue]) -> str:  # type: ignore[type-arg]
    """The HTML that all Markdown of an event becomes."""
    found = [value.value for value in metadata.values() if isinstance(value, dg.MarkdownMetadataValue)]
    assert found
    return MarkdownIt("commonmark").enable("table").render("\n\n".join(map(str, found)))


def captions_shown(lake: Lake, captions: tuple[str, ...]) -> str:
    key = add(lake, 1, "squat", (DemoRepetition(),) * 2, "2026-01-01T10:00:00Z")
    write_manifest(lake, read_manifest(lake, key).model_copy(update={"captions": captions}))
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(videos.name or "", [key])
        run = dg.materialize(
            [video_assets("caption_videos", [CAPTIONS], 5)],
            instance=instance,
            partition_key=key,
            resources={"lake": LakeResource(root=str(lake.root)), "pool": PoolResource(), "programs": Programs()},
        )
    (made,) = run.asset_materializations_for_node("caption_videos")
    return shown(dict(made.metadata))


def test_a_caption_that_is_a_picture_is_text_and_nothing_is_fetched(tmp_path: Path) -> None:
    page = captions_shown(Lake(tmp_path / "lake"), (REMOTE,))
    assert not re.search(r"<(img|a|script)\b", page) and "\x1b" not in page
    assert "![](http://127.0.0.1:9/a.png) &lt;img src" in page


def test_remote_picture(tmp_path: Path) -> None:
    folder = Path(os.environ.get("POSELLM_TEST_DATA", ROOT.parent / "shared" / "data"))
    case = folder / "cases" / "markup" / "remote_picture.mp4.json"
    if not case.is_file():
        pytest.skip(f"no real data in {folder} (POSELLM_TEST_DATA)")
    page = captions_shown(Lake(tmp_path / "lake"), tuple(json.loads(case.read_text())["captions"]))
    assert not re.search(r"<(img|a|script|iframe|style)\b", page) and "md-beacon" in page


def test_reasons_warnings_and_cells_are_text() -> None:
    result = {"store": {"url": "here", "warnings": [REMOTE]}}
    warned = stored(dg.build_asset_context(), result)
    page = shown({"a": listed([REMOTE]), "b": noted([(REMOTE, REMOTE)]), "c": table([REMOTE], [[REMOTE]]), **warned})
    assert not re.search(r"<(img|a|script)\b", page) and page.count("alert(1)") == 6


def test_markdown_is_made_of_words_in_one_place() -> None:
    """Elsewhere whole pages alone, which are made of words in `reports.markdown`."""
    elsewhere = {
        line.strip()
        for path in (ROOT / "posellm_assets").rglob("*.py")
        for line in path.read_text().splitlines()
        if "MetadataValue.md(" in line and path.name != "common.py"
    }
    pages = ("SUMMARY", "CARD", "summary", "_held_out_table")
    assert [line for line in elsewhere if not any(page in line for page in pages)] == []
