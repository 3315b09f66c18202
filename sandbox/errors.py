"""Stripe's error envelope. Codes and messages: https://docs.stripe.com/error-codes."""

from typing import Any

Json = dict[str, Any]


class ApiError(Exception):
    """An answer other than 2xx.

    `saves_work` is true where the request did something before it failed: a decline
    leaves a failed charge behind, everything else leaves nothing.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        type: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        saves_work: bool = False,
        **details: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.type = type
        self.code = code
        self.param = param
        self.saves_work = saves_work
        self.details = details

    def body(self, request_id: str) -> Json:
        error: Json = {"type": self.type, "message": str(self)}
        if self.code is not None:
            error["code"] = self.code
            error["doc_url"] = f"https://stripe.com/docs/error-codes/{self.code.replace('_', '-')}"
        if self.param is not None:
            error["param"] = self.param
        error.update(self.details)
        error["request_log_url"] = f"https://dashboard.stripe.com/test/logs/{request_id}"
        return {"error": error}


def resource_missing(kind: str, object_id: str, param: str) -> ApiError:
    """Stripe answers 404 for the object of the URL, 400 for one that a parameter names."""
    return ApiError(
        f"No such {kind}: '{object_id}'",
        status=404 if param in ("id", "intent") else 400,
        code="resource_missing",
        param=param,
    )


def server_error() -> ApiError:
    return ApiError(
        "An unknown error occurred. (The sandbox was asked to answer so.)", status=500, type="api_error"
    )
