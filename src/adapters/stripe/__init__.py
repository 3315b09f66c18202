"""The payment gateway on Stripe, or on anything that speaks its API."""
