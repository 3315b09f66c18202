// The official Node SDK against the sandbox: pays, declines, authenticates, captures, refunds.
// Usage: node check.mjs SANDBOX_URL. Prints one JSON object; exit code 1 where a step went wrong.
import assert from 'node:assert/strict';
import Stripe from 'stripe';

const address = new URL(process.argv[2]);
const stripe = new Stripe('sk_test_payonce', {
  host: address.hostname,
  port: Number(address.port),
  protocol: 'http',
  maxNetworkRetries: 0,
  telemetry: false,
});
const base = { amount: 1099, currency: 'usd', return_url: 'https://shop.example/return', confirm: true };

const paid = await stripe.paymentIntents.create({
  ...base,
  payment_method: 'pm_card_visa',
  metadata: { orderId: 'ord_1' },
  expand: ['latest_charge'],
});
assert.equal(paid.status, 'succeeded');
assert.equal(paid.latest_charge.payment_method_details.card.last4, '4242');

await assert.rejects(
  stripe.paymentIntents.create({ ...base, payment_method: 'pm_card_visa_chargeDeclined' }),
  (error) => error instanceof Stripe.errors.StripeCardError && error.decline_code === 'generic_decline',
);

const challenged = await stripe.paymentIntents.create({
  ...base,
  payment_method: 'pm_card_authenticationRequired',
});
assert.equal(challenged.status, 'requires_action');
const back = await fetch(challenged.next_action.redirect_to_url.url, {
  method: 'POST',
  body: new URLSearchParams({ result: 'complete' }),
  redirect: 'manual',
});
assert.equal(back.status, 303);
const authenticated = await stripe.paymentIntents.retrieve(challenged.id);
assert.equal(authenticated.status, 'succeeded');

const held = await stripe.paymentIntents.create({
  ...base,
  payment_method: 'pm_card_mastercard',
  capture_method: 'manual',
});
const captured = await stripe.paymentIntents.capture(held.id, { amount_to_capture: 1000 });
assert.equal(captured.amount_received, 1000);

const refund = await stripe.refunds.create(
  { payment_intent: paid.id, amount: 99 },
  { idempotencyKey: 'node-refund' },
);
const again = await stripe.refunds.create(
  { payment_intent: paid.id, amount: 99 },
  { idempotencyKey: 'node-refund' },
);
assert.equal(again.id, refund.id);

let listed = 0;
for await (const intent of stripe.paymentIntents.list({ limit: 2 })) {
  assert.ok(intent.id);
  listed += 1;
}
console.log(JSON.stringify({ listed, refunded: refund.amount, captured: captured.amount_received }));
