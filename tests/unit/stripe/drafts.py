"""A full draft of a payment intent, which tests vary."""

from domain.payments.gateway import Address, CaptureMethod, Customer, IntentDraft, LineItem

LINES = (
    LineItem(
        name="Oak board",
        quantity=2,
        unit_amount=1000,
        sku="OAK-1",
        commodity_code="301036",
        unit_of_measure="each",
    ),
    LineItem(name="Nails", quantity=1, unit_amount=2000, sku="NAIL-STEEL-100MM"),
)

DRAFT = IntentDraft(
    payment_id="pay_1",
    order_id="ord_1",
    amount=4600,
    currency="USD",
    capture_method=CaptureMethod.AUTOMATIC,
    gateway_customer_id="cus_1",
    payment_method_token="pm_card_visa",
    description="Order 1",
    customer=Customer(
        name="Jenny Rosen",
        email="jenny@example.com",
        phone="+15555555555",
        shipping_address=Address(line1="1 Main St", city="Oakland", postal_code="94607", country="US"),
    ),
    lines=LINES,
    shipping_amount=400,
    discount_amount=200,
    tax_amount=400,
)
