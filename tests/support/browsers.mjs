// Chromium, Firefox and WebKitGTK with one small interface, each with an empty profile and without a window.
import { existsSync, readdirSync } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import puppeteer from "puppeteer-core";
import { Builder } from "selenium-webdriver";

import { answers, freePort, program, start } from "./processes.mjs";

export const browserNames = ["chromium", "firefox", "webkit"];

const START_MS = 30_000;
const CALL_MS = 45_000;

const chromiumFlags = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Chromium with puppeteer's whole interface, for tests that need it. Takes puppeteer's options. */
export function launchChromium(options) {
  const executablePath = process.env.CHROMIUM ?? program("chromium", "chromium");
  return puppeteer.launch({
    executablePath,
    args: chromiumFlags,
    pipe: true,
    headless: true,
    timeout: START_MS,
    ...options,
  });
}

/**
 * Starts a browser: "chromium", "firefox" or "webkit".
 *
 * A page's `evaluate` takes a function that uses nothing of the caller's scope, or the source of an expression. Arguments and
 * results are JSON. `messages` are the warnings and errors of the page's console, including uncaught errors and those of workers.
 * WebKitGTK's driver does not report them.
 * @returns {Promise<{ name: string, version: string, close: () => Promise<void>, page: (url: string) => Promise<{
 *   evaluate: (functionOrSource: Function | string, ...args: unknown[]) => Promise<any>,
 *   messages: string[], close: () => Promise<void> }> }>}
 */
export async function openBrowser(name) {
  if (name === "chromium") return openWithPuppeteer(name, await launchChromium());
  if (name === "firefox") return openWithPuppeteer(name, await launchFirefox());
  if (name === "webkit") return openWebKit();
  throw new Error(`no browser "${name}"; there are ${browserNames.join(", ")}`);
}

async function launchFirefox() {
  const executablePath = program("firefox-esr", "firefox-esr");
  const args = ["--remote-allow-system-access"];
  const browser = await puppeteer.launch({
    browser: "firefox",
    executablePath,
    args,
    headless: true,
    timeout: START_MS,
  });
  await forgetWorkers(browser.connection);
  return browser;
}

/**
 * Stops Firefox's automation from listening to new workers. While anybody listens, a worker that starts a nested worker waits until it
 * is registered, on a condition variable that it shares with the nested worker's own thread. Sometimes the single notification wakes
 * that thread, and then `new Worker` never returns: in 10 of 800 tries with the listener, in none of 2,000 without (Firefox 153).
 */
async function forgetWorkers(connection) {
  const { result: tree } = await connection.send("browsingContext.getTree", { "moz:scope": "chrome" });
  const module = "chrome://remote/content/shared/js-process-actors/WebDriverWorkerListenerActor.sys.mjs";
  const { result } = await connection.send("script.evaluate", {
    expression: `ChromeUtils.importESModule(${JSON.stringify(module)}).unregisterWebDriverWorkerListenerActor()`,
    target: { context: tree.contexts[0].context },
    awaitPromise: false,
  });
  if (result.type !== "success")
    console.error(`\n  Firefox: nested workers may hang, its listener was not found: ${result.exceptionDetails.text}`);
}

/** A browser that puppeteer drives, with the interface of `openBrowser`. */
export async function openWithPuppeteer(name, browser) {
  return {
    name,
    version: await browser.version(),
    async page(url) {
      const page = await browser.newPage();
      const messages = [];
      page.on("console", (message) => {
        if (["warn", "error"].includes(message.type())) messages.push(message.text());
      });
      page.on("pageerror", (error) => messages.push(String(error)));
      await page.goto(url);
      return {
        messages,
        async evaluate(work, ...args) {
          return parse(await inTime(page.evaluate(`(async () => JSON.stringify(await ${call(work, args)}))()`)));
        },
        close: () => page.close(),
      };
    },
    close: () => browser.close(),
  };
}

