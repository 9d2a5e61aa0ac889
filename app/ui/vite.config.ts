import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

const API = process.env.TRIGGERHUB_UI_API ?? "http://127.0.0.1:8000";

/** The licence of each package that ends up in the bundle, as dist/licenses.txt. */
function licenses(): Plugin {
  return {
    name: "licenses",
    generateBundle(_options, bundle) {
      const folders = new Set<string>();
      for (const chunk of Object.values(bundle)) {
        if (chunk.type === "chunk") for (const id of Object.keys(chunk.modules)) folders.add(packageOf(id) ?? "");
      }
      folders.delete("");
      const notices = [...folders].map(notice).sort();
      this.emitFile({ type: "asset", fileName: "licenses.txt", source: notices.join("\n" + "-".repeat(80) + "\n\n") });
    },
  };
}

function packageOf(id: string): string | undefined {
  const file = id.replace(/^\0/, "").replace(/\?.*$/, "");
  if (!file.includes("/node_modules/")) return undefined;
  for (let folder = dirname(file); folder.includes("/node_modules/"); folder = dirname(folder)) {
    const described = join(folder, "package.json");
    if (existsSync(described) && JSON.parse(readFileSync(described, "utf8")).version) return folder;
  }
  return undefined;
}

function notice(folder: string): string {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const file = readdirSync(folder).find((found) => /^licen[cs]e/i.test(found));
  return `${name} ${version} (${license})\n\n${file ? readFileSync(join(folder, file), "utf8").trim() : ""}\n`;
}

export default defineConfig({
  base: "./", // relative to <base>, which the server sets: so the UI works below any path
  plugins: [react(), licenses()],
  server: { proxy: Object.fromEntries(["/api", "/hooks", "/docs", "/schema", "/healthz", "/readyz"].map((path) => [path, API])) },
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: {
      output: { codeSplitting: { // What only later pages need stays with them.
        groups: [{ name: "vendor", test: /node_modules\/(?!lucide-react|@tanstack\/(react-|)virtual|@radix-ui\/react-tabs)/ }] } },
    },
  },
});
