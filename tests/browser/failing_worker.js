// A worker with code of its own, which fails.
import "../../dist/worker-host.js";

addEventListener("message", ({ data }) => {
  if (data === "fail") throw new Error("mine");
});
