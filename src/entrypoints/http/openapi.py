"""The OpenAPI 3.1 document, from the routes that are really there and the structs that they really take.

Litestar's own generator is not used: bodies here are parsed by `bodies.py`, strictly and with all
faults told, so the document is made from what that module uses.
"""

import json
from collections.abc import Iterator
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, get_type_hints

import msgspec
from litestar import Litestar
from litestar.routes import HTTPRoute

from entrypoints.http.limits import UNLIMITED
from entrypoints.http.operations import Operation
from entrypoints.http.problems import ProblemBody

JsonObject = dict[str, Any]

_REF = "#/components/schemas/{name}"
_HEADERS: JsonObject = {
    "X-Request-Id": {
        "description": "This request's name in our logs; the request's own, where it has one.",
        "schema": {"type": "string"},
    },
}
_REQUEST_ID = {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}}
_RETRY_AFTER = {
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}
}


def build_document(app: Litestar) -> JsonObject:
    """The whole document."""
    operations = list(_operations(app))
    schemas, components = _schemas([operation for _, _, operation in operations])
    paths: dict[str, JsonObject] = {}
    for path, method, operation in operations:
        paths.setdefault(path, {})[method] = _operation_object(path, operation, schemas)
    tags = {operation.tag for _, _, operation in operations}
    return _with_ecma_patterns(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Payonce",
                "version": version("payonce"),
                "description": "An order service and a payment service that always agree. Amounts are integers "
                "in the currency's minor unit, times are RFC 3339 in UTC, errors are RFC 9457 problems "
                "with a stable `code`.",
                "license": {"name": "MIT", "identifier": "MIT"},
            },
            "servers": [{"url": "/"}],
            "tags": [{"name": tag} for tag in sorted(tags)],
            "paths": dict(sorted(paths.items())),
            "components": {
                "schemas": components,
                "headers": _HEADERS,
                "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            },
        }
    )


def _operations(app: Litestar) -> Iterator[tuple[str, str, Operation]]:
    for registered in app.routes:
        if isinstance(registered, HTTPRoute):
            for handler, _ in registered.route_handler_map.values():
                operation = handler.opt.get("operation")
                if isinstance(operation, Operation):
                    for method in handler.http_methods:
                        yield registered.path_format, method.lower(), operation


def _schemas(operations: list[Operation]) -> tuple[dict[Any, JsonObject], JsonObject]:
    types: list[Any] = [ProblemBody]
    for operation in operations:
        types += [kind for kind in (operation.answer, operation.body) if kind and kind not in types]
    references, components = msgspec.json.schema_components(types, ref_template=_REF)
    return dict(zip(types, references, strict=True)), dict(sorted(components.items()))


def _operation_object(path: str, operation: Operation, schemas: dict[Any, JsonObject]) -> JsonObject:
    described: JsonObject = {
        "operationId": operation.operation_id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "parameters": list(_parameters(path, operation)),
        "responses": dict(_responses(path, operation, schemas)),
    }
    if operation.description:
        described["description"] = operation.description
    if operation.scopes:
        described["security"] = [{"bearer": list(operation.scopes)}]
    if operation.body:
        described["requestBody"] = {
            "required": bool(_required_fields(operation.body)),
            "content": {
                "application/json": {
                    "schema": schemas[operation.body],
                    "examples": {
                        name: {"value": msgspec.to_builtins(value)}
                        for name, value in operation.body_examples.items()
                    },
                }
            },
        }
    return described


def _required_fields(schema: Any) -> list[str]:
    if not issubclass(schema, msgspec.Struct):
        return ["*"]
    return [field.name for field in msgspec.structs.fields(schema) if field.required]


def _parameters(path: str, operation: Operation) -> Iterator[JsonObject]:
    for part in path.split("/"):
        if part.startswith("{"):
            name = part.strip("{}")
            of_ids = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}
            schema = _inline(operation.path[name]) if name in operation.path else of_ids
            yield {"name": name, "in": "path", "required": True, "schema": schema}
    if operation.query:
        hints = get_type_hints(operation.query, include_extras=True)
        for field in msgspec.structs.fields(operation.query):
            schema = _inline(hints[field.name])
            if not field.required and field.default is not None:
                schema["default"] = field.default
            yield {
                "name": field.encode_name,
                "in": "query",
                "required": field.required,
                "schema": schema,
                "description": schema.pop("description", field.encode_name),
            }
    for name, description in {**operation.headers, **operation.optional_headers}.items():
        yield {
            "name": name,
            "in": "header",
            "required": name in operation.headers,
            "schema": {"type": "string"},
            "description": description,
        }
    if operation.if_match != "none":
        yield {
            "name": "If-Match",
            "in": "header",
            "required": operation.if_match == "required",
            "schema": {"type": "string"},
            "description": "The `ETag` of what is changed, as the client knows it; a list of them; or `*`.",
            "example": '"3"',
        }
    if operation.key != "none":
        yield {
            "name": "Idempotency-Key",
            "in": "header",
            "required": operation.key == "required",
            "schema": {"type": "string", "pattern": "^[!#-~][!-~]{0,254}$"},
            "description": "A name of this request, new for each: sent again, it gets the first answer again.",
            "example": "2f1c7e0a-checkout-1",
        }


