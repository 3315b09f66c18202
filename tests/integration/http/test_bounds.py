"""Every body has bounds: no list, object or text of any length, as the document itself says."""

from collections.abc import Iterator
from typing import Any

from tests.integration.http.conftest import CART, SERVICE, Api
from tests.integration.http.test_problems import problem

# Bodies that are the gateway's, not ours: their size alone is bounded.
FOREIGN = {"receiveStripeWebhook", "receiveGatewayWebhook"}


def unbounded(schema: dict[str, Any], components: dict[str, Any], at: str, depth: int = 0) -> Iterator[str]:
    """Where something may be of any length, and where things stand deeper than any body's limit."""
    assert depth <= 8, f"{at} is nested deeper than bodies may be"
    if "$ref" in schema:
        schema = components[schema["$ref"].rsplit("/", 1)[1]]
    kind = schema.get("type")
    if kind == "array":
        if "maxItems" not in schema:
            yield at
        yield from unbounded(schema["items"], components, f"{at}/*", depth + 1)
    elif kind == "object":
        others = schema.get("additionalProperties")
        if others not in (None, False):
            if "maxProperties" not in schema:
                yield at
            yield from unbounded(others, components, f"{at}/*", depth + 1)
        for name, inner in schema.get("properties", {}).items():
            yield from unbounded(inner, components, f"{at}/{name}", depth + 1)
    elif kind == "string" and not {"maxLength", "enum", "format", "pattern", "const"} & schema.keys():
        yield at
    for choice in schema.get("anyOf", []):
        yield from unbounded(choice, components, at, depth)


async def test_every_list_object_and_text_of_a_body_has_a_greatest_length(api: Api) -> None:
    document = (await api.http.get("/schema/openapi.json")).json()
    found, bodies = [], 0
    for methods in document["paths"].values():
        for operation in methods.values():
            if "requestBody" in operation and operation["operationId"] not in FOREIGN:
                schema = operation["requestBody"]["content"]["application/json"]["schema"]
                found += list(unbounded(schema, document["components"]["schemas"], operation["operationId"]))
                bodies += 1
    assert bodies > 8
    assert not found


async def test_a_list_that_is_too_long_is_refused(api: Api) -> None:
    body = problem(await api.post("/v1/orders", {**CART, "lines": CART["lines"] * 501}), 400, "malformed")
    assert body["errors"][0]["pointer"] == "/lines"


async def test_nesting_without_end_is_refused(api: Api) -> None:
    for content in (b"[" * 500_000, b'{"a":' * 100_000, b"[" * 50 + b"]" * 50):
        problem(await api.post("/v1/orders", content=content, scopes=SERVICE), 400, "invalid_json")
