/** The API with its types, which are generated from its OpenAPI document: what changes there fails to compile here. */
import createClient from "openapi-fetch";
import type { components, paths } from "./schema";
import { ApiError, apiError, renew, root, token } from "./session";

type Schemas = components["schemas"];
export type Zap = Schemas["Zap"];
export type ZapSummary = Schemas["ZapSummary"];
export type ZapVersion = Schemas["ZapVersion"];
export type ZapFlag = Schemas["ZapFlag"];
export type Definition = Schemas["Definition"];
export type Run = Schemas["Run"];
export type RunStep = Schemas["RunStep"];
export type Attempt = Schemas["Attempt"];
export type Failure = Schemas["Failure"];
export type RunSummary = Schemas["RunSummary"];
export type RunSelection = Schemas["RunSelection"];
export type RunStatus = RunSummary["status"];
export type RunSource = RunSummary["source"];
export type RunEvent = Schemas["Event"];
export type Job = Schemas["Job"];
export type DeadLetterGroup = Schemas["DeadLetterGroup"];
export type HookRequest = Schemas["HookRequest"];
export type ApiKey = Schemas["ApiKey"];
export type CatalogItem = Schemas["CatalogItem"];
export type BrokenRule = Schemas["BrokenRule"];
export type DraftTest = Schemas["DraftTest"];
export type Approval = Schemas["Approval"];
export type RunItem = Schemas["RunItem"];
export type BacktestResult = Schemas["BacktestResult"];
export type Tick = Schemas["Tick"];
export type Connection = Schemas["Connection"];
export type Bucket = Schemas["Bucket"];
export type Difference = Schemas["Difference"];
export type AuditEntry = Schemas["AuditEntry"];
export type Verification = Schemas["Verification"];
export type Variable = Schemas["Variable"];
export type Service = Schemas["ConnectorDetail"];
export type ConnectorItem = Schemas["ConnectorItem"];
export type ApiImport = Schemas["ConnectorImport"];
export type Operation = Schemas["OperationItem"];
export type Archive = Schemas["Archive"];
export type Going = Schemas["Going"];
export type ErasurePreview = Schemas["ErasurePreview"];
export type SystemState = Schemas["SystemState"];
export type Json = unknown;

/** Sends the access token; when it has been revoked meanwhile, tries once more with a fresh one. */
export async function authorised(request: Request): Promise<Response> {
  const again = request.clone();
  const response = await fetch(withToken(request, await token()));
  if (response.status !== 401) return response;
  const fresh = await renew();
  return fresh ? fetch(withToken(again, fresh)) : response;
}

function withToken(request: Request, bearer: string | undefined): Request {
  if (bearer) request.headers.set("authorization", `Bearer ${bearer}`);
  return request;
}

export const api = createClient<paths>({ baseUrl: root, fetch: authorised });

interface Answered<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The data of an answer; throws ApiError where it is a refusal. */
export async function data<T>(call: Promise<Answered<T>>): Promise<T> {
  return (await whole(call)).data;
}

/** The same with its headers. */
export async function whole<T>(call: Promise<Answered<T>>): Promise<{ data: T; response: Response }> {
  const answered = await call;
  if (!answered.response.ok) {
    throw new ApiError(answered.response.status, (answered.error as object | undefined) ?? {});
  }
  return { data: answered.data as T, response: answered.response };
}

export { ApiError, apiError };