def _inline(hint: Any) -> JsonObject:
    """The schema of a query parameter, which is absent rather than null, with what it refers to put in."""
    (schema,), components = msgspec.json.schema_components([hint], ref_template=_REF)
    choices = [choice for choice in schema.get("anyOf", [schema]) if choice.get("type") != "null"]
    schema = dict(choices[0])
    if reference := schema.pop("$ref", None):
        schema |= components[reference.rsplit("/", 1)[1]]
    schema.pop("title", None)
    return schema


def _responses(
    path: str, operation: Operation, schemas: dict[Any, JsonObject]
) -> Iterator[tuple[str, JsonObject]]:
    headers: JsonObject = dict(_REQUEST_ID)
    if operation.etag:
        headers["ETag"] = {"description": "The version, quoted.", "schema": {"type": "string"}}
    if operation.key != "none":
        headers["Idempotency-Replayed"] = {
            "description": "`true` where this is the first answer again.",
            "schema": {"type": "string", "const": "true"},
        }
    for status, example in {operation.status: operation.answer_example, **operation.other_answers}.items():
        response: JsonObject = {"description": HTTPStatus(status).phrase, "headers": headers}
        if operation.answer is not None:
            content = {"schema": schemas[operation.answer], "example": msgspec.to_builtins(example)}
            response["content"] = {operation.media_type: content}
        yield str(status), response
    for status, codes in sorted(_problems(path, operation).items()):
        yield str(status), _problem_response(status, codes, schemas[ProblemBody])


def _problems(path: str, operation: Operation) -> dict[int, tuple[str, ...]]:
    """The general problems of such a call, and its own."""
    problems: dict[int, tuple[str, ...]] = {}

    def add(status: int, *codes: str) -> None:
        problems[status] = problems.get(status, ()) + codes

    if operation.scopes:
        add(401, "token_missing", "token_invalid", "token_expired")
        add(403, "scope_missing")
        add(503, "database_unavailable")
    if path not in UNLIMITED:
        add(429, "rate_limited")
    if operation.body or operation.query:
        add(400, "malformed", "card_data_forbidden")
    if operation.body and operation.scopes:
        add(400, "invalid_json")
        add(413, "body_too_large")
        add(415, "media_type_unsupported")
    if operation.key != "none":
        add(400, "idempotency_key_malformed")
        add(409, "request_in_flight")
        add(422, "idempotency_key_reused")
    if operation.key == "required":
        add(400, "idempotency_key_missing")
    if operation.if_match != "none":
        add(400, "if_match_malformed")
        add(412, "version_stale")
    if operation.if_match == "required":
        add(428, "if_match_missing")
    if "{" in path:
        add(404, "not_found")
    for status, codes in operation.problems.items():
        add(status, *codes)
    return problems


def _problem_response(status: int, codes: tuple[str, ...], schema: JsonObject) -> JsonObject:
    phrase = HTTPStatus(status).phrase
    headers: JsonObject = dict(_REQUEST_ID)
    if status in (409, 429, 503):
        headers |= _RETRY_AFTER
    if status in (401, 403):
        headers["WWW-Authenticate"] = {"schema": {"type": "string"}}
    example = ProblemBody(title=phrase, status=status, detail="What is wrong, for people.", code=codes[-1])
    return {
        "description": f"{phrase}: {', '.join(f'`{code}`' for code in codes)}",
        "headers": headers,
        "content": {"application/problem+json": {"schema": schema, "example": msgspec.to_builtins(example)}},
    }


def _with_ecma_patterns(document: JsonObject) -> JsonObject:
    """The end of a text is `$` in ECMA 262, by which JSON Schema reads patterns, and `\\Z` in Python."""
    text = json.dumps(document, default=msgspec.to_builtins)
    plain: JsonObject = json.loads(text.replace("\\\\Z", "$"))
    return plain
