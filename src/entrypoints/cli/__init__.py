"""The command line. `payonce` and `python -m entrypoints.cli` are the same."""

from entrypoints.cli.group import CommandGroup

main = CommandGroup(
    name="payonce",
    help="Payonce: an order service and a payment service that always agree.",
    sentences={
        "up": "Start everything on this machine and keep it running until Ctrl-C.",
        "demo": "Place orders on a system of its own, watch them being paid, and check each one.",
        "serve": "Run the HTTP API.",
        "worker": "Run one worker, which applies payment events to orders.",
        "relay": "Run one relay, which publishes the events of the outbox.",
        "outbox": "See how far events are, and deal with those that got stuck.",
        "explain": "Tell everything that happened to an order, in one timeline.",
        "ledger": "Read what was posted for each payment, fee and payout, and prove that it is right.",
        "reconcile": "Compare orders, payments and gateway, and repair what differs.",
        "webhooks": "See what the gateway reported and what became of it, and process it again.",
        "endpoints": "See who is sent our events and what became of each, and send it again.",
        "audit": "Read who did what with authority, and see that nobody changed it since.",
        "sandbox": "Run the Stripe-compatible sandbox gateway.",
        "migrate": "Bring the database to the present schema.",
        "keys": "Make the keys that sign our tokens and those of stored data, or rotate them.",
        "erase": "Erase the personal data of a customer, and keep the records of their money.",
        "certs": "Make certificates for the calls between the services, by an authority for development.",
        "token": "Print a signed bearer token.",
    },
)
