// Opened models beside the numbers that PyTorch and transformers give for them, in Node and on pages: what forward returns,
// greedy text, gradients, and files that are saved and opened again.
import { readSafetensors } from "../../../dist/index.js";
import { exists, openGolden } from "../goldens.mjs";

const tolerances = { hidden: 2e-4, weights: 5e-5, gradients: 1e-3 };

/** Nested lists of integers as tokens. */
export const integers = (lists) => ({ data: Int32Array.from(lists.flat(9)), shape: [lists.length, lists[0].length] });

/** The largest difference; Infinity where shapes differ. `mask`: rows of the last axis but one that count, by [B, L]. */
export function difference(ours, theirs, mask) {
  if (`${ours.shape}` !== `${theirs.shape}`) return Infinity;
  const width = ours.shape.at(-1);
  const [rows, length] = [ours.data.length / width, ours.shape.at(-2)];
  const rowsOfBatch = rows / ours.shape[0];
  let most = 0;
  for (let row = 0; row < rows; ++row) {
    if (mask && mask.data[Math.floor(row / rowsOfBatch) * length + (row % length)] === 0) continue;
    for (let n = row * width; n < (row + 1) * width; ++n) {
      const apart = Math.abs(ours.data[n] - theirs.data[n]);
      most = Number.isNaN(apart) ? Infinity : Math.max(most, apart);
    }
  }
  return most;
}

/** What a model of one tower is compared with, of a golden file of two. */
const towerOutputs = {
  text: { text_embeds: "text_embeds", last_hidden_state: "text_model_output.last_hidden_state" },
  vision: { image_embeds: "image_embeds", last_hidden_state: "vision_model_output.last_hidden_state" },
};

function outputsOf({ outputs }, tower) {
  if (tower === undefined) return outputs;
  return Object.fromEntries(Object.entries(towerOutputs[tower]).map(([name, from]) => [name, outputs[from]]));
}

const unit = ({ data, shape }) => {
  const width = shape[1];
  const length = (row) => Math.hypot(...data.subarray(row * width, (row + 1) * width));
  return { data: data.map((value, n) => value / length(Math.floor(n / width))), shape };
};

/** Everything that one case of a golden file has, beside what the model says. */
async function checkCase(model, golden, name, expect, tower) {
  const inputs = golden.cases[name].inputs;
  const outputs = outputsOf(golden.cases[name], tower);
  const images = inputs.pixel_values && tower !== "text";
  const mask = inputs.attention_mask && !images ? integers(inputs.attention_mask) : undefined;
  const tokens = images ? { pixels: inputs.pixel_values } : integers(inputs.input_ids);
  // Their forward counts 0 … L - 1 whatever the mask says.
  const counted = model.config.causal && mask && !inputs.position_ids && name === "left_pad";
  const positions = counted ? integers(inputs.input_ids.map((row) => row.map((_, i) => i))) : undefined;
  const result = await model.forward(tokens, {
    ...(mask && { mask }),
    ...(positions && { positions }),
    ...(inputs.token_type_ids && { tokenTypes: integers(inputs.token_type_ids) }),
    capture: { weights: "probabilities", stream: ["before", "after"] },
  });
  const check = (what, ours, theirs, tolerance, byRow) =>
    theirs && expect(difference(ours, theirs, byRow), `${name}: ${what}`).to.be.at.most(tolerance);
  const perToken = outputs.logits?.shape.length === 3;
  check("logits", result.logits, outputs.logits, tolerances.hidden, perToken ? mask : undefined);
  check("hidden", result.hidden, outputs.last_hidden_state, tolerances.hidden, mask);
  if (outputs.hidden_states && !outputs.last_hidden_state && model.architecture !== "vit") {
    // whose are before the norm
    const { data, shape } = outputs.hidden_states;
    const last = { data: data.subarray(-data.length / shape[0]), shape: shape.slice(1) };
    check("hidden", result.hidden, last, tolerances.hidden, mask);
  }
  if (outputs.hidden_states) {
    // Of each layer what it reads; after the last one transformers has it behind the last norm in most families.
    const { data, shape } = outputs.hidden_states;
    const size = data.length / shape[0];
    const states = Array.from({ length: shape[0] }, (_, n) => ({
      data: data.subarray(n * size, (n + 1) * size),
      shape: shape.slice(1),
    }));
    result.layers.forEach(({ stream }, n) =>
      check(`hidden states before layer ${n}`, stream.before, states[n], tolerances.hidden, mask),
    );
    const last = Math.min(
      ...[result.hidden, result.layers.at(-1).stream.after].map((ours) => difference(ours, states.at(-1), mask)),
    );
    expect(last, `${name}: hidden states after the last layer`).to.be.at.most(tolerances.hidden);
  }
  check("pooled", result.pooled, outputs.pooler_output, tolerances.hidden);
  for (const projected of ["text_embeds", "image_embeds"]) {
    const ours = result.embedding && (tower === undefined ? result.embedding : unit(result.embedding));
    check(projected, ours, outputs[projected], tolerances.hidden);
  }
  if (outputs.attentions === undefined) return;
  const { data, shape } = outputs.attentions;
  const size = data.length / shape[0];
  result.layers.forEach(({ weights }, n) => {
    const theirs = { data: data.subarray(n * size, (n + 1) * size), shape: shape.slice(1) };
    check(`attention weights of layer ${n}`, weights, theirs, tolerances.weights, mask);
  });
}

