"""The lake's reports beside the UI: pages of the lake and nothing else, without the UI's origin."""

import os
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from posellm_assets.defs.common import page, served
from posellm_assets.defs.pages import Pages
from posellm_assets.lake import Lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "lake")
    lake.report("all-0001").mkdir(parents=True)
    (lake.report("all-0001") / "index.html").write_text("<p>a report</p>")
    (lake.report("all-0001") / "metrics.json").write_text("{}")
    (tmp_path / "secret.html").write_text("not of the lake")
    return lake


@pytest.fixture
def client(lake: Lake) -> TestClient:
    async def ui(request: object) -> PlainTextResponse:
        return PlainTextResponse("the UI")

    return TestClient(Pages(Starlette(routes=[Route("/{path:path}", ui)]), lake))


def test_a_report_opens_at_its_link_as_a_page_of_no_origin(lake: Lake, client: TestClient) -> None:
    answer = client.get(page(lake, lake.report("all-0001"))["report"].value)
    assert (answer.status_code, answer.text) == (200, "<p>a report</p>")
    policy = answer.headers["content-security-policy"]
    assert "sandbox allow-scripts;" in policy and "allow-same-origin" not in policy and "default-src 'none'" in policy


@pytest.mark.parametrize(
    "path",
    [
        "reports/all-0002/index.html",
        "reports/all-0001",
        "reports/all-0001/metrics.json",
        "../secret.html",
        "%2e%2e/secret.html",
        "reports/../../secret.html",
        "reports/%00.html",
        "link.html",
        "poses/%2e%2e/%2e%2e/secret.html",
        "",
    ],
)
def test_what_is_no_page_of_the_lake_is_not_there(lake: Lake, client: TestClient, path: str) -> None:
    os.symlink(lake.root.parent / "secret.html", lake.root / "link.html")
    assert "not of the lake" not in client.get(f"/lake/{path}").text
    assert client.get(f"/lake/{path}").text in ("no such page\n", "the UI")


def test_a_contact_sheet_is_a_picture(lake: Lake, client: TestClient) -> None:
    sheet = lake.contact_sheet("tennis.a-b.9f3a12cd")
    sheet.parent.mkdir(parents=True)
    sheet.write_bytes(b"\xff\xd8\xff\xe0")
    answer = client.get(served(lake, sheet))
    assert (answer.headers["content-type"], answer.content) == ("image/jpeg", sheet.read_bytes())


def test_all_else_is_the_ui(client: TestClient) -> None:
    assert client.get("/runs").text == "the UI"


def test_an_absolute_path_leads_nowhere(lake: Lake) -> None:
    assert Pages(Starlette(), lake).find(str(lake.root.parent / "secret.html")) is None
