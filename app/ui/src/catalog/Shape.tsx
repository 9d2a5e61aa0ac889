/** What can be set on a trigger or an action, as a table; and values of it. */
import { Json } from "../parts/Json";
import { k } from "./words";

interface Schema { type?: string | string[]; title?: string; description?: string; default?: unknown; enum?: unknown[]; items?: Schema; properties?: Record<string, Schema>; required?: string[]; "x-choices"?: unknown }

export function Shape({ schema, example, sample }: { schema: unknown; example?: unknown; sample?: unknown }) {
  const { properties = {}, required = [] } = schema as Schema;
  const names = Object.keys(properties);
  return (
    <div className="stack tight">
      {names.length === 0 && <p className="small soft">{k.noFields}</p>}
      {names.length > 0 && (
        <table className="table plain" data-testid="fields">
          <thead><tr><th>{k.field}</th><th className="fit">{k.type}</th><th>{k.meaning}</th></tr></thead>
          <tbody>{names.map((name) => <Row key={name} name={name} schema={properties[name] as Schema} isNeeded={required.includes(name)} />)}</tbody>
        </table>
      )}
      {isSaid(example) && <Json value={example} title={k.example} path="config" />}
      {isSaid(sample) && <Json value={sample} title={k.gives} path="output" />}
    </div>
  );
}

const isSaid = (value: unknown) => value !== undefined && value !== null;
const typeOf = ({ type, items }: Schema) => `${Array.isArray(type) ? type.join(" | ") : (type ?? "any")}${items?.type ? ` of ${String(items.type)}` : ""}`;

function Row({ name, schema, isNeeded }: { name: string; schema: Schema; isNeeded: boolean }) {
  const said = [
    schema.title, schema.description, schema.enum && k.oneOf(schema.enum.map(String).join(", ")), schema["x-choices"] ? k.chosenFrom : undefined,
    schema.default !== undefined && schema.default !== null && schema.default !== "" && typeof schema.default !== "object" ? k.usual(String(schema.default)) : undefined,
  ].filter(Boolean);
  return (
    <tr>
      <td><code className="wrap-any">{name}</code>{isNeeded && <span className="small soft"> {k.required}</span>}</td>
      <td className="fit soft">{typeOf(schema)}</td>
      <td className="full small soft wrap-any">{said.join(". ")}</td>
    </tr>
  );
}
