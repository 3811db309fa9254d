"""The page: its tabs in order."""

import gradio as gr

from posellm_assets.app.coaching import coach_tab
from posellm_assets.app.describing import describe_tab
from posellm_assets.app.generating import generate_tab
from posellm_assets.app.lake_tab import lake_tab
from posellm_assets.app.recognising import recognise_tab
from posellm_assets.app.shared import Shared

_TABS = {
    "Describe": describe_tab,
    "Recognise": recognise_tab,
    "Generate": generate_tab,
    "Coach": coach_tab,
    "Lake": lake_tab,
}
_KEPT_S = 6 * 3600  # what was sent and made is deleted after that


def build_page(shared: Shared) -> gr.Blocks:
    """The whole page over one lake."""
    with gr.Blocks(title="PoseLLM", analytics_enabled=False, delete_cache=(600, _KEPT_S), fill_width=True) as page:
        gr.HTML("<h1>PoseLLM</h1>")
        with gr.Tabs():
            for name, lay_out in _TABS.items():
                with gr.Tab(name, render_children=True):
                    lay_out(shared)
    page.queue(max_size=16, api_open=False)
    return page
