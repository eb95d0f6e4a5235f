// What a sample promises to print: the comments behind its console.log calls.
import { ok } from "node:assert/strict";

const plain = (text) => text.replace(/\s+|\w+Array\b|\(\d+\)/g, "").replaceAll("'", '"');

/** Fails unless the output has, in this order, each promise of the form `console.log(…); // promise`; what follows a colon explains. */
export function checkPrinted(code, output) {
  let rest = plain(output);
  for (const [, promise] of code.matchAll(/^console\.log\(.*\); \/\/ (.*)$/gm)) {
    if (!/^([[\d]|true$|aborted$|brown fox)/.test(promise) || promise.includes("…")) continue; // it describes
    const expected = plain(promise.split(": ")[0]);
    ok(rest.includes(expected), `promised ${promise}, printed:\n${output}`);
    rest = rest.slice(rest.indexOf(expected) + expected.length);
  }
}
