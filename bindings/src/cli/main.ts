#!/usr/bin/env node
/** The command `headwise`. */
import { cac } from "cac";

import { HeadwiseError } from "../index.js";
import { convert } from "./convert.js";
import { fileDtypes } from "./models.js";
import { methods, prune } from "./prune.js";
import { report } from "./report.js";
import { UsageError } from "./usage.js";

const cli = cac("headwise");

/** A command that opens a model, with the options that all have. */
const command = (usage: string, what: string) =>
  cli
    .command(usage, what)
    .option("--json", "Print JSON, for machines")
    .option("--revision <revision>", "Branch, tag or commit of a model on Hugging Face")
    .option("--endpoint <address>", "Another host with the address scheme of Hugging Face")
    .option("--cache <folder>", "Keep downloaded files in this folder");

command(
  "report <model>",
  "Write what there is to say of each head to one page. <model>: a folder, or a name on Hugging Face",
)
  .option("--text <text>", "A text to measure on; may be repeated")
  .option("--file <file>", "Texts to measure on, one a line")
  .option("--pair <pair>", "clean|corrupted|answer|distractor: which head did it?")
  .option("--out <file>", "The page (default: report.html); with --json, the JSON")
  .example('headwise report openai-community/gpt2 --text "The cat sat on the mat" --out report.html')
  .action(report);

command("prune <model>", "Write a smaller model without the heads that matter least")
  .option("--fraction <share>", "Share of the heads to remove, 0 … 1")
  .option("--count <number>", "Number of heads to remove")
  .option("--method <method>", methods.join(", "))
  .option("--text <text>", "A text to measure on; may be repeated (default: the beginning of Moby Dick)")
  .option("--file <file>", "Texts to measure on, one a line")
  .option("--seed <seed>", "Seed of random, shapley and learned-gates")
  .option("--out <folder>", "The folder to write to")
  .example("headwise prune openai-community/gpt2 --fraction 0.3 --out smaller")
  .action(prune);

command("convert <model>", "Write the same model with other numbers")
  .option("--dtype <type>", Object.keys(fileDtypes).join(", "))
  .option("--out <folder>", "The folder to write to")
  .example("headwise convert openai-community/gpt2 --dtype int8 --out quarter")
  .action(convert);

cli.help();
cli.version(HEADWISE_VERSION);

/** The message of an error and the exit code: 2 where the command itself is wrong. */
function explain(error: unknown): [string, number] {
  const { name, message } = error as Error;
  if (error instanceof UsageError || name === "CACError") {
    const help = ["headwise", cli.matchedCommandName, "--help"].filter(Boolean).join(" ");
    return [`${message}\n${help} says what there is`, 2];
  }
  return [error instanceof HeadwiseError ? message : `${name}: ${message}`, 1];
}

try {
  cli.parse(process.argv, { run: false });
  const { help, version } = cli.options;
  if (cli.matchedCommand) await cli.runMatchedCommand();
  else if (cli.args.length > 0)
    throw new UsageError(`there is no command ${cli.args[0]}; there are report, prune and convert`);
  else if (!help && !version) cli.outputHelp();
} catch (error) {
  const [message, code] = explain(error);
  process.stderr.write(`${process.stderr.isTTY ? "\n" : ""}headwise: ${message}\n`);
  process.exitCode = code;
}
