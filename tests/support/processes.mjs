// Programs that tests start. Each ends with the tests, together with the processes that it has started.
import { spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/**
 * Starts a program in a process group of its own, which ends with this process at the latest. Adds its `end()` to `processes`. The
 * options are those of `spawn`.
 */
export function start(processes, path, args, options) {
  const child = spawn(path, args, { stdio: "ignore", ...options, detached: true });
  const kill = (signal) => {
    try {
      process.kill(-child.pid, signal); // with all processes that it has started
    } catch {
      // it has ended already
    }
  };
  const killNow = () => kill("SIGKILL");
  const ended = new Promise((resolve) => child.once("exit", resolve).once("error", resolve));
  process.on("exit", killNow);
  processes.push({
    async end() {
      kill("SIGTERM");
      await Promise.race([ended, sleep(2_000)]);
      killNow();
      await ended;
      process.off("exit", killNow);
    },
  });
  return child;
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => process.exit(1));

/** A free port. */
export async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Resolves when a server at `url` answers with success. */
export async function answers(url) {
  for (;;) {
    const response = await fetch(url).catch(() => undefined);
    if (response?.ok) return;
    await sleep(50);
  }
}

/** The path of an installed program. */
export function program(name, debianPackage) {
  for (const folder of process.env.PATH.split(":")) {
    try {
      accessSync(`${folder}/${name}`, constants.X_OK);
      return `${folder}/${name}`;
    } catch {
      // not here
    }
  }
  throw new Error(`${name} is missing; install it with: apt-get install ${debianPackage}`);
}
