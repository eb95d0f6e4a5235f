import { config, observable } from "@observablehq/notebook-kit/vite";

// The headers with which Headwise may use threads.
const headers = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };
export default { ...config(), plugins: [observable()], server: { headers } };
