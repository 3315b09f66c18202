"""The OpenAPI document and a page to read it by, both served from here alone: no script, no other host."""

import asyncio
import json
from collections.abc import Callable
from html import escape
from typing import Any

import msgspec
from litestar import Litestar, Request, get
from litestar.response.base import ASGIResponse

from entrypoints.http.headers import page_policy
from entrypoints.http.openapi import JsonObject, build_document

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2430}
code,pre{font:13px/1.45 ui-monospace,monospace}pre{background:#f4f6f8;padding:.8rem;overflow-x:auto}
details{border:1px solid #d6dce3;border-radius:6px;margin:.5rem 0;padding:.4rem .8rem}
summary{cursor:pointer}summary b{display:inline-block;width:3.5rem;color:#0b5c8a}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.2rem .6rem;border-top:1px solid #e5e9ee}
@media(prefers-color-scheme:dark){body{background:#14181d;color:#dfe5ec}pre{background:#1d232a}
details,td,th{border-color:#333c46}summary b{color:#6cb8e6}a{color:#6cb8e6}}
"""


@get("/schema/openapi.json", opt={})
async def openapi_json(request: Request[Any, Any, Any]) -> ASGIResponse:
    body = await _made(request.app, "openapi_json", _encode)
    return ASGIResponse(body=body, media_type="application/vnd.oai.openapi+json")


@get("/schema")
async def openapi_page(request: Request[Any, Any, Any]) -> ASGIResponse:
    return ASGIResponse(
        body=await _made(request.app, "openapi_page", _render),
        media_type="text/html",
        headers={"Content-Security-Policy": page_policy(_STYLE)},
    )


ROUTES = [openapi_json, openapi_page]


async def _made(app: Litestar, name: str, make: Callable[[Litestar], bytes]) -> bytes:
    """What `make` makes of the application, made when somebody first asks, beside the other requests."""
    if name not in app.state:
        app.state[name] = await asyncio.to_thread(make, app)
    made: bytes = app.state[name]
    return made


def _encode(app: Litestar) -> bytes:
    return msgspec.json.encode(build_document(app))


def _render(app: Litestar) -> bytes:
    return render_page(build_document(app)).encode()


def render_page(document: JsonObject) -> str:
    """The whole API on one page."""
    info = document["info"]
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        "<meta name=viewport content='width=device-width,initial-scale=1'>",
        f"<title>{escape(info['title'])} API</title><style>{_STYLE}</style>",
        f"<h1>{escape(info['title'])} API {escape(info['version'])}</h1><p>{escape(info['description'])}</p>",
        "<p><a href='/schema/openapi.json'>openapi.json</a></p>",
    ]
    for tag in document["tags"]:
        parts.append(f"<h2>{escape(tag['name'])}</h2>")
        parts += [
            _operation(method, path, operation)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
            if tag["name"] in operation["tags"]
        ]
    parts.append("<h2>Schemas</h2>")
    parts += [
        f"<details id='{escape(name)}'><summary>{escape(name)}</summary>{_json(schema)}</details>"
        for name, schema in document["components"]["schemas"].items()
    ]
    return "".join(parts)


def _operation(method: str, path: str, operation: JsonObject) -> str:
    scopes = [scope for need in operation.get("security", []) for scope in need["bearer"]]
    parts = [
        f"<details id='{operation['operationId']}'><summary><b>{method.upper()}</b> <code>{escape(path)}</code> "
        f"{escape(operation['summary'])}</summary>",
        f"<p>{escape(operation.get('description', ''))}</p>",
        f"<p>Scopes: <code>{escape(' '.join(scopes)) or 'none'}</code></p>",
    ]
    if operation["parameters"]:
        rows = "".join(
            f"<tr><td><code>{escape(parameter['name'])}</code><td>{parameter['in']}"
            f"<td>{'required' if parameter['required'] else ''}<td>{escape(parameter.get('description', ''))}"
            for parameter in operation["parameters"]
        )
        parts.append(f"<table><tr><th>Parameter<th>in<th><th>{rows}</table>")
    if "requestBody" in operation:
        parts.append("<h4>Body</h4>" + _content(operation["requestBody"]["content"]))
    for status, response in operation["responses"].items():
        parts.append(f"<h4>{status} {escape(response['description'])}</h4>")
        if status < "400":
            parts.append(_content(response.get("content", {})))
    return "".join(parts) + "</details>"


def _content(content: JsonObject) -> str:
    parts = []
    for media in content.values():
        name = media["schema"].get("$ref", "").rsplit("/", 1)[-1]
        if name:
            parts.append(f"<p>Schema <a href='#{escape(name)}'>{escape(name)}</a></p>")
        examples = [example["value"] for example in media.get("examples", {}).values()]
        parts += [
            _json(example) for example in [*examples, *([media["example"]] if "example" in media else [])]
        ]
    return "".join(parts)


def _json(value: Any) -> str:
    return f"<pre>{escape(json.dumps(value, indent=2, ensure_ascii=False))}</pre>"
