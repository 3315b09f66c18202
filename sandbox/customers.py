"""Customers."""

from typing import Any

from sandbox import shapes
from sandbox.errors import ApiError
from sandbox.listing import list_objects
from sandbox.methods import attach_method
from sandbox.session import Session, merge_metadata

Json = dict[str, Any]

_PLAIN = ("description", "email", "name", "phone", "preferred_locales", "shipping", "tax_exempt", "balance",
          "invoice_prefix", "next_invoice_sequence")  # fmt: skip


def check_email(email: str | None, param: str) -> None:
    if email and ("@" not in email.strip("@") or len(email) > 512):
        raise ApiError(f"Invalid email address: {email}", code="email_invalid", param=param)


def _apply(customer: Json, params: Json) -> Json:
    check_email(params.get("email"), "email")
    after = {**customer, "metadata": merge_metadata(customer["metadata"], params.get("metadata"))}
    for name in _PLAIN:
        if name in params:
            after[name] = None if params[name] == "" else params[name]
    if "address" in params:
        after["address"] = {**shapes.empty_address(), **params["address"]} if params["address"] else None
    if params.get("invoice_settings"):
        after["invoice_settings"] = {**customer["invoice_settings"], **params["invoice_settings"]}
    return after


def create_customer(session: Session, params: Json) -> Json:
    customer = _apply(shapes.customer(session.new_id("customer"), session.now), params)
    session.insert(customer)
    session.emit("customer.created", customer)
    if "payment_method" in params:
        attach_method(session, {"customer": customer["id"]}, params["payment_method"])
    return customer


def retrieve_customer(session: Session, params: Json, customer_id: str) -> Json:
    return session.get("customer", customer_id)


def update_customer(session: Session, params: Json, customer_id: str) -> Json:
    before = session.get("customer", customer_id)
    after = _apply(before, params)
    session.save(after)
    session.emit("customer.updated", after, before=before)
    return after


def delete_customer(session: Session, params: Json, customer_id: str) -> Json:
    customer = session.get("customer", customer_id)
    for method in session.children("payment_method", "customer", customer_id):
        session.save({**method, "customer": None})
        session.hide(method["id"], spent=True)
    session.delete(customer_id)
    session.emit("customer.deleted", customer)
    return {"id": customer_id, "object": "customer", "deleted": True}


def list_customers(session: Session, params: Json) -> Json:
    return list_objects(session, "customer", "/v1/customers", params, ("email",))
