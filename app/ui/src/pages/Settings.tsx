/** The user's own things: who one is, how it looks, password, API keys, sessions. */
import { useUser } from "../api/session";
import { Field, Page, Panel } from "../parts/controls";
import { type Theme, setTheme, useTheme } from "../parts/theme";
import { Keys } from "../settings/Keys";
import { Password } from "../settings/Password";
import { Sessions } from "../settings/Sessions";
import { t } from "../texts";

export function Settings() {
  const user = useUser();
  const theme = useTheme();
  return (
    <Page title={t.nav.settings}>
      <div className="stack">
        <Panel title={t.settings.account}>
          <dl className="facts">
            <dt>{t.login.name}</dt><dd>{user?.name}</dd>
            <dt>{t.login.email}</dt><dd>{user?.email}</dd>
          </dl>
        </Panel>
        <Panel title={t.settings.appearance}>
          <Field label={t.settings.theme}>
            {(id) => (
              <select id={id} className="select" style={{ width: 220 }} value={theme} onChange={(event) => setTheme(event.target.value as Theme)}>
                {(["system", "light", "dark"] as const).map((each) => <option key={each} value={each}>{t.theme[each]}</option>)}
              </select>
            )}
          </Field>
        </Panel>
        <Keys />
        <Password />
        <Sessions />
      </div>
    </Page>
  );
}
