/** Keeps the page for use without a network, once it is there: by the service worker that the build makes. */
export function keepForOffline(): void {
  if (!import.meta.env.PROD || !("serviceWorker" in navigator)) return;
  // Private windows and some hosts refuse; the page is as good without.
  navigator.serviceWorker.register(new URL("./offline.js", document.baseURI)).catch(() => {});
}
