// The same tests in every browser, each on a page of its own.
import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe } from "node:test";
import { fileURLToPath } from "node:url";

import { browserNames, openBrowser } from "../support/browsers.mjs";
import { serve } from "../support/server.mjs";

export const root = fileURLToPath(new URL("../..", import.meta.url));

/** Calls `tests(name, here)` for each browser. In a test `here` has the browser, the server of the repository, and a new page. */
export function inEachBrowser(tests) {
  for (const name of browserNames) {
    describe(name, () => {
      const here = {
        browser: undefined,
        server: undefined,
        page: undefined,
        async assertClean() {
          assert.deepEqual([...here.page.messages, ...(await here.page.evaluate(() => messages))], []);
        },
      };
      before(async () => {
        here.browser = await openBrowser(name);
        here.server = await serve(root, { isolated: true, csp: true });
      });
      after(async () => {
        await here.browser?.close();
        await here.server?.close();
      });
      beforeEach(async () => {
        here.page = await here.browser.page(`${here.server.url}tests/browser/api.html`);
        here.server.requests.length = 0;
      });
      afterEach(() => here.page?.close());
      tests(name, here);
    });
  }
}
