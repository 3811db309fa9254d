"""The tab Describe: a clip with its skeleton, what the model says of it, what was measured, and files to take away."""

from pathlib import Path
from typing import Any

import gradio as gr
import pandas as pd

from posellm_assets.app.shared import EVENT, VIDEO_ENDINGS, Shared, in_words, listed, new_folder
from posellm_assets.commands.describe import Watched, describe_look, look_at, look_at_clip
from posellm_assets.footage.capture import is_landmarks
from posellm_assets.footage.manifest import read_manifest
from posellm_assets.footage.video import frames
from posellm_assets.footage.writing import write_timed_video
from posellm_assets.motion.formats import write_motion
from posellm_assets.motion.rendering import render_video
from posellm_assets.poses.drawing import draw_subject

_COLUMNS = ("start_s", "end_s", "side", "joint", "kind", "value", "unit")


def describe_tab(shared: Shared) -> None:
    """Lay the tab out."""
    with gr.Row():
        with gr.Column(scale=1):
            upload = gr.File(label="A clip of yours", file_types=[*VIDEO_ENDINGS, ".parquet"], elem_id="describe-file")
            clip = gr.Dropdown(shared.clips(), label="or one of the lake", value=None, elem_id="describe-clip")
            language = gr.Radio(
                [("English", "en"), ("español", "es"), ("中文", "zh")], value="en", label="Language", container=False
            )
            button = gr.Button("Describe", variant="primary", elem_id="describe-go")
        with gr.Column(scale=2):
            video = gr.Video(label="With its skeleton", interactive=False, autoplay=True, loop=True, height=360)
            said = gr.HTML(elem_id="describe-said")
    plot = gr.LinePlot(
        x="time_s", y="degrees", color="joint", label="Joint angles", height=260, elem_id="describe-angles"
    )
    with gr.Row():
        facts = gr.Dataframe(label="Measured", headers=list(_COLUMNS), interactive=False, wrap=True, max_height=320)
        files = gr.Files(label="Take away", interactive=False, elem_id="describe-files")
    button.click(
        in_words(lambda *given: _described(shared, *given)),
        [upload, clip, language],
        [video, said, plot, facts, files],
        **EVENT,
    )
    upload.change(lambda given: None if given else gr.skip(), upload, clip, api_visibility="private", queue=False)


def _described(shared: Shared, upload: str | None, key: str | None, language: Any) -> tuple[Any, ...]:
    lake, settings = shared.lake.lake, shared.lake.settings
    if upload is None and key in shared.clips():
        path, name = lake.raw / read_manifest(lake, key).source, key
        look = look_at_clip(lake, key)
    else:
        path = shared.looked_at(upload)
        name, look = path.stem, look_at(path, settings, shared.pool)
    told = describe_look(lake, look, settings, language)
    folder = new_folder()
    video = _annotated(path, look, folder / f"{name}.mp4")
    angles = shared.lake.angles(look.motion)
    angles.to_csv(folder / f"{name}.angles.csv")
    facts = pd.DataFrame(told["facts"])
    facts.to_csv(folder / f"{name}.facts.csv", index=False)
    look.motion.write(folder / f"{name}.motion.parquet")
    write_motion(max(look.motion.segments(0.0), key=len), folder / f"{name}.bvh", name)
    rows = angles.reset_index().melt("time_s", var_name="joint", value_name="degrees").dropna()
    shown = facts.reindex(columns=list(_COLUMNS)) if len(facts) else pd.DataFrame(columns=list(_COLUMNS))
    return video, listed(told["sentences"]), rows, shown, [str(one) for one in sorted(folder.iterdir())]


def _annotated(path: Path, look: Watched, out: Path) -> str:
    """The video with the skeleton drawn in; of landmarks alone a stick figure."""
    if is_landmarks(path.name):
        render_video([look.motion], out, [path.name])
        return str(out)

    def drawn() -> Any:
        for frame in frames(path):
            picture = frame.rgb.copy()
            draw_subject(picture, frame.time_s, look.subject)
            yield frame.time_s, picture

    write_timed_video(out, drawn(), look.subject.fps)
    return str(out)
