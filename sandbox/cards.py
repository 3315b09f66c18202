"""Stripe's documented test payment methods and what each of them does.

Source: https://docs.stripe.com/testing (cards, declines, disputes, refunds, 3-D Secure, ACH).
"""

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Literal


@dataclass(frozen=True)
class Decline:
    code: str
    decline_code: str
    message: str


DECLINES = {
    "generic_decline": Decline("card_declined", "generic_decline", "Your card was declined."),
    "insufficient_funds": Decline("card_declined", "insufficient_funds", "Your card has insufficient funds."),
    "lost_card": Decline("card_declined", "lost_card", "Your card was declined."),
    "stolen_card": Decline("card_declined", "stolen_card", "Your card was declined."),
    "fraudulent": Decline("card_declined", "fraudulent", "Your card was declined."),
    "card_velocity_exceeded": Decline(
        "card_declined",
        "card_velocity_exceeded",
        "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
    ),
    "expired_card": Decline("expired_card", "expired_card", "Your card has expired."),
    "incorrect_cvc": Decline("incorrect_cvc", "incorrect_cvc", "Your card's security code is incorrect."),
    "processing_error": Decline(
        "processing_error",
        "processing_error",
        "An error occurred while processing your card. Try again in a little bit.",
    ),
    "authentication_required": Decline(
        "authentication_required",
        "authentication_required",
        "Your card was declined. This transaction requires authentication.",
    ),
}

BANK_FAILURES = {
    "account_closed": "The customer's bank account has been closed.",
    "no_account": "The customer's bank account could not be located.",
    "account_frozen": "The customer's bank account has been frozen.",
    "insufficient_funds": "The customer's account has insufficient funds to cover this payment.",
    "debit_not_authorized": "The customer has notified their bank that this payment was unauthorized.",
    "generic_could_not_process": "The bank could not process this payment.",
}


@dataclass(frozen=True)
class Card:
    """`decline` names an entry of DECLINES; `attaches` is false where Stripe declines saving it too."""

    token: str
    brand: str
    last4: str
    funding: str = "credit"
    decline: str | None = None
    attaches: bool = True
    authentication: Literal["never", "always", "unless_set_up"] = "never"
    refund: Literal["succeeds", "fails", "pends"] = "succeeds"
    dispute: Literal["fraudulent", "product_not_received"] | None = None
    inquiry: bool = False
    multicapture: bool = True
    type: Literal["card"] = "card"

    @property
    def fingerprint(self) -> str:
        return sha256(f"{self.brand}{self.last4}".encode()).hexdigest()[:16]


@dataclass(frozen=True)
class BankAccount:
    """A debit that takes days: it succeeds, fails with an entry of BANK_FAILURES, or goes on processing.

    `seconds` is how long it takes here, by the sandbox's clock.
    """

    token: str
    outcome: str
    last4: str = "6789"
    type: Literal["us_bank_account", "sepa_debit"] = "us_bank_account"
    seconds: float = 1.0
    country: str = "US"

    @property
    def currency(self) -> str:
        """The only one that such accounts are debited in."""
        return "usd" if self.type == "us_bank_account" else "eur"

    @property
    def fingerprint(self) -> str:
        return sha256(f"{self.type}{self.country}{self.last4}".encode()).hexdigest()[:16]


Method = Card | BankAccount


def _accepted() -> list[Card]:
    return [
        Card("pm_card_visa", "visa", "4242"),
        Card("pm_card_visa_debit", "visa", "5556", funding="debit"),
        Card("pm_card_mastercard", "mastercard", "4444"),
        Card("pm_card_mastercard_debit", "mastercard", "8210", funding="debit"),
        Card("pm_card_mastercard_prepaid", "mastercard", "5100", funding="prepaid"),
        Card("pm_card_amex", "amex", "8431"),
        Card("pm_card_discover", "discover", "9424"),
        Card("pm_card_diners", "diners", "0004"),
        Card("pm_card_jcb", "jcb", "0505"),
        Card("pm_card_unionpay", "unionpay", "0005"),
        Card("pm_card_us", "visa", "4242"),
        # https://docs.stripe.com/payments/multicapture, "Test your integration"
        Card("pm_card_credit_disableEnterpriseCardFeatures", "visa", "0076", multicapture=False),
    ]


