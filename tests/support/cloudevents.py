"""Events as a consumer sees them who uses the SDK of CloudEvents' own makers."""

from cloudevents.core.bindings.http import HTTPMessage, from_structured_event
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent


def parsed(payload: bytes) -> CloudEvent:
    """As it arrives over HTTP in structured mode. Raises what the SDK raises for an invalid one."""
    message = HTTPMessage({"content-type": "application/cloudevents+json; charset=utf-8"}, payload)
    event = from_structured_event(message, JSONFormat())
    assert isinstance(event, CloudEvent)
    return event
