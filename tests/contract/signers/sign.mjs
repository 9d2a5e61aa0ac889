// Has the vendors' own libraries sign a body, or verify what was signed elsewhere where a library does only that.
// Reads {body, url, form, at, secrets: {library: secret}, ours: {library: signature}} as JSON from standard input.
// Writes {library: {signed: {header: value}} | {verified: [the true one, a changed one]} | {unusable: why}}.
import { text } from "node:stream/consumers";

const { body, url, form, at, secrets, ours } = JSON.parse(await text(process.stdin));

const standard = (family, { Webhook }, secret) => ({
  signed: {
    [`${family}-id`]: "msg_1",
    [`${family}-timestamp`]: String(at),
    [`${family}-signature`]: new Webhook(secret).sign("msg_1", new Date(at * 1000), body),
  },
});

const uses = {
  stripe: ({ default: Stripe }, secret) => {
    const signer = new Stripe("sk_test_unused").webhooks;
    return { signed: { "stripe-signature": signer.generateTestHeaderString({ payload: body, secret, timestamp: at }) } };
  },
  "@octokit/webhooks-methods": async ({ sign }, secret) => ({
    signed: { "x-hub-signature-256": await sign(secret, body) },
  }),
  standardwebhooks: (library, secret) => standard("webhook", library, secret),
  svix: (library, secret) => standard("svix", library, secret),
  twilio: ({ default: twilio }, secret) => {
    const takes = (fields) => twilio.validateRequest(secret, ours.twilio, url, fields);
    return { verified: [takes(form), takes({ ...form, Body: `${form.Body}x` })] };
  },
  razorpay: ({ default: Razorpay }, secret) => {
    const takes = (content) => Razorpay.validateWebhookSignature(content, ours.razorpay, secret);
    return { verified: [takes(body), takes(`${body} `)] };
  },
};

const results = {};
for (const [name, use] of Object.entries(uses)) {
  let library;
  try {
    library = await import(name);
  } catch (error) {
    results[name] = { unusable: String(error) };
    continue;
  }
  results[name] = await use(library, secrets[name]);
}
process.stdout.write(JSON.stringify(results));
