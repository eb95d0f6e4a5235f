// `npm run matrix`: runs Headwise wherever it promises to run, one environment after the other.
import { parseArgs } from "node:util";

import { main } from "../../tools/steps.mjs";
import { makeProject, nodes } from "../package/project.mjs";
import { openBrowser } from "../support/browsers.mjs";
import { makeApp } from "./apps.mjs";
import { bundlers } from "./bundlers.mjs";
import { pages } from "./pages.mjs";
import { programs } from "./programs.mjs";
import { writeTable } from "./report.mjs";

const environments = [...bundlers, ...pages, ...programs];

const help = `npm run matrix [-- [--guards] [name ...]]

  name       only the environments with this in their names: npm run matrix -- vite webpack
  --guards   only the checks that guard a cause of a failure, as npm test does
  --verbose  with the whole text of failures

Without names and options it runs all, and writes the table of docs/guide/bundlers.md.`;

/** Runs the chosen checks of an environment; a failed check does not stop the others. */
async function runEnvironment(environment, context, { guards, verbose }) {
  const results = {};
  for (const [name, check] of Object.entries(environment.checks)) {
    if (guards && !environment.guards?.includes(name)) continue;
    const start = performance.now();
    const app = await makeApp(environment, context);
    try {
      results[name] = await check(app, context);
    } catch (error) {
      results[name] = { error: error.message };
    } finally {
      await app.remove();
    }
    const { error } = results[name];
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    console.log(`${error ? "✗" : "✓"} ${environment.name}, ${name} (${seconds} s)`);
    if (error) console.log(verbose ? error : error.slice(0, 1500));
  }
  return results;
}

/** Node's own results with each instruction set: what all others must equal bit for bit. */
async function referenceIn(project, node) {
  const app = await makeApp({}, { node, headwise: project.installed });
  const reference = {};
  for (const simd of ["relaxed", "simd128"]) {
    await app.run(["node", "program.js", JSON.stringify({ simd, threads: 1 }), "headwise"]);
    const { headwise } = JSON.parse(await app.read("results.json"));
    if (headwise.error) throw new Error(`Node's own result: ${headwise.error}`);
    reference[simd] = headwise;
  }
  await app.remove();
  return reference;
}

main(async () => {
  const options = { guards: { type: "boolean" }, verbose: { type: "boolean" }, help: { type: "boolean" } };
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  if (values.help) return console.log(help);
  const chosen = environments.filter(
    ({ name, guards }) =>
      (!values.guards || guards) &&
      (positionals.length === 0 || positionals.some((word) => name.toLowerCase().includes(word.toLowerCase()))),
  );
  if (chosen.length === 0)
    throw new Error(`no such environment; there are ${environments.map(({ name }) => name).join(", ")}`);

  const project = await makeProject();
  const node = (await nodes()).at(-1);
  const browser = await openBrowser("chromium");
  const rows = [];
  try {
    const context = {
      browser,
      node: node.path,
      headwise: project.installed,
      reference: await referenceIn(project, node.path),
    };
    for (const environment of chosen) {
      rows.push({ environment, results: await runEnvironment(environment, context, values) });
    }
  } finally {
    await browser.close();
    await project.remove();
  }
  if (positionals.length === 0 && !values.guards) {
    const { version } = project.manifest;
    await writeTable(rows, `headwise ${version}, ${browser.version}, tools in Node ${node.version}`);
  }
  const failed = rows.flatMap(({ results }) => Object.values(results)).filter(({ error }) => error).length;
  if (failed > 0) throw new Error(`${failed} check(s) failed`);
});
