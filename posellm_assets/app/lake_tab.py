"""The tab Lake: what is there, what waits and why, the generations and what the gate said, and what can be done."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import gradio as gr

from posellm_assets.app.shared import EVENT, VIDEO_ENDINGS, Shared, in_words, listed
from posellm_assets.commands.removing import purge
from posellm_assets.commands.status import overview
from posellm_assets.footage.adding import add
from posellm_assets.footage.labels import Labels
from posellm_assets.footage.removing import key_of_clip, move, relabel, remove

_SHOWN = 10  # files that wait, by name
_NEXT = "Press Update to take it in."


def lake_tab(shared: Shared) -> None:
    """Lay the tab out."""
    refresh = gr.Button("Look again", elem_id="lake-refresh")
    sports = gr.Dataframe(label="By sport and label", interactive=False, wrap=True, max_height=280)
    state = gr.HTML(elem_id="lake-state")
    videos = gr.Dataframe(label="Videos", interactive=False, wrap=True, max_height=320, elem_id="lake-videos")
    shown: list[Any] = [sports, state, videos]
    looking = in_words(lambda: _state(shared))
    refresh.click(looking, None, shown, queue=False, api_visibility="private")
    gr.on(None, looking, None, shown, queue=False, api_visibility="private")  # when the page is opened
    if not shared.changing:
        return
    done = gr.HTML(elem_id="lake-done")
    with gr.Accordion("Add a clip", open=False), gr.Row():
        upload = gr.File(label="A clip", file_types=[*VIDEO_ENDINGS], elem_id="lake-file")
        with gr.Column():
            sport = gr.Textbox(label="Sport", max_length=60, elem_id="lake-sport")
            label = gr.Textbox(label="What it shows", max_length=100, elem_id="lake-label")
            participant = gr.Textbox(label="Who moves", max_length=100, elem_id="lake-participant")
            adding = gr.Button("Add", variant="primary", elem_id="lake-add")
    with gr.Accordion("Change a clip", open=False):
        key = gr.Textbox(label="Its key", max_length=300, elem_id="lake-key")
        with gr.Row():
            new_sport = gr.Textbox(label="New sport", max_length=60)
            new_label = gr.Textbox(label="New label", max_length=100, elem_id="lake-new-label")
            new_participant = gr.Textbox(label="Who moves", max_length=100)
        with gr.Row():
            relabelling = gr.Button("Relabel", elem_id="lake-relabel")
            moving = gr.Button("Move", elem_id="lake-move")
            removing = gr.Button("Remove", elem_id="lake-remove")
        for_good = gr.Checkbox(False, label="Delete the clip and all that was made of it, for good")
    updating = gr.Button("Update: take in what is new, train where it is time to", elem_id="lake-update")
    for button, act, given in (
        (adding, _add, [upload, sport, label, participant]),
        (relabelling, _relabel, [key, new_label, new_participant]),
        (moving, _move, [key, new_sport, new_label]),
        (removing, _remove, [key, for_good]),
    ):
        doing = in_words(lambda *given, act=act: act(shared, *given))
        button.click(doing, given, done, **EVENT).success(looking, None, shown, queue=False, api_visibility="private")
    updating.click(lambda: (yield from _update(shared)), None, done, **EVENT).success(
        looking, None, shown, queue=False, api_visibility="private"
    )


def _state(shared: Shared) -> tuple[Any, ...]:
    found, videos = overview(shared.lake.lake), shared.lake.videos().reset_index()
    counted = videos.assign(label=videos["label"].fillna(""), videos=1)
    by = counted.groupby(["sport", "label"], as_index=False)[["videos", "ready"]].sum()
    waiting = [f"{one} waits to be taken in" for one in found["waiting"][:_SHOWN]]
    if len(found["waiting"]) > _SHOWN:
        waiting.append(f"and {len(found['waiting']) - _SHOWN} more wait")
    not_used = [f"{row['what']}: {row['why']}" for row in found["not_used"]]
    used = [f"{kind} in use: {one['name'] if one else 'none yet'}" for kind, one in found["in_use"].items()]
    refused = [f"{name} was not put in use: {why}" for kind in found["refused"].values() for name, why in kind.items()]
    left = [f"generation {name} {why}" for name, why in found["left"].items()]
    following = [f"next generation: {one}" for one in found["next"]]
    lines = [*used, *refused, *left, *following, *waiting, *found["unfinished"]["why"], *not_used]
    return by, listed(lines, "state"), videos.round({"duration_s": 2, "fps": 2})


def _add(shared: Shared, upload: str | None, sport: str, label: str, participant: str) -> str:
    file = shared.looked_at(upload)
    given = [text.strip() or None for text in (sport, label, participant)]
    if given[0] is None:
        raise ValueError("say which sport it shows")
    ((_, found),) = add(shared.lake.lake, [file], given[0], given[1], given[2])
    if isinstance(found, Exception):
        raise found
    return listed([f"added {file.name}. {_NEXT}"])


def _relabel(shared: Shared, key: str, label: str, participant: str) -> str:
    texts = {name: text.strip() for name, text in (("label", label), ("participant", participant)) if text.strip()}
    if not texts:
        raise ValueError("say what it shows, or who moves")
    lake = shared.lake.lake
    relabel(lake, key_of_clip(lake, key.strip()), Labels.checked(texts, key))
    return listed([f"relabelled {key}. {_NEXT}"])


def _move(shared: Shared, key: str, sport: str, label: str) -> str:
    lake = shared.lake.lake
    return listed([f"it is {move(lake, key_of_clip(lake, key.strip()), sport.strip() or None, label.strip() or None)}"])


def _remove(shared: Shared, key: str, for_good: bool) -> str:
    lake = shared.lake.lake
    found = key_of_clip(lake, key.strip(), removed_too=for_good)
    if not for_good:
        remove(lake, found)
        return listed([f"removed {found}"])
    seen = purge(lake, found)
    return listed([f"deleted {found}", *([f"what models have seen stays: {', '.join(seen)} hold it"] if seen else [])])


def _update(shared: Shared) -> Iterator[str]:
    """`posellm update` in a process of its own, with what it says as it says it."""
    command = [sys.executable, "-m", "posellm_assets", "update", "--lake", str(shared.lake.lake.root)]
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1"}
    lines = ["updating; this goes on although the page is closed"]
    yield listed(lines)
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip())
            yield listed([one for one in lines if one][-30:])
    if process.returncode:
        lines.append(f"it ended with exit code {process.returncode}")
    yield listed([one for one in lines if one][-30:])
