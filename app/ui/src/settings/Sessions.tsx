/** Where one is signed in: each device can be signed out, or all of them. */
import { useInfiniteQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { LogOut } from "lucide-react";
import { useState } from "react";
import { api, data } from "../api/client";
import { queryClient, sessionsQuery } from "../api/queries";
import { signOut } from "../api/session";
import { Failed, Loading, Panel, said } from "../parts/controls";
import { More } from "../parts/More";
import { Confirm } from "../parts/overlays";
import { Ago } from "../parts/time";
import { toast } from "../parts/toasts";
import { t } from "../texts";

export function Sessions() {
  const navigate = useNavigate();
  const sessions = useInfiniteQuery(sessionsQuery);
  const items = sessions.data?.pages.flatMap((page) => page.items) ?? [];
  const [asked, setAsked] = useState(false);
  async function leave() {
    await signOut(true);
    await navigate({ to: "/login" });
    queryClient.clear();
  }
  const end = (id: string) => void data(api.DELETE("/api/v1/me/sessions/{session_id}", { params: { path: { session_id: id } } }))
    .then(() => queryClient.invalidateQueries({ queryKey: ["sessions"] })).catch((error) => toast(said(error)));
  return (
    <Panel title={t.settings.sessions} flush actions={<button type="button" className="button small" onClick={() => setAsked(true)} data-testid="sign-out-everywhere"><LogOut aria-hidden />{t.settings.everywhere}</button>}>
      {sessions.error && <Failed error={sessions.error} again={() => void sessions.refetch()} />}
      {sessions.isPending && <Loading />}
      {items.length > 0 && (
        <>
          <table className="table">
            <thead><tr><th>{t.settings.device}</th><th className="fit">{t.settings.signedIn}</th><th className="fit">{t.settings.lastUsed}</th><th className="fit"><span className="hidden">{t.common.actions}</span></th></tr></thead>
            <tbody>
              {items.map((session) => (
                <tr key={session.id} data-testid="session-row">
                  <td className="grow"><span className="main" title={session.device}>{deviceName(session.device)}</span> {session.current && <span className="badge info">{t.settings.thisOne}</span>}</td>
                  <td className="fit soft"><Ago at={session.created_at} /></td>
                  <td className="fit soft"><Ago at={session.last_used_at} /></td>
                  <td className="fit end">{!session.current && <button type="button" className="button small" aria-label={t.settings.signOutOf(deviceName(session.device))} onClick={() => end(session.id)}>{t.nav.signOut}</button>}</td>
                </tr>
              ))}
            </tbody>
          </table>
          <More shown={items.length} query={sessions} />
        </>
      )}
      {asked && (
        <Confirm title={t.settings.everywhere} action={t.settings.everywhere} onClose={() => setAsked(false)} onConfirm={leave}>
          <p>{t.settings.everywhereAbout}</p>
        </Confirm>
      )}
    </Panel>
  );
}

const BROWSERS: [RegExp, string][] = [[/Edg\//, "Edge"], [/OPR\//, "Opera"], [/Firefox\//, "Firefox"], [/HeadlessChrome\/|Chrome\//, "Chrome"], [/Safari\//, "Safari"]];
const SYSTEMS: [RegExp, string][] = [[/Android/, "Android"], [/iPhone|iPad/, "iOS"], [/Windows/, "Windows"], [/Mac OS X/, "macOS"], [/Linux/, "Linux"]];

/** A browser and its system, as people call them; programs as they call themselves. */
function deviceName(device: string): string {
  const named = (names: [RegExp, string][]) => names.find(([expression]) => expression.test(device))?.[1];
  const [browser, system] = [named(BROWSERS), named(SYSTEMS)];
  if (browser && system) return t.settings.browserOn(browser, system);
  return device.slice(0, 60) || t.settings.unknownDevice;
}
