"""The tab Generate: motions for a sentence, or from clips of the lake, beside the nearest real one."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from posellm_assets.app.shared import EVENT, Shared, in_words, listed, new_folder
from posellm_assets.commands.generate import Generated, Request, generate_motions, write_motions
from posellm_assets.footage.manifest import read_manifest
from posellm_assets.generations.releases import required
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.rendering import render_video

_TEXT, _CONTINUE, _BETWEEN = "from a sentence", "go on from a clip", "between two clips"


def generate_tab(shared: Shared) -> None:
    """Lay the tab out."""
    clips = shared.clips()
    people = sorted({str(one) for one in shared.lake.videos()["participant"].dropna()})
    with gr.Row():
        with gr.Column(scale=1):
            kind = gr.Radio([_TEXT, _CONTINUE, _BETWEEN], value=_TEXT, label="Generate", elem_id="generate-kind")
            text = gr.Textbox(label="A sentence", placeholder="a person does a squat", max_length=300)
            first = gr.Dropdown(clips, label="A clip of the lake", value=None, visible=False, elem_id="generate-first")
            second = gr.Dropdown(clips, label="and another", value=None, visible=False, elem_id="generate-second")
            samples = gr.Slider(0, 8, 0, step=1, label="Samples (0: the best of four)")
            seconds = gr.Slider(0, 10, 0, step=0.5, label="Seconds (0: as in the training)")
            seed = gr.Number(0, label="Seed", precision=0, minimum=0)
            participant = gr.Dropdown(["", *people], label="In the manner of", value="", allow_custom_value=True)
            button = gr.Button("Generate", variant="primary", elem_id="generate-go")
        with gr.Column(scale=2):
            video = gr.Video(label="Generated, and a real one beside it", interactive=False, autoplay=True, loop=True)
            said = gr.HTML(elem_id="generate-said")
            files = gr.Files(label="Take away", interactive=False, elem_id="generate-files")
    kind.change(_asked_for, kind, [text, first, second, participant], queue=False, api_visibility="private")
    given = [kind, text, first, second, samples, seconds, seed, participant]
    button.click(in_words(lambda *given: _generated(shared, *given)), given, [video, said, files], **EVENT)


def _asked_for(kind: str) -> list[Any]:
    shown = (kind == _TEXT, kind != _TEXT, kind == _BETWEEN, kind == _TEXT)
    return [gr.update(visible=one) for one in shown]


def _generated(
    shared: Shared,
    kind: str,
    text: str,
    first: str | None,
    second: str | None,
    samples: float,
    seconds: float,
    seed: float,
    participant: str | None,
) -> tuple[Any, ...]:
    lake, of_text = shared.lake.lake, kind == _TEXT
    ends = [] if of_text else [first] if kind == _CONTINUE else [first, second]
    if not all(end in shared.clips() for end in ends):
        raise ValueError("choose clips of the lake first")
    request = Request(
        text=text if of_text else None,
        ends=[end for end in ends if end],
        participant=(participant or None) if of_text else None,
        seed=int(seed or 0),
        samples=int(samples) or None,
        duration_s=float(seconds) or None,
    )
    found = generate_motions(lake, shared.lake.settings, request)
    folder = new_folder()
    for ending in ("bvh", "json"):
        write_motions(found.made, request, required(lake, "language"), found.asked, folder / f"generated.{ending}")
    video = folder / "generated.mp4"
    beside = _beside(shared, found, request.ends)
    titles = [one.taken_for or request.title for one in found.made]
    shown = [*(one.motion for one in found.made), *(motion for _, motion in beside)]
    render_video(shown, video, [*titles, *(f"real: {key}" for key, _ in beside)])
    sentences = [one.told(repr(request.title)) + f" (seed {one.seed})" for one in found.made]
    warnings = listed([one for one in (found.warning, found.doubt) if one], "warned")
    return str(video), warnings + listed(sentences), [str(one) for one in sorted(folder.iterdir())]


def _beside(shared: Shared, found: Generated, ends: Sequence[str]) -> list[tuple[str, Motion]]:
    """The clips that were gone on from, or the real motion of the same movement that is nearest in length."""
    lake = shared.lake.lake
    keys = list(ends) or [key for key in shared.clips() if read_manifest(lake, key).label == found.label]
    real = [(key, motion) for key in keys if (motion := shared.lake.motion(key)).fps == found.made[0].motion.fps]
    if ends or found.label is None:
        return real if ends else []
    wanted_s = found.made[0].motion.duration_s
    return sorted(real, key=lambda one: abs(one[1].duration_s - wanted_s))[:1]
