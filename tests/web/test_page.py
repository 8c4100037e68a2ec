import os
from pathlib import Path

import pytest

from services.gateway import page
from services.gateway.page import PAGE_POLICY
from tests.support.gateway_memory import make_client, make_gateway

INDEX = "<!doctype html><title>page</title>"


def build(folder: Path, text: str = INDEX) -> Path:
    """What `make web` leaves, in small."""
    (folder / "assets").mkdir(parents=True, exist_ok=True)
    (folder / "index.html").write_text(text, encoding="utf-8")
    (folder / "assets" / "index-a1.js").write_text("let a = 1", encoding="utf-8")
    (folder / "assets" / "index-a1.css").write_text("p {}", encoding="utf-8")
    (folder / "assets" / "notes.txt").write_text("not of the page", encoding="utf-8")
    (folder / "secret.js").write_text("not of the page", encoding="utf-8")
    return folder


async def test_the_page_and_its_files_are_served_and_nothing_else(tmp_path: Path) -> None:
    gateway = make_gateway(gateway_page_dir=build(tmp_path / "dist"))
    async with make_client(gateway, account=None) as client:
        index = await client.get("/")
        script = await client.get("/assets/index-a1.js")
        style = await client.get("/assets/index-a1.css")
        others = [
            await client.get(f"/assets/{name}")
            for name in ("index.html", "notes.txt", "secret.js", "..%2Fsecret.js", "%2e%2e", "a%00")
        ]
    assert (index.status_code, index.text) == (200, INDEX)
    assert index.headers["content-type"] == "text/html; charset=utf-8"
    assert (script.text, style.text) == ("let a = 1", "p {}")
    assert script.headers["content-type"].startswith("text/javascript")
    assert style.headers["content-type"].startswith("text/css")
    assert "immutable" in script.headers["cache-control"]
    assert {(other.status_code, other.json()["reason"]) for other in others} == {(404, "NOT_FOUND")}


@pytest.mark.parametrize("is_built", [True, False])
async def test_the_page_says_what_browsers_must_not_do(tmp_path: Path, *, is_built: bool) -> None:
    folder = build(tmp_path / "dist") if is_built else tmp_path
    async with make_client(make_gateway(gateway_page_dir=folder), account=None) as client:
        headers = (await client.get("/")).headers
    assert headers["content-security-policy"] == PAGE_POLICY
    assert "default-src 'self'; connect-src 'self'" in PAGE_POLICY
    assert "frame-ancestors 'none'" in PAGE_POLICY
    assert "unsafe" not in PAGE_POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-cache"


async def test_without_a_build_it_says_how_to_build_and_shows_it_once_built(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "dist"
    async with make_client(make_gateway(gateway_page_dir=folder), account=None) as client:
        before = await client.get("/")
        asset = await client.get("/assets/index-a1.js")
        tickers = await client.get("/tickers")
        build(folder)
        built = await client.get("/")
        build(folder, "another")
        os.utime(folder / "index.html", ns=(1, 1))
        again = await client.get("/")
    assert (before.status_code, asset.status_code) == (200, 404)
    assert "make web" in before.text
    assert "<script" not in before.text
    assert tickers.status_code == 200
    assert (built.text, again.text) == (INDEX, "another")


async def test_a_folder_that_is_too_large_is_no_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = build(tmp_path / "dist")
    gateway = make_gateway(gateway_page_dir=folder)
    async with make_client(gateway, account=None) as client:
        monkeypatch.setattr(page, "FILE_BYTES_MAX", 20)
        large = await client.get("/")
        monkeypatch.setattr(page, "FILE_BYTES_MAX", 10_000)
        monkeypatch.setattr(page, "FILES_MAX", 2)
        many = await client.get("/")
    assert (large.status_code, many.status_code) == (200, 200)
    assert "index.html is larger than 20 bytes" in large.text
    assert "more than 2 files" in many.text
