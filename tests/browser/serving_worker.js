// As a service worker and as a shared worker: computes for whoever asks.
import { load } from "../../dist/index.js";

async function compute(port) {
  try {
    const hw = await load();
    const x = { data: new Float32Array(6).fill(1), shape: [2, 3] };
    const [value] = hw.attention(x, x, x).output.data;
    hw.dispose();
    port.postMessage({ ...hw.info, value });
  } catch (error) {
    port.postMessage({ reason: String(error) });
  }
}
addEventListener("message", ({ source }) => compute(source));
addEventListener("connect", ({ ports: [port] }) => (port.onmessage = () => compute(port)));
