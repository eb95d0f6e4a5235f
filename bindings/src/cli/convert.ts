/** headwise convert: the same model with other numbers. */
import { checkOut, fileDtypes, withModel, writeModel, type SourceOptions } from "./models.js";
import { ProgressLine } from "./progress.js";
import { UsageError } from "./usage.js";

interface ConvertOptions extends SourceOptions {
  dtype?: unknown;
  out?: string;
  json?: boolean;
}

export async function convert(name: string, options: ConvertOptions): Promise<void> {
  const dtype = options.dtype as keyof typeof fileDtypes;
  if (!Object.hasOwn(fileDtypes, dtype ?? "")) {
    const given = dtype === undefined ? "none" : JSON.stringify(dtype);
    throw new UsageError(`--dtype: expected one of ${Object.keys(fileDtypes).join(", ")}, got ${given}`);
  }
  const out = checkOut(options.out, name);
  const progress = new ProgressLine();
  const { cache, endpoint, revision } = options;
  const opening = { cache, endpoint, revision, ...(dtype === "int8" && { dtype }) };
  await withModel(name, opening, progress, async ({ model, files }) => {
    progress.start(`Writing ${out}`);
    const saved = model.save({ dtype: fileDtypes[dtype] });
    await writeModel(out, saved, files);
    progress.end();
    const bytes = saved["model.safetensors"].length;
    if (options.json) console.log(JSON.stringify({ dtype, bytes, out }));
    else console.log(`${out}: ${(bytes / 2 ** 20).toFixed(2)} MB as ${dtype}`);
  });
}
