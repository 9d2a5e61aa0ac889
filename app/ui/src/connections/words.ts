/** The texts of connections, variables and the catalog, in English; they are loaded with what shows them. */
const s = (count: number, one: string) => `${count.toLocaleString("en")} ${one}${count === 1 ? "" : "s"}`;

export const c = {
  connections: "Connections", variables: "Variables", catalog: "Catalog",
  about: "Credentials that zaps call others with. They are sealed, go to their own hosts only, and are never shown.",
  create: "New connection", change: (name: string) => `Change ${name}`, changeIt: "Change", actionsOf: (name: string) => `Actions: ${name}`, remove: "Delete", removeAnyway: "Delete it anyway",
  none: "No connections yet", noneAbout: "A connection keeps a token or a password apart from the zaps that use it: change it here once, and all of them have it.",
  kind: "Kind", service: "Service", anyService: "Any other", serviceAbout: "Fills in what is known of it.", host: "Hosts", lastUsed: "Last used", refreshed: "Refreshed", expires: "Expires", expired: "expired", usedBy: "Used by",
  kinds: { bearer: "Bearer token", api_key: "API key", basic: "User name and password", custom: "Headers", oauth2: "OAuth 2", smtp: "Mail, to send", imap: "Mail, to read", postgres: "PostgreSQL" },
  kindsAbout: {
    bearer: "A token that is sent as Authorization: Bearer …", api_key: "A key that is sent in a header, in the query or in the path", basic: "Sent as HTTP Basic", custom: "Any headers, for services that want their own",
    oauth2: "Tokens are fetched, and renewed before they expire", smtp: "An account at a mail server that sends", imap: "An account at a mail server that keeps mail", postgres: "An account at a database",
  },
  statuses: { ok: "Works", untested: "Not used yet", failed: "Refused", needs_reconnect: "Needs consent" },
  zaps: (count: number) => s(count, "zap"), unused: "no zap", usesOf: (name: string) => `Zaps with ${name}`, inVersion: { draft: "in the draft", live: "in what is live" }, nobody: "No zap names it.",
  removeTitle: (name: string) => `Delete ${name}?`, removeAbout: "Its secrets are forgotten at once.", inUse: "These zaps name it. Give them another connection first; if you delete it anyway, their steps fail from then on.",
  test: "Try it", testOf: (name: string) => `Try ${name}`, testUrl: "Address to call", testAbout: "One of its hosts. Without an address the first of them is called.", works: "It was let in.", refused: "It was not let in.",
  keptAbout: "It is set, and never shown. Leave this empty to keep it.", headersKept: "Headers that you name here are replaced; all others stay.", as_usual: "As usual",
  /** Forms ask for them in this order. */
  parts: {
    token: "Token", in: "Where it goes", name: "Name of the header or parameter, or the text of the path", value: "Key", grant: "How tokens are got", authorize_url: "Address where people consent", token_url: "Address of tokens", client_id: "Client id", client_secret: "Client secret", private_key: "Private key", scopes: "Scopes", audience: "Audience",
    host: "Server", port: "Port", tls: "Encryption", database: "Database", username: "User name", password: "Password", headers: "Headers", read_only: "It only reads", hosts: "Hosts",
  } as Record<string, string>,
  hints: {
    hosts: "The only ones it is sent to, one a line; *.example.com for all below. Empty: that of the first step which uses it.", headers: "Name: value, a line each.", scopes: "What it may do, one a line, in the words of the service.", private_key: "In PEM, as the service account's file has it.",
    token: "As the service has given it to you, without “Bearer”.", client_id: "Of the application that you have registered at the service; for a service account its e-mail address.", audience: "Where the service wants one; else the address of tokens.", tls: "verify checks the server's certificate; off is for a machine of your own.",
    read_only: "Each query runs in a transaction that can not write.", token_url: "The service's documentation has it, often under “OAuth”.", client_secret: "Empty for a public client.",
  } as Record<string, string>,
  options: { authorization_code: "Somebody consents in a browser", client_credentials: "The client's own id and secret", jwt_bearer: "The key of a service account (Google)", header: "In a header", query: "In the query", path: "In the path, in place of its name", starttls: "STARTTLS", tls: "TLS", off: "None", verify: "TLS, and the certificate is checked", require: "TLS, whatever the certificate" } as Record<string, string>,
  redirect: "Address to come back to", redirectAbout: "Register it at the service, exactly as it is here.",
  testing: "An application at Google in status “Testing” loses its consent after seven days: publish it, or use a service account.",
  consentTo: (name: string) => `Consent to ${name}`, consentAbout: "The service asks you, in another tab, whether TriggerHub may act for you. Come back here afterwards.", toConsent: "Go to the service", waiting: "Waiting for your consent …", consented: "It is connected: runs that waited for it go on.", reconnect: "Reconnect",
  choose: "Connection", without: "None", chooseOne: "Choose a connection", needsConsent: "This connection needs somebody's consent again.",
  done: "Done", saved: (name: string) => `${name} is saved`,

  vars: {
    about: "Values that templates name as vars.NAME: addresses, limits, secrets. Runs see a new value within a second.", create: "New variable", change: (name: string) => `Change ${name}`, none: "No variables yet", noneAbout: "Keep in one place what many zaps share, and change it without publishing them anew.",
    value: "Value", secret: "Secret", secretAbout: "A secret is a text that is never shown again, neither here nor in runs.", hidden: "set, and never shown", changed: "Changed", template: "In templates", type: "Type", types: { string: "Text", number: "Number", boolean: "Yes or no" },
    nameHint: "Letters, digits and _, as templates write it.", removeTitle: (name: string) => `Delete ${name}?`, removeAbout: "These zaps name it. Their steps fail from then on.", yes: "Yes", no: "No", history: "History", historyOf: (name: string) => `History of ${name}`, noHistory: "The audit has nothing of it yet.", kept: "Its present value is not shown. Write the new one.",
  },
};
