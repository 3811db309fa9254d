"""The pages and contact sheets of the lake beside the Dagster UI, so that a report opens with a click.

A report shows labels and captions of whoever made them. It is served as a page of an origin of its own, which may run
its script and reach neither the UI nor any other server.
"""

from pathlib import Path

from starlette.responses import FileResponse, PlainTextResponse

from posellm_assets.defs.common import PAGES
from posellm_assets.defs.guard import App, Receive, Scope, Send
from posellm_assets.lake import Lake

_SERVED = (".html", ".jpg")
_ALONE = {
    "content-security-policy": "sandbox allow-scripts; default-src 'none'; img-src data:; media-src data: blob:; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'; font-src data:",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


class Pages:
    """An ASGI application before another: it answers what asks for files of `lake`, and passes all else on."""

    def __init__(self, app: App, lake: Lake):
        self.app = app
        self.root = lake.root.resolve()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the page, or 404 where there is none."""
        if scope["type"] != "http" or not scope["path"].startswith(PAGES):
            await self.app(scope, receive, send)
            return
        page = self.find(scope["path"].removeprefix(PAGES))
        answer = FileResponse(page, headers=_ALONE) if page else PlainTextResponse("no such page\n", 404)
        await answer(scope, receive, send)

    def find(self, path: str) -> Path | None:
        """The page or picture at a path of the lake; None where there is none, or it is none of the lake's own."""
        if "\0" in path:
            return None
        page = (self.root / path).resolve()
        return page if page.suffix in _SERVED and page.is_relative_to(self.root) and page.is_file() else None
