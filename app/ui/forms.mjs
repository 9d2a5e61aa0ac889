/** Writes src/api/forms.json: the schemas of what has a form of its own in the editor, out of the API's document. */
import { readFileSync, writeFileSync } from "node:fs";

const schemas = JSON.parse(readFileSync(".openapi.json", "utf8")).components.schemas;
const { retry, rate_limit } = schemas.ActionStep.properties;
const { verification, dedupe, reply, limit } = schemas.WebhookConfig.properties;
const roots = { retry, rate_limit, verification, dedupe, reply, limit, settings: { $ref: "#/components/schemas/ZapSettings" } };
/** These have controls of their own. */
const ELSEWHERE = new Set(["Condition", "ErrorPath"]);
const defs = {};

function reduced(schema) {
  if (Array.isArray(schema)) return schema.map(reduced);
  if (typeof schema !== "object" || schema === null) return schema;
  if (schema.$ref) return named(schema.$ref.split("/").at(-1));
  const { discriminator, oneOf, description, pattern, additionalProperties, ...others } = schema;
  if (discriminator) return { by: discriminator.propertyName, variants: Object.fromEntries(Object.entries(discriminator.mapping).map(([key, ref]) => [key, named(ref.split("/").at(-1))])) };
  return Object.fromEntries(Object.entries(others).map(([key, value]) => [key, key === "properties" ? Object.fromEntries(Object.entries(value).map(([name, one]) => [name, reduced(one)])) : key === "default" || key === "enum" ? value : reduced(value)]));
}

function named(name) {
  if (ELSEWHERE.has(name)) return { format: name.toLowerCase() };
  if (!(name in defs)) {
    defs[name] = {};
    defs[name] = reduced(schemas[name]);
  }
  return { $ref: name };
}

const fields = Object.fromEntries(Object.entries(roots).map(([name, schema]) => [name, reduced(schema)]));
writeFileSync("src/api/forms.json", JSON.stringify({ fields, defs }, null, 1));

/** And src/api/connections.json: what each kind of connection is set up with, and which parts of that are secret. */
const whole = (schema) => (schema.$ref ? whole(schemas[schema.$ref.split("/").at(-1)]) : schema);
const setups = schemas.NewConnection.oneOf.map((one) => whole(one).properties).map(({ kind, config, secrets }) => [kind.enum[0], { config: whole(config), secrets: whole(secrets) }]);
writeFileSync("src/api/connections.json", JSON.stringify(Object.fromEntries(setups), (name, value) => (name === "pattern" || name === "description" ? undefined : value), 1));