/** WebKitGTK's small browser, driven by its WebDriver, on an X server of its own: it has no headless mode. */
async function openWebKit() {
  const processes = [];
  const closeAll = () => Promise.all(processes.reverse().map(({ end }) => end()));
  try {
    const display = start(processes, program("Xvfb", "xvfb"), ["-displayfd", "3", "-nolisten", "tcp"], {
      stdio: ["ignore", "ignore", "ignore", "pipe"],
    });
    const number = await inTime(firstLine(display.stdio[3]), START_MS, "Xvfb gave no display number");

    const port = await freePort();
    const environment = { ...process.env, DISPLAY: `:${number}`, GDK_BACKEND: "x11" };
    start(processes, program("WebKitWebDriver", "webkit2gtk-driver"), [`--port=${port}`], { env: environment });
    const server = `http://127.0.0.1:${port}`;
    await inTime(answers(`${server}/status`), START_MS, "WebKitWebDriver does not answer");

    const options = { binary: miniBrowser(), args: ["--automation"] };
    const driver = await inTime(
      new Builder()
        .disableEnvironmentOverrides()
        .usingServer(server) // so Selenium starts and downloads nothing
        .withCapabilities({ browserName: "MiniBrowser", "webkitgtk:browserOptions": options })
        .build(),
      START_MS,
      "WebKitGTK's MiniBrowser did not start",
    );
    await driver.manage().setTimeouts({ script: CALL_MS });
    return {
      name: "webkit",
      version: `WebKitGTK/${(await driver.getCapabilities()).getBrowserVersion()}`,
      page: (url) => openWebKitPage(driver, url),
      async close() {
        await inTime(driver.quit(), 5_000).catch(() => {}); // a page that hangs must not keep its browser alive
        await closeAll();
      },
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

/** A tab. Only one at a time, because a WebDriver session has one current tab. */
async function openWebKitPage(driver, url) {
  const first = await driver.getWindowHandle();
  await driver.switchTo().newWindow("window");
  const page = {
    messages: [],
    async evaluate(work, ...args) {
      const script = `const [done] = arguments;
        const settle = (value, error) => done([JSON.stringify(value), error]);
        Promise.resolve().then(() => ${call(work, args)}).then(settle, (error) => settle(undefined, String(error)));`;
      const [value, error] = await inTime(driver.executeAsyncScript(script));
      if (error) throw new Error(error);
      return parse(value);
    },
    async close() {
      await driver.close();
      await driver.switchTo().window(first);
    },
  };
  await inTime(driver.get(url)); // does not wait for scripts
  await page.evaluate(
    () => document.readyState === "complete" || new Promise((loaded) => addEventListener("load", () => loaded())),
  );
  return page;
}

/** The source of an expression: a call of the function with JSON arguments, or the given source. */
function call(work, args) {
  return typeof work === "function" ? `(${work})(...${JSON.stringify(args)})` : `(${work})`;
}

/** `undefined` has no JSON. */
function parse(json) {
  return json == null ? undefined : JSON.parse(json);
}

async function firstLine(stream) {
  for await (const line of createInterface({ input: stream })) return line;
  throw new Error("it ended without a line");
}

async function inTime(promise, milliseconds = CALL_MS, message = "the page did not answer") {
  const cancel = new AbortController();
  const late = sleep(milliseconds, undefined, { signal: cancel.signal }).then(() => {
    throw new Error(`${message} within ${milliseconds / 1000} s`);
  });
  late.catch(() => {});
  try {
    return await Promise.race([promise, late]);
  } finally {
    cancel.abort();
  }
}

/** Debian installs it outside of PATH, in the folder of its library: /usr/lib/<machine>/webkit2gtk-4.1. */
function miniBrowser() {
  const folders = readdirSync("/usr/lib", { withFileTypes: true }).filter((entry) => entry.isDirectory());
  for (const { name } of folders) {
    for (const library of ["webkit2gtk-4.1", "webkitgtk-6.0", "webkit2gtk-4.0"]) {
      const path = `/usr/lib/${name}/${library}/MiniBrowser`;
      if (existsSync(path)) return path;
    }
  }
  throw new Error("WebKitGTK's MiniBrowser is missing; install it with: apt-get install webkit2gtk-driver");
}
