// A plugin of the bundler for the worker's script, which must be one file: bundlers copy it as it is and rename it, so it cannot
// import another file by name. The code of the analyses, which few pages need, becomes a second file, worker-analyses.js: a function
// of what it uses from the first, left in a global variable because some bundlers make a classic script of it, too. The page sends
// its address (`analysesAt` in worker/host.ts).

/** Replaces what must be there. */
function rewrite(code, pattern, replacement) {
  if (!pattern.test(code)) throw new Error(`the bundler's output has changed: no ${pattern}`);
  return code.replace(pattern, replacement);
}

/** `outer as inner` as properties of an object. */
const properties = (names, order) => names.replace(/([\w$]+) as ([\w$]+)/g, order);

function asFunction(code) {
  const body = rewrite(
    code,
    /^import \{(.*)\} from "\.\/worker-host\.js";$/m,
    (_, names) => `globalThis.headwiseAnalyses = ({${properties(names, "$1: $2")}}) => {`,
  );
  return rewrite(body, /^export (\{.*\});$/m, "return $1; };");
}

function asCaller(code) {
  const [, names] = /^export \{(.*)\};$/m.exec(code);
  const ignored = "/* @vite-ignore */ /* webpackIgnore: true */ /* turbopackIgnore: true */";
  const call = `import(${ignored} analysesAt).then(() => globalThis.headwiseAnalyses({${properties(names, "$2: $1")}}))`;
  return rewrite(rewrite(code, /import\("\.\/worker-analyses\.js"\)/, call), /^export \{.*\};$/m, "");
}

export const workerAnalyses = {
  name: "worker-analyses",
  renderChunk: (code, { isEntry }) => (isEntry ? asCaller(code) : asFunction(code)),
};
