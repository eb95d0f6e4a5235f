/**
 * The README as a page of its own, with the other texts and pictures of the project that it leads to: "readme/" beside the built page. What is
 * in docs/ is on the site, which tools/site.mjs builds. A link to a folder, or to what is not there, becomes plain text, so that no link leads
 * nowhere.
 */
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join, posix, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { Marked } from "marked";
import type { Plugin } from "vite";

const root = fileURLToPath(new URL("..", import.meta.url));
const START = "README.md";

/** Where a file of the project lies in "readme/". */
const placeOf = (file: string) =>
  file === START
    ? "index.html"
    : /\.md$/.test(file)
      ? file.replace(/\.md$/, ".html")
      : file.replace(/^([^.]+)$/, "$1.txt");

const isFile = (file: string) => existsSync(join(root, file)) && statSync(join(root, file)).isFile();

/** The part of an address after "#", as GitHub makes it of a heading. */
const anchor = (heading: string) =>
  heading
    .toLowerCase()
    .replace(/<[^>]*>|[^\p{L}\p{N}\s-]/gu, "")
    .replace(/\s/g, "-");

const escape = (text: string) => text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);

/** One text as HTML; `found` is told every file of the project that it leads to. */
function render(file: string, found: (other: string) => void): string {
  const target = (address: string): string | undefined => {
    if (/^([a-z]+:|#)/i.test(address)) return address;
    const [path, hash] = address.split("#");
    const other = posix.join(dirname(file).split(sep).join("/"), path);
    if (other.startsWith("..") || !isFile(other)) return undefined;
    const from = posix.dirname(placeOf(file));
    const onSite = /^(docs\/.*)\.md$/.exec(other)?.[1].replace(/README$/, "index");
    if (onSite === undefined) found(other);
    return posix.relative(from, onSite ? `../${onSite}.html` : placeOf(other)) + (hash ? `#${hash}` : "");
  };
  const marked = new Marked({
    renderer: {
      heading: (text, level, raw) => `<h${level} id="${anchor(raw)}">${text}</h${level}>\n`,
      link(href, _title, text) {
        const to = target(href);
        return to === undefined ? text : `<a href="${escape(to)}">${text}</a>`;
      },
      image(href, _title, text) {
        const to = target(href);
        return to === undefined ? escape(text) : `<img src="${escape(to)}" alt="${escape(text)}">`;
      },
    },
  });
  const text = readFileSync(join(root, file), "utf8");
  const up = posix.relative(posix.dirname(placeOf(file)), "") || ".";
  const title = /^# (.*)$/m.exec(text)?.[1] ?? file;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escape(title)}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="${up}/readme.css">
</head>
<body>
<nav><a href="${up}/../">Headwise</a>${file === START ? "" : ` · <a href="${up}/">README</a>`}</nav>
<main>
${marked.parse(text) as string}</main>
</body>
</html>
`;
}

const style = `body { max-width: 50rem; margin: 0 auto; padding: 1.5rem; font: 1rem/1.55 system-ui, sans-serif; overflow-wrap: break-word }
img, svg { max-width: 100% }
pre { padding: 0.8rem 1rem; overflow: auto; background: #8882; border-radius: 0.4rem }
table { display: block; overflow: auto; border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: 0.25rem 0.6rem; border: 1px solid #8886; text-align: left }
blockquote { margin-left: 0; padding-left: 1rem; border-left: 3px solid #888 }
`;

/** Every file of "readme/", by its place. */
function readmeFiles(): Map<string, string | Uint8Array> {
  const files = new Map<string, string | Uint8Array>([["readme.css", style]]);
  const open = [START];
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    if (files.has(placeOf(file)) || !isFile(file)) continue;
    files.set(placeOf(file), ""); // a text may lead to itself
    const content = /\.md$/.test(file) ? render(file, (other) => open.push(other)) : readFileSync(join(root, file));
    files.set(placeOf(file), content);
  }
  return files;
}

const types: Record<string, string> = { html: "text/html", css: "text/css", svg: "image/svg+xml", png: "image/png" };

export const readme: Plugin = {
  name: "readme",
  configureServer(server) {
    server.middlewares.use("/readme/", (request, response, next) => {
      const place = relative("/", request.url!.split("?")[0]) || "index.html";
      const content = readmeFiles().get(place);
      if (content === undefined) return next();
      response.setHeader("Content-Type", `${types[place.split(".").at(-1)!] ?? "text/plain"}; charset=utf-8`);
      response.end(content);
    });
  },
  generateBundle() {
    for (const [place, source] of readmeFiles()) this.emitFile({ type: "asset", fileName: `readme/${place}`, source });
  },
};