async function greedy(model, prompt) {
  const tokens = [];
  for await (const token of model.generate(prompt, { maxTokens: 16, temperature: 0, stop: [] })) tokens.push(token);
  return tokens;
}

async function checkText(model, { prompt, new_ids, batch_left_pad: batch }, expect) {
  expect(await greedy(model, prompt.flat()), "greedy text").to.deep.equal(new_ids);
  for (const [row, tokens] of batch.prompt.entries()) {
    const real = tokens.filter((_, n) => batch.attention_mask[row][n] === 1);
    expect(await greedy(model, real), `greedy text, row ${row} of the batch`).to.deep.equal(batch.new_ids[row]);
  }
}

/** Gradients by the family's names: they go where parameters were, and are saved. */
async function checkGradients(open, golden, expect) {
  const { gradient, cases } = golden;
  const ids = gradient.input_ids ?? cases.nomask.inputs.input_ids;
  const types = cases.nomask.inputs.token_type_ids;
  const next = ids.map((row) => [...row.slice(1), -1]);
  const targets = gradient.labels?.map((row) => row.map((label) => Math.max(label, -1))) ?? next;
  const model = await open();
  const options = types && { tokenTypes: integers(types) };
  const loss = await model.accumulateGradients(integers(ids), integers(targets), options);
  expect(loss, "loss").to.be.closeTo(gradient.loss, 1e-4);
  const gradients = await model.gradients();
  const names = Object.keys(await model.parameters());
  await model.setParameters(Object.fromEntries(names.map((name) => [name, gradients[name]])));
  const file = readSafetensors((await model.save())["model.safetensors"]);
  for (const [name, theirs] of Object.entries(gradient.tensors)) {
    const ours = file.tensor(name);
    const less = model.architecture.startsWith("gemma") && /norm/.test(name) ? 1 : 0; // saved less one
    const largest = theirs.data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const added = { data: ours.data.map((value) => value + less), shape: ours.shape };
    // A key's bias has no gradient but rounding.
    const tolerance = Math.max(tolerances.gradients * largest, 1e-5);
    expect(difference(added, theirs), `gradient of ${name}`).to.be.at.most(tolerance);
  }
  await model.dispose();
}

/** A model that is saved, opened again, pruned, saved and opened again. */
async function checkSaving(hw, model, tokens, expect) {
  const logitsOf = async (of) => {
    const { hidden } = await of.forward(tokens);
    return hidden;
  };
  const same = async (one, other, what) =>
    expect(difference(await logitsOf(one), await logitsOf(other)), what).to.be.at.most(1e-5);
  const again = await hw.openModel(await model.save());
  await same(model, again, "saved and opened again");
  const pruned = await model.prune({ 0: [1, 2] });
  const prunedAgain = await hw.openModel(await pruned.save());
  expect(prunedAgain.config.heads).to.deep.equal(pruned.config.heads);
  await same(pruned, prunedAgain, "pruned, saved and opened again");
  for (const each of [again, pruned, prunedAgain]) await each.dispose();
}

/** What a golden model is opened from: transformers 5's config.json, or transformers 4's. */
async function sources(name) {
  const golden = await openGolden(name);
  const { folder } = golden;
  const old = new URL("config.v4.json", folder);
  const hasOld = await exists(old);
  return {
    golden,
    sources: {
      "config.json": folder,
      ...(hasOld && {
        "config.v4.json": { "config.json": old, "model.safetensors": new URL("model.safetensors", folder) },
      }),
    },
  };
}

export const goldenCases = (names) =>
  names.map((name) => ({
    name: `${name} as transformers has it`,
    async run({ hw, expect }) {
      const { golden, sources: all } = await sources(name);
      for (const [config, source] of Object.entries(all)) {
        for (const tower of name === "clip" ? ["text", "vision"] : [undefined]) {
          const open = () => hw.openModel(source, { tower });
          const model = await open();
          try {
            for (const each of Object.keys(golden.cases)) await checkCase(model, golden, each, expect, tower);
            if (golden.generation) await checkText(model, golden.generation, expect);
            if (config !== "config.json") continue;
            if (golden.gradient) await checkGradients(open, golden, expect);
            const { inputs } = Object.values(golden.cases)[0];
            const images = inputs.pixel_values && tower !== "text";
            await checkSaving(hw, model, images ? { pixels: inputs.pixel_values } : integers(inputs.input_ids), expect);
          } finally {
            await model.dispose();
          }
        }
      }
      expect((await hw.memory()).liveObjects, "objects that are left").to.equal(0);
    },
  }));
