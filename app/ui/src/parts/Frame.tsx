/** What is around every page: navigation, the palette, and whether the server can be reached. */
import { useQueryClient } from "@tanstack/react-query";
import { Link, Outlet, useNavigate, useRouterState } from "@tanstack/react-router";
import { Activity, Archive, Ban, BarChart3, Blocks, Cable, ChevronsUpDown, HeartPulse, Inbox, ListChecks, LogOut, Menu as MenuIcon, Moon, ScrollText, Search, Settings, Sun, UserCheck, Variable, Workflow } from "lucide-react";
import { type ReactNode, useEffect, useState, useSyncExternalStore } from "react";
import { live } from "../api/live";
import { signOut, useUser } from "../api/session";
import icon from "../icon.svg";
import { here } from "../router";
import { t } from "../texts";
import { said } from "./controls";
import { Menu, MenuItem } from "./overlays";
import { Palette } from "./Palette";
import { setTheme } from "./theme";
import { toast } from "./toasts";

export const SECTIONS = [
  { to: "/zaps", name: t.nav.zaps, icon: <Workflow aria-hidden /> },
  { to: "/runs", name: t.nav.runs, icon: <Activity aria-hidden /> },
  { to: "/inbox", name: t.nav.inbox, icon: <Inbox aria-hidden /> },
  { to: "/approvals", name: t.nav.approvals, icon: <UserCheck aria-hidden /> },
  { to: "/requests", name: t.nav.requests, icon: <Ban aria-hidden /> },
  { to: "/jobs", name: t.nav.jobs, icon: <ListChecks aria-hidden /> },
  { to: "/connections", name: t.nav.connections, icon: <Cable aria-hidden /> },
  { to: "/variables", name: t.nav.variables, icon: <Variable aria-hidden /> },
  { to: "/catalog", name: t.nav.catalog, icon: <Blocks aria-hidden /> },
  { to: "/stats", name: t.nav.stats, icon: <BarChart3 aria-hidden /> },
  { to: "/audit", name: t.nav.audit, icon: <ScrollText aria-hidden /> },
  { to: "/history", name: t.nav.history, icon: <Archive aria-hidden /> },
  { to: "/system", name: t.nav.system, icon: <HeartPulse aria-hidden /> },
  { to: "/settings", name: t.nav.settings, icon: <Settings aria-hidden /> },
] as const;

export function Brand() {
  return (
    <Link to="/zaps" className="brand">
      <img src={icon} width={22} height={22} alt="" />
      TriggerHub
    </Link>
  );
}

export function Frame() {
  const user = useUser();
  const navigate = useNavigate();
  const client = useQueryClient();
  const [palette, setPalette] = useState(false);
  const path = useRouterState({ select: (state) => state.location.pathname });
  useEffect(() => {
    if (!user) void navigate({ to: "/login", search: { next: here() } });
  }, [user, navigate]);
  useEffect(() => {
    const section = SECTIONS.find((other) => path.startsWith(other.to));
    document.title = section ? `${section.name} · TriggerHub` : "TriggerHub";
  }, [path]);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if ((event.metaKey || event.ctrlKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        setPalette((open) => !open);
      }
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
  useEffect(() => (user ? live(client) : undefined), [user, client]);
  if (!user) return null;
  const open = () => setPalette(true);
  return (
    <div className="frame">
      <aside className="side">
        <Brand />
        <button type="button" className="jump" onClick={open}>
          <Search aria-hidden size={15} />
          {t.nav.jump}
          <kbd>{/Mac|iP/.test(navigator.platform) ? "⌘K" : "Ctrl K"}</kbd>
        </button>
        <nav aria-label={t.nav.label}>
          {SECTIONS.map((section) => (
            <Link key={section.to} to={section.to}>
              {section.icon}
              {section.name}
            </Link>
          ))}
        </nav>
        <div className="foot">
          <UserMenu
            trigger={
              <button type="button" className="button quiet" style={{ width: "100%" }} data-testid="user-menu">
                <span className="grow clip" style={{ textAlign: "left" }}>{user.name}</span>
                <ChevronsUpDown aria-hidden />
              </button>
            }
          />
        </div>
      </aside>
      <TopBar open={open} />
      <div>
        <Offline />
        <main className="page">
          <Outlet />
        </main>
      </div>
      {palette && <Palette onClose={() => setPalette(false)} />}
    </div>
  );
}

function TopBar({ open }: { open: () => void }) {
  const navigate = useNavigate();
  return (
    <div className="top-bar">
      <Brand />
      <button type="button" className="button quiet icon" aria-label={t.nav.jump} onClick={open}>
        <Search aria-hidden />
      </button>
      <UserMenu
        trigger={
          <button type="button" className="button quiet icon" aria-label={t.nav.label}>
            <MenuIcon aria-hidden />
          </button>
        }
        before={SECTIONS.map((section) => (
          <MenuItem key={section.to} icon={section.icon} onSelect={() => void navigate({ to: section.to })}>
            {section.name}
          </MenuItem>
        ))}
      />
    </div>
  );
}

function UserMenu({ trigger, before }: { trigger: ReactNode; before?: ReactNode }) {
  const user = useUser();
  const navigate = useNavigate();
  const client = useQueryClient();
  async function leave() {
    try {
      await signOut();
      await navigate({ to: "/login" });
      client.clear();
    } catch (error) {
      toast(said(error));
    }
  }
  const isDark = document.documentElement.dataset.theme === "dark";
  return (
    <Menu label={t.nav.account} trigger={trigger}>
      {before}
      {before && <hr />}
      {!before && (
        <MenuItem icon={<Settings aria-hidden />} onSelect={() => void navigate({ to: "/settings" })}>
          {user?.email}
        </MenuItem>
      )}
      <MenuItem icon={isDark ? <Sun aria-hidden /> : <Moon aria-hidden />} onSelect={() => setTheme(isDark ? "light" : "dark")}>
        {isDark ? t.theme.toLight : t.theme.toDark}
      </MenuItem>
      <MenuItem icon={<LogOut aria-hidden />} onSelect={() => void leave()} testId="sign-out">
        {t.nav.signOut}
      </MenuItem>
    </Menu>
  );
}

/** A strip while the server does not answer; what is shown stays, and nothing is blocked. */
function Offline() {
  const client = useQueryClient();
  const isDown = useSyncExternalStore(
    (listener) => client.getQueryCache().subscribe(listener),
    () => client.getQueryCache().getAll().some((query) => query.isActive() && query.state.fetchFailureReason instanceof TypeError),
  );
  return isDown ? <div className="offline" role="status">{t.common.offline}</div> : null;
}
