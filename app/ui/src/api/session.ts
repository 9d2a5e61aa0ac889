/** Who is signed in. The access token is in memory only; the refresh token is in a cookie that scripts cannot read. */
import { useSyncExternalStore } from "react";
import type { components } from "./schema";

export type User = components["schemas"]["User"];
type Problem = components["schemas"]["Problem"];

/** The address below which everything is, without a slash at the end. */
export const root = new URL(".", document.baseURI).href.replace(/\/$/, "");

const OWN = { "TriggerHub-UI": "1" };
const EARLY_MS = 30_000;
/** Drafts that are not saved yet are kept below this name, until their owner signs out. */
export const KEPT_DRAFT = "triggerhub-draft:";

let access: { token: string; until: number } | undefined;
let user: User | undefined;
let refreshing: Promise<string | undefined> | undefined;
const listeners = new Set<() => void>();
const otherTabs = typeof BroadcastChannel === "undefined" ? undefined : new BroadcastChannel("triggerhub-session");

otherTabs?.addEventListener("message", () => forget());

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly problem: Partial<Problem>,
  ) {
    super(problem.detail ?? problem.title ?? `HTTP ${status}`);
  }
  get code(): string {
    return this.problem.code ?? "";
  }
}

export async function apiError(response: Response): Promise<ApiError> {
  const problem = await response.json().catch(() => ({}));
  return new ApiError(response.status, problem as Partial<Problem>);
}

function changed() {
  for (const listener of listeners) listener();
}

function forget() {
  access = user = undefined;
  changed();
}

function keep(answer: { access_token: string; expires_in: number }) {
  access = { token: answer.access_token, until: Date.now() + answer.expires_in * 1000 - EARLY_MS };
}

async function call(method: string, path: string, body?: unknown): Promise<Response> {
  return fetch(`${root}/api/v1/auth${path}`, {
    method,
    headers: body === undefined ? OWN : { ...OWN, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

/** A token that still lasts; undefined when nobody is signed in. Throws where the server cannot be asked. */
export async function token(): Promise<string | undefined> {
  if (access && access.until > Date.now()) return access.token;
  return renew();
}

/** A fresh token, whatever is known. Tabs take turns, as each refresh replaces the cookie. */
export function renew(): Promise<string | undefined> {
  refreshing ??= inTurn(refresh).finally(() => (refreshing = undefined));
  return refreshing;
}

async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  // Locks need a secure context; without one the server's grace for repeated tokens has to do.
  return navigator.locks ? navigator.locks.request("triggerhub-refresh", work) : work();
}

async function refresh(): Promise<string | undefined> {
  const response = await call("POST", "/session/refresh");
  if (response.status === 401) {
    forget();
    return undefined;
  }
  if (!response.ok) throw await apiError(response);
  keep(await response.json());
  return access?.token;
}

/** The user of the cookie's session, when there is one. */
export async function restore(): Promise<User | undefined> {
  if (user) return user;
  const found = await token();
  if (!found) return undefined;
  const response = await fetch(`${root}/api/v1/me`, { headers: { authorization: `Bearer ${found}` } });
  if (response.status === 401) return undefined;
  if (!response.ok) throw await apiError(response);
  user = (await response.json()) as User;
  changed();
  return user;
}

async function begin(path: string, body: unknown): Promise<void> {
  const response = await call("POST", path, body);
  if (!response.ok) throw await apiError(response);
  const answer = (await response.json()) as components["schemas"]["Session"];
  keep(answer);
  user = answer.user;
  changed();
}

export const signIn = (email: string, password: string) => begin("/session", { email, password });
export const signUp = (name: string, email: string, password: string) =>
  begin("/session/signup", { name, email, password });

export async function signOut(everywhere = false): Promise<void> {
  const response = await inTurn(() => call("DELETE", `/session${everywhere ? "?everywhere=true" : ""}`));
  if (!response.ok) throw await apiError(response);
  for (const name of Object.keys(localStorage)) if (name.startsWith(KEPT_DRAFT)) localStorage.removeItem(name);
  otherTabs?.postMessage("signed out");
  forget();
}

export async function signUpState(): Promise<{ open: boolean; first: boolean }> {
  const response = await call("GET", "/signup");
  if (!response.ok) throw await apiError(response);
  return response.json();
}

export function useUser(): User | undefined {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => user,
  );
}
