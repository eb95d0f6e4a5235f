import { useEffect, useState } from "react";
import { load, tensor } from "headwise/worker";

const width = 64;
const ready = load().then((hw) =>
  hw.multiHeadAttention({ embedDim: width, numHeads: 4, seed: 1 }).then((module) => ({ hw, module })),
);

/** A vector for each letter. */
const embed = (text) =>
  tensor(
    new Float32Array(text.length * width).map((_, n) => Math.sin((n % width) * text.charCodeAt(n / width))),
    [text.length, width],
  );

export function App() {
  const [text, setText] = useState("banana");
  const [heads, setHeads] = useState([]);
  useEffect(() => {
    const stop = new AbortController();
    ready
      .then(async ({ hw, module }) => {
        const options = { return: { weights: "probabilities" }, signal: stop.signal };
        const { weights } = await module.forward(embed(text), options);
        setHeads(await hw.analyzeHeads(weights));
      })
      .catch((error) => error.code !== "aborted" && console.error(error));
    return () => stop.abort(); // a newer text has arrived
  }, [text]);
  return (
    <>
      <h1>Heads in React</h1>
      <input value={text} onChange={(event) => setText(event.target.value || " ")} aria-label="Text" />
      <output>{heads.map(({ entropy }, head) => `head ${head + 1}: entropy ${entropy.toFixed(2)}`).join(", ")}</output>
    </>
  );
}
