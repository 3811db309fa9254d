"""The tab Coach: before the camera of the browser, whose page is `coach.js`, or over a file."""

from pathlib import Path
from typing import Any

import gradio as gr
from markupsafe import Markup

from posellm_assets.app.shared import EVENT, VIDEO_ENDINGS, Shared, framed, in_words, listed, new_folder
from posellm_assets.coaching.labels.rules import all_rules
from posellm_assets.commands.coach import hold_session

_RECOGNISED = ""


def coach_tab(shared: Shared) -> None:
    """Lay the tab out."""
    exercises = [rules.exercise for rules in all_rules()]
    with gr.Tabs():
        with gr.Tab("Camera"):
            gr.HTML(_camera(exercises), padding=False)
        with gr.Tab("File", render_children=True), gr.Row():
            with gr.Column(scale=1):
                upload = gr.File(label="A video of yours", file_types=[*VIDEO_ENDINGS], elem_id="coach-file")
                names = [("say it yourself", _RECOGNISED), *((one, one) for one in exercises)]
                exercise = gr.Dropdown(names, value="squat", label="Exercise", elem_id="coach-exercise-of-file")
                rules = gr.Checkbox(False, label="Let the rules speak although a coach was trained")
                button = gr.Button("Coach", variant="primary", elem_id="coach-go")
                files = gr.Files(label="Take away", interactive=False)
            with gr.Column(scale=2):
                said = gr.HTML(elem_id="coach-said")
                report = gr.HTML(elem_id="coach-report-of-file")
    button.click(
        in_words(lambda *given: _coached(shared, *given)), [upload, exercise, rules], [said, report, files], **EVENT
    )


def _coached(shared: Shared, upload: str | None, exercise: str, by_rules: bool) -> tuple[Any, ...]:
    video = shared.looked_at(upload)
    out = new_folder() / "coached.mp4"
    lake = shared.lake
    report, page = hold_session(lake.lake, lake.settings, video, None, exercise or None, out, by_rules, aloud=False)
    said = [f"{one.time_s:.1f} s: {one.text}" for one in report.messages] or ["nothing was said"]
    return listed(said), framed(Path(str(page))), [str(one) for one in sorted(out.parent.iterdir())]


def _camera(exercises: list[str]) -> str:
    options = Markup("").join(Markup("<option>{}</option>").format(one) for one in exercises)
    return str(
        Markup(
            '<div id="coach"><div class="row"><label>Exercise <select id="coach-exercise">'
            '<option value="">say it yourself</option>{}</select></label>'
            '<label><input type="checkbox" id="coach-aloud"> spoken</label>'
            '<button id="coach-start">Start</button><button id="coach-stop" hidden>Stop</button></div>'
            '<div class="stage"><video id="coach-video" playsinline muted></video>'
            '<canvas id="coach-canvas"></canvas><div class="count" id="coach-count"></div>'
            '<div class="message" id="coach-message" role="status"></div></div>'
            '<p class="told" id="coach-told">Your pictures go to this server and are kept nowhere.</p>'
            '<ol id="coach-messages"></ol><div id="coach-report"></div></div>'
        ).format(options)
    )
