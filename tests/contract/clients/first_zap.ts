// The first zap, by the generated types: sign up, create, publish, post to the hook, see the run.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.d.ts";

const baseUrl = process.argv[2]!;
const client = createClient<paths>({ baseUrl });

function given<T>(answer: { data?: T; error?: components["schemas"]["Problem"] | undefined }): T {
  if (answer.data === undefined) throw new Error(JSON.stringify(answer.error));
  return answer.data;
}

const account = given(
  await client.POST("/api/v1/auth/signup", {
    body: { name: "Ada", email: `${crypto.randomUUID()}@example.org`, password: "correct horse battery staple" },
  }),
);
client.use({
  onRequest({ request }) {
    request.headers.set("authorization", `Bearer ${account.access_token}`);
    return request;
  },
});
const draft: components["schemas"]["ZapInput"] = {
  name: "First zap",
  trigger: { type: "webhook.catch", config: { reply: { mode: "immediate" } } },
  steps: [
    {
      kind: "action",
      id: "send",
      type: "http.request",
      config: { url: "https://example.org/" },
      retry: { kind: "fixed", delays_s: [1, 2] },
    },
    { kind: "delay", id: "rest", for_s: 1 },
  ],
};
const zap = given(
  await client.POST("/api/v1/zaps", { body: draft, params: { header: { "Idempotency-Key": crypto.randomUUID() } } }),
);
const path = { zap_id: zap.id };
given(await client.POST("/api/v1/zaps/{zap_id}/publish", { params: { path } }));
const caught = given(
  await client.POST("/hooks/catch/{user_id}/{zap_id}", {
    params: { path: { ...path, user_id: account.user.id } },
    body: { order: 17 },
  }),
);
if (!("run_id" in caught)) throw new Error(JSON.stringify(caught));
const run = given(await client.GET("/api/v1/runs/{run_id}", { params: { path: { run_id: caught.run_id as string } } }));
console.log(run.zap_id === zap.id ? run.status : "another zap's run");
