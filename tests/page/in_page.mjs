// What tests do inside the built page, in any browser.

/** Evaluated in a page, it gives what is evaluated later these functions, on `window`. */
export const inPage = () => {
  window.of = (selector) => document.querySelector(selector);
  window.all = (selector, read) => Array.from(document.querySelectorAll(selector), read);
  window.until = async (what) => {
    for (let i = 0; i < 1500; ++i) {
      const found = what();
      if (found) return found;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`not there: ${what}`);
  };
  window.set = (selector, value) => {
    const field = document.querySelector(selector);
    field.value = value;
    field.dispatchEvent(new Event("input", { bubbles: true }));
  };
  /** To a part of the page, by its address. */
  window.go = (address) => {
    location.hash = address;
    return window.until(() => window.of(`[data-view=${address.split("?")[0]}]:not([hidden])`));
  };
};
