/** Sign in, sign up, and the welcome of the first user. */
import { useQuery } from "@tanstack/react-query";
import { useRouter, useSearch } from "@tanstack/react-router";
import { type FormEvent, useEffect, useState } from "react";
import { queryClient } from "../api/queries";
import { restore, root, signIn, signUp, signUpState } from "../api/session";
import icon from "../icon.svg";
import { Failed, Field, Loading, wrongAt } from "../parts/controls";
import { t } from "../texts";

export function Login() {
  const router = useRouter();
  const { next } = useSearch({ strict: false }) as { next?: string };
  const state = useQuery({ queryKey: ["sign-up"], queryFn: signUpState, staleTime: 0 });
  const [wish, setWish] = useState<"in" | "up" | undefined>();
  useEffect(() => {
    document.title = `${t.login.signIn} · TriggerHub`;
    restore().then((user) => user && arrive(), () => undefined);
  }, []);
  function arrive() {
    queryClient.clear();
    router.history.push(inside(next) ?? `${new URL(root).pathname.replace(/\/$/, "")}/zaps`);
  }
  if (state.isPending) return <main className="door"><Loading /></main>;
  const first = state.data?.first ?? false;
  const mode = wish ?? (first ? "up" : "in");
  return (
    <main className="door">
      <div className="panel">
        <div className="body">
          <div className="brand"><img src={icon} width={26} height={26} alt="" />TriggerHub</div>
          <div>
            <h1>{mode === "in" ? t.login.signIn : first ? t.login.welcome : t.login.signUp}</h1>
            <p className="soft">{mode === "in" ? t.login.signInAbout : first ? t.login.welcomeAbout : t.login.signUpAbout}</p>
          </div>
          {mode === "in" ? <SignIn onDone={arrive} /> : <SignUp onDone={arrive} />}
          {state.data?.open && !first && (
            <p className="soft small">
              {mode === "in" ? t.login.noAccount : t.login.haveAccount}{" "}
              <button type="button" className="linkish" onClick={() => setWish(mode === "in" ? "up" : "in")} data-testid="switch">
                {mode === "in" ? t.login.signUp : t.login.signIn}
              </button>
            </p>
          )}
        </div>
      </div>
    </main>
  );
}

/** An address of ours only: a link to the sign-in must not lead elsewhere. */
function inside(next: string | undefined): string | undefined {
  return next && /^\/(?![/\\])/.test(next) ? next : undefined;
}

function useForm(send: () => Promise<void>, onDone: () => void) {
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  async function submit(event: FormEvent) {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    try {
      await send();
      onDone();
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  }
  const wrong = (path: string) => wrongAt(error, path);
  const isElsewhere = error !== undefined && !["name", "email", "password"].some(wrong);
  return { submit, busy, wrong, shown: isElsewhere ? <Failed error={error} /> : null };
}

function SignIn({ onDone }: { onDone: () => void }) {
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const { submit, busy, wrong, shown } = useForm(() => signIn(email, password), onDone);
  return (
    <form onSubmit={submit} noValidate>
      <Text label={t.login.email} type="email" auto="username" value={email} set={setEmail} wrong={wrong("email")} focus />
      <Text label={t.login.password} type="password" auto="current-password" value={password} set={setPassword} wrong={wrong("password")} />
      {shown}
      <button type="submit" className="button primary" disabled={busy} data-testid="sign-in">{t.login.signIn}</button>
    </form>
  );
}

function SignUp({ onDone }: { onDone: () => void }) {
  const [name, setName] = useState("");
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const { submit, busy, wrong, shown } = useForm(() => signUp(name, email, password), onDone);
  return (
    <form onSubmit={submit} noValidate>
      <Text label={t.login.name} type="text" auto="name" value={name} set={setName} wrong={wrong("name")} focus />
      <Text label={t.login.email} type="email" auto="username" value={email} set={setEmail} wrong={wrong("email")} />
      <Text label={t.login.password} type="password" auto="new-password" value={password} set={setPassword} wrong={wrong("password")} hint={t.login.passwordHint} />
      {shown}
      <button type="submit" className="button primary" disabled={busy} data-testid="sign-up">{t.login.signUp}</button>
    </form>
  );
}

function Text({ label, type, auto, value, set, wrong, hint, focus }: {
  label: string; type: string; auto: string; value: string; set: (text: string) => void; wrong: string | undefined; hint?: string; focus?: boolean;
}) {
  return (
    <Field label={label} hint={hint} wrong={wrong} tell>
      {(id, described) => (
        <input id={id} className="input" type={type} name={auto} autoComplete={auto} value={value} autoFocus={focus}
          aria-describedby={described} aria-invalid={wrong !== undefined} onChange={(event) => set(event.target.value)} />
      )}
    </Field>
  );
}
