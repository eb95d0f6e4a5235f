// `npm start`: sets up, builds, and serves the demo page until it is interrupted. `npm run dev`: with Vite's dev server.
import { page } from "./page.mjs";
import { main, root } from "./steps.mjs";

main(async () => {
  await page();
  const { createServer, preview } = await import("vite");
  const options = { root: `${root}/web` };
  const server = process.argv.includes("--dev") ? await (await createServer(options)).listen() : await preview(options);
  // npm does not forward every signal, so the server ends when the parent process does.
  const parent = process.ppid;
  setInterval(() => process.ppid !== parent && process.exit(), 500).unref();
  console.log(`\nThe demo page is at ${server.resolvedUrls.local[0]} (end with Ctrl+C)`);
});
