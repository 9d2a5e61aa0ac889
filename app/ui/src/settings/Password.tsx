/** Another password. */
import { type FormEvent, useState } from "react";
import { api, data } from "../api/client";
import { queryClient } from "../api/queries";
import { Failed, Field, Panel, wrongAt } from "../parts/controls";
import { toast } from "../parts/toasts";
import { t } from "../texts";

export function Password() {
  const [current, setCurrent] = useState("");
  const [fresh, setFresh] = useState("");
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  async function change(event: FormEvent) {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    try {
      await data(api.POST("/api/v1/me/password", { body: { current_password: current, new_password: fresh } }));
      setCurrent("");
      setFresh("");
      toast(t.settings.passwordChanged);
      await queryClient.invalidateQueries({ queryKey: ["sessions"] });
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  }
  const [wrongCurrent, wrongFresh] = [wrongAt(error, "current_password"), wrongAt(error, "new_password")];
  return (
    <Panel title={t.settings.password}>
      <form className="stack narrow" onSubmit={change}>
        <Field label={t.settings.currentPassword} wrong={wrongCurrent} tell>
          {(id, described) => <input id={id} aria-describedby={described} aria-invalid={wrongCurrent !== undefined} className="input" type="password" autoComplete="current-password" required value={current} onChange={(event) => setCurrent(event.target.value)} data-testid="current-password" />}
        </Field>
        <Field label={t.settings.newPassword} hint={t.login.passwordHint} wrong={wrongFresh} tell>
          {(id, described) => <input id={id} aria-describedby={described} aria-invalid={wrongFresh !== undefined} className="input" type="password" autoComplete="new-password" required minLength={8} maxLength={256} value={fresh} onChange={(event) => setFresh(event.target.value)} data-testid="new-password" />}
        </Field>
        {error !== undefined && !wrongCurrent && !wrongFresh && <Failed error={error} />}
        <div className="row wrap">
          <button type="submit" className="button" disabled={busy} data-testid="change-password">{t.settings.changePassword}</button>
          <span className="small faint">{t.settings.passwordAbout}</span>
        </div>
      </form>
    </Panel>
  );
}
