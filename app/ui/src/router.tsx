/** The addresses of the UI. app/http/ui/files.py serves the page for the same first parts. */
import { Outlet, createRootRoute, createRoute, createRouter, lazyRouteComponent, redirect } from "@tanstack/react-router";
import { restore, root } from "./api/session";
import { Frame } from "./parts/Frame";
import { Broken, NotFound } from "./parts/broken";
import { fetched } from "./parts/fetched";
import { Login } from "./pages/Login";
import { Zaps } from "./pages/Zaps";

type Search = Record<string, string | undefined>;
/** Only what a page knows stays in its address. */
const known = (...names: string[]) => (search: Record<string, unknown>): Search =>
  Object.fromEntries(names.filter((name) => search[name]).map((name) => [name, String(search[name])]));

const rootRoute = createRootRoute({ component: Outlet, notFoundComponent: NotFound, errorComponent: Broken });
const login = createRoute({ getParentRoute: () => rootRoute, path: "/login", validateSearch: known("next"), component: Login });
const inside = createRoute({
  getParentRoute: () => rootRoute,
  id: "inside",
  component: Frame,
  beforeLoad: async () => {
    if (!(await restore())) throw redirect({ to: "/login", search: { next: here() } });
  },
});
const home = createRoute({
  getParentRoute: () => inside, path: "/", beforeLoad: () => { throw redirect({ to: "/zaps", replace: true }); },
});
const zaps = createRoute({ getParentRoute: () => inside, path: "/zaps", validateSearch: known("q", "status", "tag"), component: Zaps });
const zap = createRoute({
  getParentRoute: () => inside, path: "/zaps/$id", validateSearch: known("tab"),
  component: lazyRouteComponent(() => fetched(() => import("./pages/Zap")), "ZapPage"),
});
const runs = createRoute({
  getParentRoute: () => inside, path: "/runs", validateSearch: known("q", "where", "zap_id", "status", "source", "from", "to", "finished_from", "finished_to", "min_duration_ms", "max_duration_ms", "step_id", "error_code", "tag", "recovered", "sort", "order", "columns"),
  component: lazyRouteComponent(() => fetched(() => import("./pages/Runs")), "Runs"),
});
const run = createRoute({
  getParentRoute: () => inside, path: "/runs/$id", validateSearch: known("step", "tab"),
  component: lazyRouteComponent(() => fetched(() => import("./pages/Run")), "RunPage"),
});
const inbox = createRoute({
  getParentRoute: () => inside, path: "/inbox", validateSearch: known("state", "zap_id"),
  component: lazyRouteComponent(() => fetched(() => import("./pages/Inbox")), "Inbox"),
});
const approvals = createRoute({
  getParentRoute: () => inside, path: "/approvals", validateSearch: known("state"),
  component: lazyRouteComponent(() => fetched(() => import("./pages/Approvals")), "Approvals"),
});
const requests = createRoute({
  getParentRoute: () => inside, path: "/requests", validateSearch: known("zap_id", "reason"),
  component: lazyRouteComponent(() => fetched(() => import("./pages/Requests")), "Requests"),
});
const jobs = createRoute({
  getParentRoute: () => inside, path: "/jobs", component: lazyRouteComponent(() => fetched(() => import("./pages/Jobs")), "Jobs"),
});
const connections = createRoute({
  getParentRoute: () => inside, path: "/connections", component: lazyRouteComponent(() => fetched(() => import("./pages/Connections")), "Connections"),
});
const variables = createRoute({
  getParentRoute: () => inside, path: "/variables", component: lazyRouteComponent(() => fetched(() => import("./pages/Variables")), "Variables"),
});
const catalog = createRoute({
  getParentRoute: () => inside, path: "/catalog", validateSearch: known("q", "source"), component: lazyRouteComponent(() => fetched(() => import("./pages/Catalog")), "Catalog"),
});
const connector = createRoute({
  getParentRoute: () => inside, path: "/catalog/$name", validateSearch: known("version", "action"), component: lazyRouteComponent(() => fetched(() => import("./pages/Connector")), "Connector"),
});
const stats = createRoute({
  getParentRoute: () => inside, path: "/stats", validateSearch: known("zap_id", "range", "bucket"), component: lazyRouteComponent(() => fetched(() => import("./pages/Stats")), "Stats"),
});
const audit = createRoute({
  getParentRoute: () => inside, path: "/audit", validateSearch: known("q", "type", "entity", "actor", "from", "to", "tab"), component: lazyRouteComponent(() => fetched(() => import("./pages/Audit")), "Audit"),
});
const history = createRoute({
  getParentRoute: () => inside, path: "/history", component: lazyRouteComponent(() => fetched(() => import("./pages/History")), "History"),
});
const system = createRoute({
  getParentRoute: () => inside, path: "/system", component: lazyRouteComponent(() => fetched(() => import("./pages/System")), "System"),
});
const settings = createRoute({
  getParentRoute: () => inside, path: "/settings", component: lazyRouteComponent(() => fetched(() => import("./pages/Settings")), "Settings"),
});

export const router = createRouter({
  routeTree: rootRoute.addChildren([
    login,
    inside.addChildren([home, zaps, zap, runs, run, inbox, approvals, requests, jobs, connections, variables, catalog, connector, stats, audit, history, system, settings]),
  ]),
  basepath: new URL(root).pathname,
  defaultPreload: "intent",
  defaultErrorComponent: Broken,
  defaultNotFoundComponent: NotFound,
  scrollRestoration: true,
  // Values are plain texts: an address can be read, typed and shared. Several of one name are lines of one text.
  parseSearch: (text) => {
    const given = new URLSearchParams(text);
    return Object.fromEntries([...given.keys()].map((name) => [name, given.getAll(name).join("\n")]));
  },
  stringifySearch: (search) => {
    const given = Object.entries(search).filter(([, value]) => value !== undefined && value !== "");
    const text = new URLSearchParams(given.flatMap(([name, value]) => String(value).split("\n").map((line) => [name, line]))).toString();
    return text && `?${text}`;
  },
});

/** Where the browser is, for after the sign-in. */
export function here(): string | undefined {
  const path = location.pathname + location.search;
  return path === `${new URL(root).pathname}` || location.pathname.endsWith("/login") ? undefined : path;
}

declare module "@tanstack/react-router" {
  interface Register { router: typeof router }
}
