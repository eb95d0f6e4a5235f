import { defineHeadwiseMap } from "headwise/map";
import { load } from "headwise/worker";

defineHeadwiseMap();
const of = (id) => document.getElementById(id);

// Each of three tokens reads the one before it.
of("given").tokens = ["A", "B", "C"];
of("given").weights = { data: Float32Array.of(1, 0, 0, 0.8, 0.2, 0, 0.1, 0.7, 0.2), shape: [3, 3] };

const address = new URLSearchParams(location.search).get("model");
const hw = await load();
of("status").textContent = "The model is on its way.";
const live = of("live");
for (const name of ["text", "layer", "head"]) {
  const follow = () => (live[name] = of(name).value);
  of(name).addEventListener("input", follow);
  follow();
}
live.model = await hw.openModel(address ?? { hub: "sentence-transformers/all-MiniLM-L6-v2" });
of("status").textContent = "";
