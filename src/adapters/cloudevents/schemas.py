"""JSON Schemas of payment events as they are published, made from the event types themselves."""

from typing import Any

import msgspec

from adapters.cloudevents.payment_events import ENVELOPE_FIELDS, SOURCE, camel
from domain.shared.payment_events import EVENT_TYPES

JsonObject = dict[str, Any]

ENVELOPE = "PaymentEventEnvelope"

_ID = "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
_MINOR_UNITS = {"minimum": 0, "description": "In the currency's minor unit."}
# What the Python types do not say.
_FIELDS: dict[str, JsonObject] = {
    "currency": {"pattern": "^[A-Z]{3}$", "description": "ISO 4217."},
    "amount": {**_MINOR_UNITS, "description": "Of this event alone, in the currency's minor unit."},
    "amountCaptured": _MINOR_UNITS,
    "amountRefunded": _MINOR_UNITS,
}


def payment_event_schemas(ref_template: str) -> dict[str, JsonObject]:
    """Schemas by name: one for each event type under its own name, and those that they refer to.

    `ref_template` says how one refers to another, as `#/components/schemas/{name}`.
    """
    references = [(event_type, kind, f"{event_type}Data") for event_type, kind in EVENT_TYPES.items()]
    _, parts = msgspec.json.schema_components([kind for _, kind, _ in references], ref_template=ref_template)
    schemas = {name: _as_written(schema) for name, schema in parts.items() if name not in EVENT_TYPES}
    for event_type, _, data_name in references:
        schemas[data_name] = {**_as_written(parts[event_type]), "title": data_name}
        schemas[event_type] = {
            "title": event_type,
            "allOf": [
                {"$ref": ref_template.format(name=ENVELOPE)},
                {
                    "properties": {
                        "type": {"const": event_type},
                        "data": {"$ref": ref_template.format(name=data_name)},
                    }
                },
            ],
        }
    return dict(sorted({**schemas, ENVELOPE: _envelope()}.items()))


def _as_written(schema: JsonObject) -> JsonObject:
    """The schema of a dataclass with its fields named as they are on the wire, without the envelope's."""
    if "properties" not in schema:
        return schema
    properties = {
        camel(name): {**value, **_FIELDS.get(camel(name), {})}
        for name, value in schema["properties"].items()
        if name not in ENVELOPE_FIELDS
    }
    required = [camel(name) for name in schema["required"] if name not in ENVELOPE_FIELDS]
    return {**schema, "properties": properties, "required": required}


def _envelope() -> JsonObject:
    """https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/cloudevents.json, and what we promise."""
    described: dict[str, JsonObject] = {
        "specversion": {"const": "1.0"},
        "id": {"format": "uuid", "pattern": _ID, "description": "UUIDv7; the same each time it is sent."},
        "source": {"const": SOURCE},
        "type": {"enum": list(EVENT_TYPES)},
        "subject": {"minLength": 1, "description": "The payment's id."},
        "time": {"format": "date-time", "description": "When it happened, in UTC."},
        "datacontenttype": {"const": "application/json"},
        "partitionkey": {"minLength": 1, "description": "The order's id."},
        "sequence": {
            "pattern": "^[0-9]{10}$",
            "description": "1, 2, 3 … of its payment, without gaps, in ten digits so that it sorts.",
        },
        "traceparent": {
            "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
            "description": "W3C trace context of the work that the event comes from.",
        },
    }
    properties: JsonObject = {name: {"type": "string", **schema} for name, schema in described.items()}
    return {
        "title": ENVELOPE,
        "description": "A CloudEvent 1.0 in structured JSON with the extensions partitioning, sequence "
        "and distributed tracing.",
        "type": "object",
        "properties": {**properties, "data": {"type": "object"}},
        "required": [name for name in properties if name != "traceparent"] + ["data"],
    }