def _declined() -> list[Card]:
    """Each also as `pm_card_visa_…`, the name that the newer documentation uses."""
    table = [
        ("chargeDeclined", "0002", "generic_decline"),
        ("chargeDeclinedInsufficientFunds", "9995", "insufficient_funds"),
        ("chargeDeclinedLostCard", "9987", "lost_card"),
        ("chargeDeclinedStolenCard", "9979", "stolen_card"),
        ("chargeDeclinedFraudulent", "0019", "fraudulent"),
        ("chargeDeclinedExpiredCard", "0069", "expired_card"),
        ("chargeDeclinedIncorrectCvc", "0127", "incorrect_cvc"),
        ("chargeDeclinedProcessingError", "0119", "processing_error"),
        ("chargeDeclinedVelocityLimitExceeded", "6975", "card_velocity_exceeded"),
    ]
    cards = [
        Card(f"{prefix}{name}", "visa", last4, decline=decline, attaches=False)
        for name, last4, decline in table
        for prefix in ("pm_card_", "pm_card_visa_")
    ]
    attachable = Card("pm_card_chargeCustomerFail", "visa", "0341", decline="generic_decline")
    return [*cards, attachable]


def _authenticated() -> list[Card]:
    always = Card("pm_card_authenticationRequired", "visa", "3184", authentication="always")
    return [
        always,
        replace(always, token="pm_card_threeDSecure2Required", last4="3220"),
        replace(always, token="pm_card_threeDSecureRequired", last4="3063"),
        replace(
            always,
            token="pm_card_authenticationRequiredOnSetup",
            last4="3155",
            authentication="unless_set_up",
        ),
        replace(
            always,
            token="pm_card_authenticationRequiredChargeDeclinedInsufficientFunds",
            last4="8341",
            decline="insufficient_funds",
        ),
    ]


def _troubled_later() -> list[Card]:
    return [
        Card("pm_card_refundFail", "visa", "5126", refund="fails"),
        Card("pm_card_pendingRefund", "visa", "7726", refund="pends"),
        Card("pm_card_createDispute", "visa", "0259", dispute="fraudulent"),
        Card("pm_card_createDisputeProductNotReceived", "visa", "2685", dispute="product_not_received"),
        Card("pm_card_createDisputeInquiry", "visa", "1976", dispute="fraudulent", inquiry=True),
    ]


def _bank_accounts() -> list[BankAccount]:
    return [
        BankAccount("pm_usBankAccount_success", "succeeds"),
        BankAccount("pm_usBankAccount_processing", "processes", last4="9012"),
        BankAccount("pm_usBankAccount_accountClosed", "account_closed", last4="1113"),
        BankAccount("pm_usBankAccount_noAccount", "no_account", last4="1116"),
        BankAccount("pm_usBankAccount_accountFrozen", "account_frozen", last4="1114"),
        BankAccount("pm_usBankAccount_insufficientFunds", "insufficient_funds", last4="2227"),
        BankAccount("pm_usBankAccount_debitNotAuthorized", "debit_not_authorized", last4="3335"),
    ]


def _sepa_accounts() -> list[BankAccount]:
    """https://docs.stripe.com/payments/sepa-debit/accept-a-payment, "Test IBANs"."""
    table = [
        ("success", "succeeds", 1.0, {"at": "3201", "de": "3000", "fr": "2606"}),
        ("successDelayed", "succeeds", _DELAYED_SECONDS, {"at": "3204", "de": "3003", "fr": "2609"}),
        ("failed", "generic_could_not_process", 1.0, {"at": "3202", "de": "3001", "fr": "2607"}),
        (
            "failedDelayed",
            "generic_could_not_process",
            _DELAYED_SECONDS,
            {"at": "3205", "de": "3004", "fr": "2600"},
        ),
        ("insufficientFunds", "insufficient_funds", 1.0, {"at": "2227", "de": "2227", "fr": "2227"}),
    ]
    return [
        BankAccount(f"pm_{name}_{country}", outcome, last4, "sepa_debit", seconds, country.upper())
        for name, outcome, seconds, numbers in table
        for country, last4 in numbers.items()
    ]


_DELAYED_SECONDS = 180.0
"""What Stripe documents as "after at least three minutes"."""

_ALL: list[Method] = [
    *_accepted(),
    *_declined(),
    *_authenticated(),
    *_troubled_later(),
    *_bank_accounts(),
    *_sepa_accounts(),
]
METHODS = {method.token: method for method in _ALL}
