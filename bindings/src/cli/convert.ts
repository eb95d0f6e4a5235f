/** headwise convert: the same model with other numbers. */
import { checkOut, withModel, writeModel, type SourceOptions } from "./models.js";
import { ProgressLine } from "./progress.js";
import { UsageError } from "./usage.js";

const dtypes = { f32: "F32", f16: "F16", bf16: "BF16", int8: "I8" } as const;

interface ConvertOptions extends SourceOptions {
  dtype?: unknown;
  out?: string;
  json?: boolean;
}

export async function convert(name: string, options: ConvertOptions): Promise<void> {
  const dtype = options.dtype as keyof typeof dtypes;
  if (!Object.hasOwn(dtypes, dtype ?? "")) {
    const given = dtype === undefined ? "none" : JSON.stringify(dtype);
    throw new UsageError(`--dtype: expected one of ${Object.keys(dtypes).join(", ")}, got ${given}`);
  }
  const out = checkOut(options.out, name);
  const progress = new ProgressLine();
  const { cache, endpoint, revision } = options;
  const opening = { cache, endpoint, revision, ...(dtype === "int8" && { dtype }) };
  await withModel(name, opening, progress, async ({ model, source }) => {
    progress.start(`Writing ${out}`);
    const files = model.save({ dtype: dtypes[dtype] });
    await writeModel(out, files, source);
    progress.end();
    const bytes = files["model.safetensors"].length;
    if (options.json) console.log(JSON.stringify({ dtype, bytes, out }));
    else console.log(`${out}: ${(bytes / 2 ** 20).toFixed(2)} MB as ${dtype}`);
  });
}
