/** A file that a trigger or a step has: what it is, to be downloaded, and to be looked at where that is harmless. */
import { Download, Eye, FileText } from "lucide-react";
import { useState } from "react";
import { authorised } from "../api/client";
import { ApiError, apiError, root } from "../api/session";
import { t } from "../texts";
import { store } from "./files";
import { size } from "./time";

interface FileValue { $file: string; size: number; content_type: string; filename: string; sha256: string }

/** Pictures without scripts. SVG and HTML are never shown, as they may do more than be looked at. */
const PICTURE = /^image\/(png|jpeg|gif|webp|avif|bmp)$/;
const TEXT = /^(text\/(plain|csv|markdown)|application\/json)$/;
const MOST = 2 * 1024 * 1024;
const MOST_TEXT = 64 * 1024;

export function fileOf(value: unknown): FileValue | undefined {
  if (value === null || typeof value !== "object" || !("$file" in value)) return undefined;
  const file = value as Partial<FileValue>;
  return typeof file.$file === "string" && typeof file.size === "number" ? (file as FileValue) : undefined;
}

const ask = (file: FileValue) => authorised(new Request(`${root}/api/v1/files/${file.$file}`));

function shows(file: FileValue): "picture" | "text" | undefined {
  if (PICTURE.test(file.content_type) && file.size <= MOST) return "picture";
  return TEXT.test(file.content_type) && file.size <= MOST_TEXT ? "text" : undefined;
}

export function FileLeaf({ file }: { file: FileValue }) {
  const [busy, setBusy] = useState(false);
  const [seen, setSeen] = useState<string>();
  const [wrong, setWrong] = useState("");
  const name = file.filename || t.file.unnamed;
  const kind = shows(file);
  async function during(work: () => Promise<unknown>) {
    setBusy(true);
    setWrong("");
    try {
      await work();
    } catch (problem) {
      if (!(problem instanceof DOMException && problem.name === "AbortError")) setWrong(problem instanceof ApiError && problem.status !== 404 ? problem.message : t.file.gone);
    }
    setBusy(false);
  }
  return (
    <span className="file" data-testid="file" title={`SHA-256 ${file.sha256}`}>
      <span className="row wrap">
        <FileText aria-hidden size={14} />
        <strong className="wrap-any">{name}</strong>
        <span className="soft">{file.content_type}, {size(file.size)}</span>
        <button type="button" className="button small" disabled={busy} aria-label={t.file.download(name)} onClick={() => void during(() => store(name, () => ask(file)))} data-testid="file-download">
          <Download aria-hidden />{t.audit.download}
        </button>
        {kind && (
          <button type="button" className="button small" disabled={busy} aria-expanded={seen !== undefined} aria-label={t.file.look(name)} data-testid="file-look"
            onClick={() => (seen === undefined ? void during(async () => setSeen(await content(file, kind))) : setSeen(undefined))}>
            <Eye aria-hidden />{t.file.preview}
          </button>
        )}
      </span>
      {wrong && <span className="wrong-text" role="alert">{wrong}</span>}
      {seen !== undefined && kind === "picture" && <img className="preview" src={seen} alt={name} data-testid="file-preview" />}
      {seen !== undefined && kind === "text" && <pre className="preview" tabIndex={0} role="region" aria-label={name} data-testid="file-preview">{seen}</pre>}
    </span>
  );
}

/** A text, or a picture as an address that holds it: our policy lets pages load nothing else. */
async function content(file: FileValue, kind: "picture" | "text"): Promise<string> {
  const answer = await ask(file);
  if (!answer.ok) throw await apiError(answer);
  if (kind === "text") return answer.text();
  const reader = new FileReader();
  const read = new Promise<string>((resolve, reject) => {
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(new Error(t.file.gone));
  });
  reader.readAsDataURL(new Blob([await answer.arrayBuffer()], { type: file.content_type }));
  return read;
}
