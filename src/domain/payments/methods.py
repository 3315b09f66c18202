"""Who may pay by which saved method, and when one can be saved."""

from domain.payments.errors import (
    GatewayRefusedRequest,
    GatewayUnavailable,
    OffSessionForbidsSaving,
    PaymentMethodNotOwned,
    PaymentMethodNotSaved,
    PaymentMethodUnknown,
    UserRequired,
)
from domain.payments.gateway import FutureUsage, GatewayRefused, GatewayUnknown, PaymentGateway


def check_session(*, has_user: bool, setup_future_usage: FutureUsage | None, off_session: bool) -> None:
    """Raise UserRequired or OffSessionForbidsSaving where a payment cannot be made in this way."""
    if setup_future_usage is not None and not has_user:
        raise UserRequired("A method is saved with a user: name one.", pointer="/setupFutureUsage")
    if off_session and not has_user:
        raise UserRequired("Methods that pay off session are saved with a user.", pointer="/offSession")
    if off_session and setup_future_usage is not None:
        raise OffSessionForbidsSaving(pointer="/offSession")


async def check_method(
    gateway: PaymentGateway, token: str | None, customer_id: str | None, *, off_session: bool = False
) -> None:
    """Raise where this customer cannot pay by this method.

    PaymentMethodUnknown, PaymentMethodNotOwned (another's), PaymentMethodNotSaved (off session, nobody's
    or none); GatewayUnavailable or GatewayRefusedRequest where the gateway does not tell.
    """
    if token is None:
        if off_session:
            raise PaymentMethodNotSaved(pointer="/paymentMethodToken")
        return
    try:
        method = await gateway.find_method(token)
    except GatewayUnknown as error:
        raise GatewayUnavailable from error
    except GatewayRefused as error:
        raise GatewayRefusedRequest(error.message, pointer="/paymentMethodToken") from error
    if method is None:
        raise PaymentMethodUnknown(pointer="/paymentMethodToken")
    if method.gateway_customer_id not in (None, customer_id):
        raise PaymentMethodNotOwned(pointer="/paymentMethodToken")
    if off_session and method.gateway_customer_id is None:
        raise PaymentMethodNotSaved(pointer="/paymentMethodToken")
