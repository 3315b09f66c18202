"""A Stripe-compatible gateway for trying and testing: `python -m sandbox --help`."""
