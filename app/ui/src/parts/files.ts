import { apiError } from "../api/session";

/** Chromium's way of writing a file piece by piece. */
type Picker = (wish: { suggestedName: string }) => Promise<{ createWritable: () => Promise<WritableStream<Uint8Array>> }>;

/** Have the browser save a file. */
export function save(name: string, content: Blob): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1_000);
}

/** Save an answer: straight to the disk where the browser can do that, else by way of its memory. */
export async function store(name: string, ask: () => Promise<Response>): Promise<void> {
  const pick = (window as { showSaveFilePicker?: Picker }).showSaveFilePicker;
  // The person chooses the place first: browsers allow that only right after a click.
  const file = await pick?.({ suggestedName: name });
  const answer = await ask();
  if (!answer.ok || !answer.body) throw await apiError(answer);
  if (file) await answer.body.pipeTo(await file.createWritable());
  else save(name, await answer.blob());
}
