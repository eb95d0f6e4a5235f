import { HeadwiseError } from "./errors.js";

/** Imports code that few pages need. Service workers cannot, nor can a page that has lost its connection. `what`: in messages. */
export async function onDemand<Code>(importCode: () => Promise<Code>, what = "published models"): Promise<Code> {
  try {
    return await importCode();
  } catch (cause) {
    const why = (cause as Error)?.message ?? String(cause);
    throw new HeadwiseError("unsupported", `the code for ${what} could not be loaded: ${why}`, { cause });
  }
}
