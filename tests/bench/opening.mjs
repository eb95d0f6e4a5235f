// What `openModel` takes for a file in memory: MiniLM's, 90 MB, with the names that BERT's files have.
import { chosen } from "./contenders/index.mjs";
import { takeTurns, timed } from "./measure.mjs";
import { makeModelInputs, modelError, models } from "./models.mjs";
import { summary } from "./statistics.mjs";

const names = {
  embedding: "embeddings.word_embeddings",
  positions: "embeddings.position_embeddings",
  token_types: "embeddings.token_type_embeddings",
  embedding_norm: "embeddings.LayerNorm",
  "attention.q_proj": "attention.self.query",
  "attention.k_proj": "attention.self.key",
  "attention.v_proj": "attention.self.value",
  "attention.out_proj": "attention.output.dense",
  norm1: "attention.output.LayerNorm",
  "feed_forward.up": "intermediate.dense",
  "feed_forward.down": "output.dense",
  norm2: "output.LayerNorm",
};

/** "layers.0.norm1.weight" to "encoder.layer.0.attention.output.LayerNorm.weight" */
function fileName(parameter) {
  const [, layer, name, kind] = /^(?:layers\.(\d+)\.)?(.+)\.(\w+)$/.exec(parameter);
  return `${layer === undefined ? "" : `encoder.layer.${layer}.`}${names[name]}.${kind}`;
}

async function makeFiles({ config }, parameters, folder) {
  const { writeSafetensors } = await import(/* @vite-ignore */ `${folder}index.js`);
  const tensors = Object.entries(parameters).map(([name, tensor]) => [fileName(name), tensor]);
  const json = {
    ...{ model_type: "bert", architectures: ["BertModel"], hidden_act: "gelu", layer_norm_eps: config.normEpsilon },
    ...{ num_hidden_layers: config.layers, hidden_size: config.embedDim, intermediate_size: config.feedForwardDim },
    ...{ num_attention_heads: config.numHeads, vocab_size: config.vocabSize, type_vocab_size: config.tokenTypes },
    max_position_embeddings: config.contextLength,
  };
  return {
    "config.json": new TextEncoder().encode(JSON.stringify(json)),
    "model.safetensors": writeSafetensors(Object.fromEntries(tensors)),
  };
}

/** Milliseconds to open and dispose of the model, by number of threads. */
export async function opening(options, row = models.find(({ name }) => name === "minilm-l6-128")) {
  const { parameters, tokens, reference } = await makeModelInputs(row, options);
  const files = await makeFiles(row, parameters, options.folders.headwise);
  const records = [];
  const entrants = [];
  for (const contender of chosen(options).filter(({ opener }) => opener !== undefined)) {
    for (const threads of options.threads) {
      const open = await contender.opener({ ...options, threads });
      let model;
      const first = await timed(async () => (model = await open(files)));
      const error = modelError(model.forward(tokens).hidden.data, reference);
      model.dispose();
      if (error > 0) throw new Error(`opening: ${contender.name} computes other numbers, by ${error}`);
      records.push({ name: contender.name, threads, first });
      entrants.push({ sampleMs: 1, run: async () => (await open(files)).dispose() });
    }
  }
  const samples = await takeTurns(entrants, options.seconds);
  for (const [n, record] of records.entries()) Object.assign(record, summary(samples[n]));
  return { bytes: files["model.safetensors"].length, records };
}
