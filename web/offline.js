// The page's service worker: all files of one version, from one cache. The build fills in VERSION and FILES. A new version takes over when
// no page of the old one is left, so that versions never mix.
const VERSION = "__VERSION__";
const FILES = new Set(__FILES__.map((file) => new URL(file, registration.scope).href));
/** Kept when they are first used. */
const LATER = /\/models\//;
const PREFIX = `headwise-page ${registration.scope} `;
const cacheName = PREFIX + VERSION;

addEventListener("install", (event) => event.waitUntil(install()));
addEventListener("activate", (event) => event.waitUntil(activate()));
addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || event.request.headers.has("range")) return;
  const file = event.request.mode === "navigate" ? pageOf(url) : url.origin + url.pathname;
  if (FILES.has(file)) event.respondWith(answer(file));
});

/** "…/" and "…/index.html" are the same page. */
const pageOf = (url) => url.origin + url.pathname.replace(/\/$/, "/index.html");

async function install() {
  const cache = await caches.open(cacheName);
  // The names of assets say what is in them; of all else the host is asked whether it has changed.
  const get = async (file) => cache.put(file, await whole(file, /\/assets\//.test(file) ? "force-cache" : "no-cache"));
  await Promise.all([...FILES].filter((file) => !LATER.test(file)).map(get));
}

async function activate() {
  const names = await caches.keys();
  const old = names.filter((name) => name.startsWith(PREFIX) && name !== cacheName);
  await Promise.all(old.map((name) => caches.delete(name)));
}

async function answer(file) {
  const cache = await caches.open(cacheName);
  const kept = await cache.match(file);
  if (kept) return kept;
  const response = await whole(file, "no-cache");
  await cache.put(file, response.clone()).catch(() => {}); // the disk may be full
  return response;
}

async function whole(file, cache) {
  const response = await fetch(file, { cache });
  if (!response.ok) throw new Error(`${file}: HTTP ${response.status}`);
  return response;
}
