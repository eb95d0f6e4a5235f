const guide = {
  start: "Start",
  attention: "Attention in ten lines",
  models: "Open a model",
  inside: "Which head does it?",
  map: "Show a head on a page",
  prune: "Prune and ship",
  train: "Train",
  weights: "Weights in and out",
  hosts: "Threads and headers",
  bundlers: "Bundlers and runtimes",
  worker: "The worker",
  memory: "Memory and lifetime",
  calls: "All calls",
};
const evidence = {
  "/heads": "What the numbers mean",
  "/experiments/": "One head or many",
  "/speed": "Speed",
  "/compare": "Machines compared",
  "/comparison": "Other libraries",
  "/models": "Published models",
  "/ARCHITECTURE": "How it is built",
};

export const sidebar = [
  { text: "Guide", items: Object.entries(guide).map(([name, text]) => ({ text, link: `/guide/${name}` })) },
  { text: "Reference", items: [{ text: "API", link: "/api/" }] },
  { text: "Evidence", items: Object.entries(evidence).map(([link, text]) => ({ text, link })) },
];
