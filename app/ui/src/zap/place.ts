/** Where a JSON pointer leads in a text of JSON: the offsets at which the value begins and ends. */
export function placeOf(text: string, pointer: string): [number, number] | undefined {
  const wanted = pointer.split("/").slice(1).map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
  let at = 0;
  const blank = () => { while (/\s/.test(text[at] ?? "")) at++; };
  const literal = () => {
    if (text[at] === '"') {
      for (at++; at < text.length && text[at] !== '"'; at++) if (text[at] === "\\") at++;
      at++;
    } else while (at < text.length && !/[,\]}\s]/.test(text[at] as string)) at++;
  };

  /** Goes past a value; gives its place when the rest of the pointer ends there, or the nearest place on the way. */
  function value(depth: number): [number, number] | undefined {
    blank();
    const start = at;
    const isWanted = depth >= 0;
    let found: [number, number] | undefined;
    const isList = text[at] === "[";
    if (isList || text[at] === "{") {
      at++;
      for (let index = 0; ; index++) {
        blank();
        if (at >= text.length || text[at] === "]" || text[at] === "}") break;
        let name = String(index);
        if (!isList) {
          const begin = at;
          literal();
          try { name = JSON.parse(text.slice(begin, at)) as string; } catch { return undefined; }
          blank();
          at++; // the colon
        }
        const inner = value(isWanted && wanted[depth] === name ? depth + 1 : -1);
        found ??= inner;
        blank();
        if (text[at] === ",") at++;
      }
      at++;
    } else literal();
    return isWanted ? (found ?? [start, at]) : undefined;
  }
  return value(0);
}
