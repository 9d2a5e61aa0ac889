/** What stands where a page cannot be shown. */
import { Link, useRouter } from "@tanstack/react-router";
import { Compass } from "lucide-react";
import { t } from "../texts";
import { Empty, Failed } from "./controls";

export function NotFound() {
  return (
    <main className="page">
      <Empty icon={<Compass aria-hidden />} title={t.notFound.title} action={<Link className="button" to="/zaps">{t.notFound.back}</Link>}>
        {t.notFound.about}
      </Empty>
    </main>
  );
}

export function Broken({ error }: { error: unknown }) {
  const router = useRouter();
  return (
    <main className="page">
      <Failed error={error} again={() => router.invalidate()} />
    </main>
  );
}
