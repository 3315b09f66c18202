"""What is answered about endpoints and deliveries where it is not done what was asked."""

from domain.shared.errors import Conflict, NotFound, Refused


class EndpointNotFound(NotFound):
    """There is no such webhook endpoint."""

    code = "webhook_endpoint_not_found"


class DeliveryNotFound(NotFound):
    """There is no such webhook delivery."""

    code = "webhook_delivery_not_found"


class EndpointUrlRefused(Refused):
    """Nothing may be sent to this address."""

    code = "webhook_url_refused"


class EndpointConfigured(Conflict):
    """The settings say this endpoint's address, events and secret: they are changed there."""

    code = "webhook_endpoint_configured"
