/** The worker's side of `headwise/worker`: one instance, whose calls run one after the other. */
import { expose, transfer } from "comlink";
import nodeEndpoint from "comlink/dist/esm/node-adapter.mjs";

import { glue, locate } from "./binaries.js";
import { isObject } from "./checks.js";
import { choose } from "./choose.js";
import { HeadwiseError } from "./errors.js";
import { Cache } from "./kv_cache.js";
import { startHeadwise } from "./load.js";
import { detectMachine, nodeBuiltin } from "./machine.js";
import type { Headwise, KvCache, MultiHeadAttention } from "./types.js";
import type { Call, Host, RemoteCache, RemoteModule, Reply } from "./worker_protocol.js";

const parentPort = nodeBuiltin("node:worker_threads")?.parentPort;

let taken = false;
let headwise: Headwise;
const objects = new Map<number, MultiHeadAttention | KvCache>();
let nextTarget = 1;
const waiting = new Set<number>(); // calls that have not begun
let begun = -1; // the last call that has
let undo = () => {}; // what that did to a cache
let last: Promise<unknown> = Promise.resolve();

/** Lets the messages in that have come meanwhile, aborts among them. In browsers a timer would wait for milliseconds. */
function takeMessages(): Promise<void> {
  if (typeof setImmediate === "function") return new Promise((resolve) => setImmediate(resolve));
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(undefined);
  });
}

async function reply<T>(work: () => T | Promise<T>): Promise<Reply<T>> {
  try {
    return { value: await work() };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { error: error instanceof HeadwiseError ? { code: error.code, message } : { message } };
  }
}

/** The buffers of a result, to be transferred. */
function buffersOf(value: unknown): ArrayBuffer[] {
  if (ArrayBuffer.isView(value)) return [value.buffer as ArrayBuffer];
  return isObject(value) ? Object.values(value).flatMap(buffersOf) : [];
}

function remember(object: MultiHeadAttention | KvCache): RemoteModule | RemoteCache {
  const target = nextTarget++;
  objects.set(target, object);
  if ("capacity" in object) return { kind: "cache", target, capacity: object.capacity };
  const { config, numHeads, parameterCount, keptHeads } = object;
  return { kind: "module", target, config, numHeads, parameterCount, keptHeads };
}

/** Options whose cache is the one that lives here. */
function withCache(argument: unknown): unknown {
  if (!isObject(argument) || !isObject(argument.cache) || !("target" in argument.cache)) return argument;
  const cache = objects.get(argument.cache.target as number);
  if (cache === undefined) throw new HeadwiseError("disposed", "cache: it was disposed");
  if (cache instanceof Cache) undo = cache.checkpoint();
  return { ...argument, cache };
}

const makesObjects = ["multiHeadAttention", "prune", "cache"];

function run({ target, method, args }: Call): unknown {
  const object = target === 0 ? headwise : objects.get(target);
  if (object === undefined) return undefined; // disposed already
  if (method === "dispose") objects.delete(target);
  if (object instanceof Cache) undo = object.checkpoint();
  const member = (object as unknown as Record<string, unknown>)[method];
  const result = typeof member === "function" ? member.apply(object, args.map(withCache)) : member;
  return makesObjects.includes(method) ? remember(result as MultiHeadAttention | KvCache) : result;
}

const host: Host = {
  choose(options, lock) {
    return reply(async () => {
      if (taken) throw new HeadwiseError("invalid-option", "worker: it serves another Headwise instance already");
      taken = true;
      // Held for ever: the other side gets the lock at the moment this worker dies, however it dies.
      if (parentPort == null && globalThis.navigator?.locks) {
        await new Promise<void>((held) => void navigator.locks.request(lock, () => (held(), new Promise(() => {}))));
      }
      return choose(options, await detectMachine());
    });
  },
  start(choice, source) {
    return reply(async () => {
      const from = typeof source === "string" ? new URL(source) : (source ?? locate(choice.binary, undefined));
      headwise = await startHeadwise(choice, from, parentPort == null ? makeThread : undefined);
      return headwise.info;
    });
  },
  async call(call) {
    waiting.add(call.id);
    const result = last.then(takeMessages).then(() =>
      reply(() => {
        if (!waiting.delete(call.id)) throw new HeadwiseError("aborted", "the call was aborted");
        begun = call.id;
        undo = () => {};
        return run(call);
      }),
    );
    last = result;
    const answer = await result;
    return transfer(answer, [...new Set(buffersOf(answer))]);
  },
  abort(id) {
    if (!waiting.delete(id) && id === begun) undo();
  },
};

const threadName = "em-pthread"; // by which Emscripten's code knows that it is one

/** A thread in browsers: this very script once more, so that a page downloads its code once. */
function makeThread(): Worker {
  return new Worker(location.href, { type: "module", name: threadName });
}

/** Becomes the thread: Emscripten's code takes over the messages as soon as it is there. */
async function runThread(): Promise<void> {
  const early: MessageEvent[] = [];
  self.onmessage = (message) => early.push(message);
  await glue.threads();
  for (const message of early) self.onmessage(message);
}

if (parentPort == null && self.name === threadName)
  runThread().catch(reportError); // the error event of this worker
else expose(host, parentPort == null ? undefined : nodeEndpoint(parentPort));
