"""The server of the page: Gradio and the coach behind the guard, and nothing that comes from elsewhere."""

import os
import tempfile
from collections.abc import Iterable
from importlib.resources import files

import gradio as gr
import uvicorn
from fastapi import FastAPI, Request, Response, WebSocket
from starlette.middleware.base import RequestResponseEndpoint

from posellm_assets.app.live import coach_socket
from posellm_assets.app.page import build_page
from posellm_assets.app.shared import Shared
from posellm_assets.defs.guard import Guard
from posellm_assets.notebook import OpenLake

_ONLY_OURS = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; connect-src 'self' data: blob:; object-src 'none'"
)
"""What a page may load: what comes with Gradio, and what it made itself."""
_LARGEST_FRAME_BYTES = 1 << 20


def serve(lake: str, host: str, port: int, changing: bool = True, hosts: Iterable[str] = ()) -> None:
    """Serve the page until it is stopped; `changing`: visitors may change the lake.

    `hosts` are names that it is called by, besides those of this machine and `ui.hosts`. Raises FileNotFoundError where
    there is no lake.
    """
    with tempfile.TemporaryDirectory(prefix="posellm-app-") as uploads:
        os.environ["GRADIO_TEMP_DIR"] = uploads  # what visitors sent goes when the server does
        guarded = build_server(Shared(OpenLake(lake), changing), hosts)
        uvicorn.run(guarded, host=host, port=port, log_level="warning", ws_max_size=_LARGEST_FRAME_BYTES)


def build_server(shared: Shared, hosts: Iterable[str] = ()) -> Guard:
    """The page and the coach's socket, behind the guard."""
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    server = FastAPI(openapi_url=None)
    script = files(__package__).joinpath("coach.js").read_text(encoding="utf-8")

    @server.middleware("http")
    async def only_ours(request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        response.headers.append("content-security-policy", _ONLY_OURS)
        return response

    @server.get("/coach.js")
    async def coach_script() -> Response:
        return Response(script, media_type="text/javascript")

    @server.websocket("/coach")
    async def coach(socket: WebSocket) -> None:
        await coach_socket(socket, shared)

    settings = shared.lake.settings
    gr.mount_gradio_app(
        server,
        build_page(shared),
        path="",
        max_file_size=f"{settings.app.max_upload_mb}mb",
        footer_links=[],
        ssr_mode=False,
        show_error=False,
        enable_monitoring=False,
        run_history=False,
        theme=gr.themes.Default(
            primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
        ),
        css=files(__package__).joinpath("app.css").read_text(encoding="utf-8"),
        head='<script src="/coach.js" defer></script>',
    )
    return Guard(server, [*settings.ui.hosts, *hosts], forms="/gradio_api/upload")
