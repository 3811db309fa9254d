"""The tab Recognise: the actions of a video on a time line that plays along, and how often each was done."""

from collections import Counter
from typing import Any

import gradio as gr
import pandas as pd

from posellm_assets.actions.recognition import Recognition
from posellm_assets.actions.timeline import class_name
from posellm_assets.app.shared import EVENT, VIDEO_ENDINGS, Shared, framed, in_words, listed, new_folder
from posellm_assets.commands.recognise import METHODS, recognise_video, recogniser_of
from posellm_assets.footage.manifest import read_manifest

_AS_SUITS = "as suits the sport"


def recognise_tab(shared: Shared) -> None:
    """Lay the tab out."""
    with gr.Row():
        with gr.Column(scale=1):
            upload = gr.File(label="A video of yours", file_types=[*VIDEO_ENDINGS], elem_id="recognise-file")
            clip = gr.Dropdown(shared.clips(), label="or one of the lake", value=None, elem_id="recognise-clip")
            sport = gr.Textbox(label="Sport (its classes alone)", max_length=60)
            method = gr.Radio([_AS_SUITS, *METHODS], value=_AS_SUITS, label="Look at it")
            button = gr.Button("Recognise", variant="primary", elem_id="recognise-go")
            counts = gr.HTML(elem_id="recognise-counts")
            files = gr.Files(label="Take away", interactive=False)
        with gr.Column(scale=2):
            line = gr.HTML(elem_id="recognise-line")
    table = gr.Dataframe(label="One by one", interactive=False, wrap=True, elem_id="recognise-table")
    button.click(
        in_words(lambda *given: _recognised(shared, *given)),
        [upload, clip, sport, method],
        [counts, line, table, files],
        **EVENT,
    )
    upload.change(lambda given: None if given else gr.skip(), upload, clip, api_visibility="private", queue=False)


def _recognised(shared: Shared, upload: str | None, key: str | None, sport: str, method: Any) -> tuple[Any, ...]:
    lake = shared.lake.lake
    if upload is None and key in shared.clips():
        path = lake.raw / read_manifest(lake, key).source
    else:
        path = shared.looked_at(upload)
    folder, recogniser = new_folder(), recogniser_of(lake, shared.lake.settings)
    looked_as = None if method == _AS_SUITS else method
    found = recognise_video(recogniser, path, sport.strip() or None, looked_as, folder, shared.pool)
    times = Counter[str]()
    for segment in found.segments:
        times[class_name(found, segment.answer.action)] += segment.repetitions or 1
    said = [f"{name}: {count}" for name, count in times.most_common()] or ["nothing was found"]
    page = folder / f"{path.stem}.html"
    return listed(said), framed(page), _table(found), [str(one) for one in sorted(folder.iterdir())]


def _table(found: Recognition) -> pd.DataFrame:
    rows = [
        {
            "s": round(one.timestamp, 2),
            "action": class_name(found, one.answer.action),
            "nearest": class_name(found, one.answer.likeliest),
            "confidence": round(one.answer.confidence, 2),
            "times": one.repetitions,
            **{member: f"{said['action']} {said['confidence']:.2f}" for member, said in one.answer.opinions.items()},
        }
        for one in found.segments
    ]
    return pd.DataFrame(rows)
