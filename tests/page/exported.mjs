// What a figure of the page gives as a file, without a download.

/**
 * Presses one of the buttons of a figure's "Export".
 * @param page with puppeteer's `evaluate` or that of tests/support/browsers.mjs
 * @param selector of the figure's `.export`; exactly one element
 * @returns {Promise<{ name: string, text: string, bytes: number[] }>} the file
 */
export const exported = (page, selector, format) =>
  page.evaluate(
    async (selector, format) => {
      const found = document.querySelectorAll(`${selector} [data-export=${format}]`);
      if (found.length !== 1) throw new Error(`${found.length} of ${selector} [data-export=${format}]`);
      const { createObjectURL } = URL;
      try {
        const [name, blob] = await new Promise((resolve) => {
          let blob;
          URL.createObjectURL = (of) => ((blob = of), "");
          HTMLAnchorElement.prototype.click = function () {
            resolve([this.download, blob]);
          };
          found[0].click();
        });
        return { name, text: await blob.text(), bytes: Array.from(new Uint8Array(await blob.arrayBuffer())) };
      } finally {
        URL.createObjectURL = createObjectURL;
        delete HTMLAnchorElement.prototype.click;
      }
    },
    selector,
    format,
  );
