import { HeadwiseError } from "./errors.js";

/** Imports code that few pages need. Service workers cannot, nor can a page that has lost its connection. */
export async function onDemand<Code>(importCode: () => Promise<Code>): Promise<Code> {
  try {
    return await importCode();
  } catch (cause) {
    const why = (cause as Error)?.message ?? String(cause);
    throw new HeadwiseError("unsupported", `the code for published models could not be loaded: ${why}`, { cause });
  }
}
