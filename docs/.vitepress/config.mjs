// The site: these Markdown files, and docs/api, which tools/api.mjs writes. tools/site.mjs builds it.
import { sidebar } from "./sidebar.mjs";

export default {
  title: "Headwise",
  description: "Multi-head attention for the web, head by head",
  lang: "en",
  base: "/__headwise__/", // tools/site.mjs makes it relative
  head: [["link", { rel: "icon", href: "data:," }]],
  outDir: "../web/dist/docs",
  cacheDir: "../build/vitepress",
  rewrites: (file) => file.replace(/README\.md$/, "index.md"),
  ignoreDeadLinks: true, // tests/site checks them in what is built
  vite: { build: { chunkSizeWarningLimit: 2000 }, logLevel: "warn" },
  markdown: {
    theme: { light: "github-light-high-contrast", dark: "github-dark-high-contrast" },
    attrs: { disable: true }, // braces are sets here
    config(md) {
      md.set({ html: false }); // "<" is a character
      md.core.ruler.before("normalize", "comments", (state) => {
        state.src = state.src.replace(/<!--.*?-->/gs, "").replace(/README\.md(?=[)#])/g, "index.md");
      });
      const fence = md.renderer.rules.fence;
      md.renderer.rules.fence = (tokens, index, ...rest) => {
        const { info, content } = tokens[index];
        if (info === "machines") return "<Machines />";
        const [language, run] = info.split(" ");
        tokens[index].info = language;
        const shown = fence(tokens, index, ...rest);
        return run === "run" ? `<Sample code="${encodeURIComponent(content)}">${shown}</Sample>` : shown;
      };
    },
  },
  themeConfig: {
    search: { provider: "local" },
    nav: [
      { text: "Guide", link: "/guide/start" },
      { text: "API", link: "/api/" },
      { text: "Evidence", link: "/speed" },
      { text: "Demo", link: "../index.html", target: "_self" },
    ],
    sidebar,
    outline: [2, 3],
    docFooter: { prev: false, next: false },
  },
};
