"""Events as the API lists them, and the endpoints that they are delivered to."""

from typing import Any
from urllib.parse import urlsplit

from sandbox import shapes
from sandbox.errors import ApiError, resource_missing
from sandbox.listing import list_objects
from sandbox.session import Session, merge_metadata, random_text

Json = dict[str, Any]


KEPT_DAYS = 30
"""How long events can be retrieved (https://docs.stripe.com/api/events)."""


def retrieve_event(session: Session, params: Json, event_id: str) -> Json:
    return _counted(session, _get(session, event_id, "id"))


def _get(session: Session, event_id: str, param: str) -> Json:
    """Raises ApiError `resource_missing`, also where it is too old."""
    event = session.get("event", event_id, param)
    if event["created"] < _oldest(session):
        raise resource_missing("event", event_id, param)
    return event


def _oldest(session: Session) -> int:
    return session.now - KEPT_DAYS * 86400


def list_events(session: Session, params: Json) -> Json:
    if "type" in params and "types" in params:
        raise ApiError("You may only specify one of these parameters: type, types.", param="types")
    for name in ("starting_after", "ending_before"):
        if name in params:
            _get(session, params[name], name)
    page = list_objects(session, "event", "/v1/events", params, ("type",), since=_oldest(session))
    return {**page, "data": [_counted(session, event) for event in page["data"]]}


def _counted(session: Session, event: Json) -> Json:
    """`pending_webhooks` is what has not been delivered yet."""
    pending = session.store.rows("SELECT count(*) FROM delivery WHERE event = ?", event["id"])[0][0]
    return {**event, "pending_webhooks": pending}


def create_endpoint(session: Session, params: Json) -> Json:
    """The only answer that shows the endpoint's secret."""
    endpoint = shapes.webhook_endpoint(
        session.new_id("webhook_endpoint"), session.now, params["url"], params["enabled_events"]
    )
    endpoint = _apply(endpoint, {**params, "metadata": params.get("metadata")})
    endpoint["api_version"] = params.get("api_version")
    secret = f"whsec_{random_text(32)}"
    session.insert(endpoint, {"secret": secret})
    return {**endpoint, "secret": secret}


def _apply(endpoint: Json, params: Json) -> Json:
    after = {**endpoint, "metadata": merge_metadata(endpoint["metadata"], params.get("metadata"))}
    if "url" in params:
        if urlsplit(params["url"]).scheme not in ("http", "https") or not urlsplit(params["url"]).netloc:
            raise ApiError(f"Invalid URL: {params['url']}", code="url_invalid", param="url")
        after["url"] = params["url"]
    if "enabled_events" in params:
        if not params["enabled_events"]:
            raise ApiError(
                "At least one event must be enabled.", code="parameter_invalid_empty", param="enabled_events"
            )
        after["enabled_events"] = params["enabled_events"]
    if "description" in params:
        after["description"] = params["description"] or None
    if "disabled" in params:
        after["status"] = "disabled" if params["disabled"] else "enabled"
    return after


def retrieve_endpoint(session: Session, params: Json, endpoint_id: str) -> Json:
    return session.get("webhook_endpoint", endpoint_id)


def update_endpoint(session: Session, params: Json, endpoint_id: str) -> Json:
    return session.save(_apply(session.get("webhook_endpoint", endpoint_id), params))


def delete_endpoint(session: Session, params: Json, endpoint_id: str) -> Json:
    session.get("webhook_endpoint", endpoint_id)
    session.delete(endpoint_id)
    session.store.run("DELETE FROM delivery WHERE endpoint = ?", endpoint_id)
    return {"id": endpoint_id, "object": "webhook_endpoint", "deleted": True}


def list_endpoints(session: Session, params: Json) -> Json:
    return list_objects(session, "webhook_endpoint", "/v1/webhook_endpoints", params)


def set_given_endpoints(session: Session, webhooks: list[tuple[str, str]]) -> None:
    """Make the endpoints given at start, (URL, secret) pairs, what they are now.

    One that an earlier start gave and this one does not is removed: nobody listens there any more.
    """
    for endpoint in session.endpoints():
        if session.hidden(endpoint["id"]).get("given") and endpoint["url"] not in dict(webhooks):
            delete_endpoint(session, {}, endpoint["id"])
    known = {endpoint["url"]: endpoint["id"] for endpoint in session.endpoints()}
    for url, secret in webhooks:
        if url in known:
            session.hide(known[url], secret=secret)
        else:
            endpoint = shapes.webhook_endpoint(session.new_id("webhook_endpoint"), session.now, url, ["*"])
            session.insert(endpoint, {"secret": secret, "given": True})
