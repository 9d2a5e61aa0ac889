/** The code of pages, which comes when they are first shown. */
import { root } from "../api/session";

const AGAIN_MS = 2_000;

/**
 * What `load` imports. While the server does not answer, this waits for it: the router loads the whole page anew where
 * code is missing, which is right after an upgrade, and would leave nothing to see while the server is down.
 */
export async function fetched<T>(load: () => Promise<T>): Promise<T> {
  for (let isUp = false; ; ) {
    try {
      return await load();
    } catch (problem) {
      if (isUp) throw problem;
      // It may have come back just now: then once more.
      isUp = await answers();
      if (!isUp) await new Promise((done) => setTimeout(done, AGAIN_MS));
    }
  }
}

const answers = () => fetch(`${root}/healthz`, { cache: "no-store" }).then(() => true, () => false);
