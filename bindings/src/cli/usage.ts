import { readFile } from "node:fs/promises";

/** What is wrong with a command, in words for whoever typed it. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** The texts of --text, which may be there several times, and the lines of --file. */
export async function textsOf({ text, file }: { text?: unknown; file?: unknown }): Promise<string[]> {
  const texts = [text ?? []].flat().map(String);
  for (const path of [file ?? []].flat().map(String)) {
    texts.push(...(await readFile(path, "utf8")).split("\n").filter((line) => line.trim() !== ""));
  }
  if (texts.some((each) => each === "")) throw new UsageError("--text: expected a text, got none");
  return texts;
}
