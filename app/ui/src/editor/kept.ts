/** What is not saved yet is kept in this browser until the server has it; signing out takes it away. */
import { KEPT_DRAFT } from "../api/session";
import type { Draft } from "./draft";

/** `base`: the draft that the server had when the changes began. */
export interface Kept { etag: string | null; draft: Draft; base?: Draft }

export function keep(id: string, kept: Kept): void {
  try {
    localStorage.setItem(KEPT_DRAFT + id, JSON.stringify(kept));
  } catch {
    // A browser that keeps nothing: what is on the page is still saved.
  }
}

export function kept(id: string): Kept | undefined {
  try {
    return JSON.parse(localStorage.getItem(KEPT_DRAFT + id) ?? "null") ?? undefined;
  } catch {
    return undefined;
  }
}

export function drop(id: string): void {
  try {
    localStorage.removeItem(KEPT_DRAFT + id);
  } catch {
    // Nothing was kept, then.
  }
}
