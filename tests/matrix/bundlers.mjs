// Bundlers and frameworks: what each installs, how it builds and serves app/, and what its users must write.
import { built, served } from "./checks.mjs";

const config = (source) => `export default ${source};\n`;

/** The app without its own worker. */
const withoutOwnWorker = { entries: ["headwise", "headwise/worker"], files: { "main.js": `import "./page.js";` } };

const viteDev = (port) => ["vite", "--host=127.0.0.1", `--port=${port}`, "--strictPort"];

/** Vite before 8: a worker as a classic script, its default, must be one file, and `headwise` imports what opens models on demand. */
function olderVite(version, guards) {
  const dev = `optimizeDeps: { exclude: ["headwise"] }`;
  const ownWorker = `worker: { format: "es" }`;
  return {
    name: `Vite ${version.split(".")[0]}`,
    packages: { vite: version },
    write: `dev: \`${dev}\` in \`vite.config.js\`; for \`headwise\` in a worker of your own: \`${ownWorker}\``,
    guards,
    files: { "vite.config.js": config(`{ ${dev} }`) },
    checks: {
      build: built(["vite", "build"], "dist", withoutOwnWorker),
      "build with an own worker": built(["vite", "build"], "dist", {
        files: { "vite.config.js": config(`{ ${ownWorker} }`) },
      }),
      dev: served(viteDev),
    },
  };
}

/** The command lines of webpack, and of Rspack, which follows it. */
function webpackLike(name, packages, tool, write) {
  const mode = (mode) => ["--mode", mode, "--entry", "./main.js"];
  const page = `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><script src="main.js"></script>`;
  return {
    name,
    packages,
    write,
    files: { "dist/index.html": page, "public/index.html": page },
    checks: {
      build: built([tool, "build", ...mode("production")], "dist"),
      dev: served((port) => [tool, "serve", ...mode("development"), "--host", "127.0.0.1", "--port", `${port}`]),
    },
  };
}

const nextFiles = {
  "app/layout.js": `export default function Layout({ children }) { return <html lang="en"><body>{children}</body></html>; }`,
  "app/page.js": `"use client";
    import "../main.js";
    export default function Page() { return "Headwise"; }`,
  "app/server/route.js": `import * as headwise from "headwise";
    import * as worker from "headwise/worker";
    import { compute } from "../../compute.js";
    export const dynamic = "force-dynamic";
    export async function GET() {
      return Response.json({ headwise: await compute(headwise, { threads: 2 }), "headwise/worker": await compute(worker, { threads: 2 }) });
    }`,
};
const nextConfig = `serverExternalPackages: ["headwise"]`;
const nextStart = (port) => ["next", "start", "--hostname=127.0.0.1", `--port=${port}`];
const nextDev = (port) => ["next", "dev", "--hostname=127.0.0.1", `--port=${port}`];

export const bundlers = [
  olderVite("6.4.6"),
  olderVite("7.3.8", ["build", "build with an own worker"]),
  {
    name: "Vite 8",
    packages: { vite: "8.3.8" },
    checks: { build: built(["vite", "build"], "dist"), dev: served(viteDev) },
  },
  {
    ...webpackLike(
      "webpack 5",
      { webpack: "5.112.2", "webpack-cli": "7.3.1", "webpack-dev-server": "6.1.0" },
      "webpack",
    ),
    guards: ["build"],
  },
  webpackLike("Rspack", { "@rspack/core": "2.3.3", "@rspack/cli": "2.2.8", "@rspack/dev-server": "2.2.0" }, "rspack"),
  {
    name: "Rsbuild",
    packages: { "@rsbuild/core": "2.3.2" },
    files: { "src/index.js": `import "../main.js";\n`, "public/favicon.ico": "" },
    checks: {
      build: built(["rsbuild", "build"], "dist"),
      dev: served((port) => ["rsbuild", "dev", "--host=127.0.0.1", `--port=${port}`]),
    },
  },
  {
    name: "Next 16",
    packages: { next: "16.4.6", react: "19.3.1", "react-dom": "19.3.1" },
    write: `for calls on the server: \`${nextConfig}\` in \`next.config.mjs\``,
    files: { ...nextFiles, "next.config.mjs": config(`{ ${nextConfig} }`) },
    guards: ["Turbopack build"],
    checks: {
      "Turbopack build": served(nextStart, { build: ["next", "build"], program: "/server" }),
      "Turbopack dev": served(nextDev, { program: "/server" }),
      "webpack build": served(nextStart, { build: ["next", "build", "--webpack"], program: "/server" }),
    },
  },
  {
    name: "Parcel 2",
    packages: { parcel: "2.16.4" },
    write: `\`"@parcel/resolver-default": { "packageExports": true }\` in \`package.json\`; for \`headwise\` in a worker of your own beside \`headwise/worker\`: \`--no-scope-hoist\``,
    files: {
      "package.json": `{ "private": true, "type": "module", "@parcel/resolver-default": { "packageExports": true } }`,
    },
    checks: {
      build: built(["parcel", "build", "index.html"], "dist", withoutOwnWorker),
      "build with an own worker": built(["parcel", "build", "index.html", "--no-scope-hoist"], "dist"),
      dev: served((port) => [
        "parcel",
        "serve",
        "index.html",
        "--no-autoinstall",
        "--host=127.0.0.1",
        `--port=${port}`,
      ]),
    },
  },
  {
    name: "SvelteKit",
    packages: {
      "@sveltejs/kit": "3.2.0",
      "@sveltejs/adapter-static": "4.0.1",
      "@sveltejs/vite-plugin-svelte": "7.3.1",
      svelte: "5.57.3",
      vite: "8.3.8",
    },
    files: {
      "vite.config.js": `import adapter from "@sveltejs/adapter-static";
        import { sveltekit } from "@sveltejs/kit/vite";
        export default { plugins: [sveltekit({ adapter: adapter() })] };`,
      "src/app.html": `<!doctype html><link rel="icon" href="data:,">%sveltekit.head%<div>%sveltekit.body%</div>`,
      "src/routes/+layout.js": "export const prerender = true;",
      "src/routes/+page.svelte": `<script>import "../main.js";</script>Headwise`,
    },
    shared: "src",
    checks: {
      build: built(["vite", "build"], "build"),
      dev: served(viteDev),
    },
  },
];
