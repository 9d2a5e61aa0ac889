/** The texts of the editor; they are loaded with it. */
const s = (count: number, one: string) => `${count.toLocaleString("en")} ${count === 1 ? one : `${one}s`}`;

export const w = {
  views: "Views of the draft", tree: "Steps", json: "JSON", name: "Name of the zap", undo: "Undo", redo: "Redo", steps: "Steps of the zap",
  keys: "↑ ↓ walk · Enter opens · A adds · Alt ↑ ↓ moves · D duplicates · Del deletes", discard: "Discard draft",
  saved: (position: number) => `Saved as draft, position ${position}`, saving: "Saving …", notSaved: "Not saved yet. Your changes are kept in this browser.",
  wrong: (count: number) => `Not saved: ${s(count, "problem")}. Your changes are kept in this browser.`, unreachable: "The server does not answer. Your changes are kept in this browser, and saved as soon as it does.",
  notJson: "Not saved: this is not valid JSON yet.", restored: "These changes were not saved when you left. They are from this browser.",
  problems: (count: number) => `${s(count, "problem")}:`, meant: (word: string) => `Did you mean ${word}?`, allowed: (words: string) => `Allowed: ${words}`, warnings: "Allowed, but look twice:",
  publish: "Publish", published: "Published", isLive: "This draft is live", publishAbout: "New runs use what you see here.",
  conflict: "Somebody else has changed this zap", conflictAbout: "Your changes are not saved yet. This differs:", theirs: "Take theirs", mine: "Save mine over it", later: "Decide later", place: "What", their: "Theirs", my: "Mine", equal: "Both say the same.", missing: "–", conflicted: "Not saved: somebody else has changed this zap.", decide: "Decide",
  add: "Add a step", addHere: (where: string) => `Add a step ${where}`, before: (id: string) => `before ${id}`, atEnd: (where: string) => `at the end of ${where}`, start: "the zap", first: "Add the first step", find: "Search actions and steps", nothing: "Nothing has this name.",
  pasteStep: (id: string) => `Paste ${id}`, pasteAbout: "The step that you have copied",
  up: "Move up", down: "Move down", duplicate: "Duplicate", copy: "Copy", copied: (id: string) => `${id} is copied: paste it with Ctrl-V, here or in another zap`, remove: "Delete", removed: (id: string) => `${id} is deleted. Undo brings it back.`,
  id: "Name of the step", idHint: "Templates name its output so: steps.<name>.output", idWrong: "Letters, digits and _, beginning with a letter; up to 64", idTaken: "Another step has this name",
  trigger: "Trigger", triggerType: "Starts by", addTrigger: "Add another trigger", removeTrigger: "Remove this trigger", triggerId: "Name of the trigger",
  more: "More settings", choose: "Choose a step on the left to change it.", unknownKind: "This release has no form for this step. The JSON view shows all of it.",
  row: { name: "Name", value: "Value", add: "Add a row", remove: (name: string) => `Remove ${name || "the row"}` },
  rule: { field: "Field", operator: "Comparison", value: "Value", add: "Add a condition", remove: "Remove this condition", all: "All of these hold", any: "Any of these holds", join: "When", json: "This condition is nested. Change it as JSON:" },
  path: { name: "Name of the path", add: "Add a path", remove: "Remove this path", one: (number: number) => `Path ${number}`, otherwise: "Steps for when no path is taken" },
  recipients: { label: "Who is asked", hint: "E-mail addresses, one a line; or a role: owner, admin, editor, viewer" },
  insert: "Insert a value", paths: "Values of the sample", noPaths: "The sample has no such value.", gives: "Gives", givesType: (type: string) => `Gives (${type})`, filterPaths: "Search values",
  sample: "Sample", noSample: "No sample", pasted: "A pasted body", runAt: (when: string, status: string) => `Run ${when}, ${status}`, sampleBody: "Body of the sample", sampleHint: "JSON, as trigger.body",
  test: "Test", testTitle: "Test the draft", effects: "Actions", stub: "Are answered by the sample: nothing is sent", real: "Are really carried out", realAbout: "Requests are sent to their targets.", run: "Run the test", request: (reason: string, when: string) => `Request ${when}, ${reason}`,
  outcome: "The run would end as:", timedOut: "The test took too long: what was done by then is shown.", clear: "Clear the test", answered: { stub: "answered by its stub", sample: "answered by the sample", connector: "answered by an example of the connector" } as Record<string, string>, input: "Input", output: "Output", error: "Error", testOf: "Test",
  onError: { title: "When it fails", fail: "End the run", continue: "Go on with the next step", steps: "Run other steps" },
  notSet: "Not set", unset: "As usual",
};
