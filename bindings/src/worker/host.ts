/** The worker's side of `headwise/worker`: one instance, whose calls run one at a time. */
import { expose, transfer } from "comlink";
import nodeEndpoint from "comlink/dist/esm/node-adapter.mjs";

import { Optimizer } from "../module/adamw.js";
import { locate } from "../runtime/sources.js";
import { isObject, typeTag } from "../base/kinds.js";
import { choose, ThreadsRefused } from "../runtime/choose.js";
import { HeadwiseError } from "../base/errors.js";
import { Cache } from "../module/kv_cache.js";
import type { FileProgress } from "../files/types.js";
import { PublishedModel } from "../models/opened_model.js";
import { openModel } from "../models/open_model.js";
import { startHeadwise, type OnDemand } from "../start_headwise.js";
import { clearCache, isCached } from "../files/model_files.js";
import { withinLimits, type Stage } from "../runtime/limit.js";
import { isWatched, watchedMethod, takeOptions, workOf, type LongWork } from "../base/long_work.js";
import { onDemand } from "../base/on_demand.js";
import { takeMessages } from "../base/turns.js";
import { analysisNames, type AnalysisName } from "../inside/names.js";
import { detectMachine, nodeBuiltin } from "../runtime/machine.js";
import { Module } from "../module/multi_head_attention.js";
import { Model } from "../transformer/transformer.js";
import type { Headwise } from "../types.js";
import type { Progress } from "../base/types.js";
import {
  remoteMark,
  surfaces,
  type Call,
  type Host,
  type Kind,
  type ProgressMessage,
  type RemoteReference,
  type Reply,
} from "./protocol.js";

const parentPort = nodeBuiltin("node:worker_threads")?.parentPort;
const post = (message: ProgressMessage) => (parentPort ?? self).postMessage(message);

let taken = false;
let starting = new AbortController();
let headwise: Headwise;
/** The address of worker-analyses.js, from the other side: a bundler gives it any name. tools/worker_analyses.mjs makes import() use it. */
let analysesAt: string;
const objects = new Map<number, object>();
let nextTarget = 1;
const waiting = new Set<number>(); // calls that have not begun
/** Methods that resolve to long work, when its code has been imported. */
const startsLongWork = new WeakSet<object>([Model.prototype.groupHeads]);
/** The last call that has begun: how to undo its changes of caches, and whether it was aborted. */
let current: { id: number; undo: (() => void)[]; aborted: boolean } = { id: -1, undo: [], aborted: false };
let last: Promise<unknown> = Promise.resolve();

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

function kindOf(value: object): Kind | undefined {
  if (value instanceof Module) return "module";
  if (value instanceof Cache) return "cache";
  if (value instanceof PublishedModel) return "model";
  if (value instanceof Model) return "transformer";
  if (value instanceof Optimizer) return "optimizer";
  return typeof (value as { next?: unknown }).next === "function" ? "iterator" : undefined;
}

/** A result that can be sent: objects that live here are stored and replaced by references. */
function describe(value: unknown): unknown {
  if (!isObject(value) || ArrayBuffer.isView(value)) return value;
  const kind = kindOf(value);
  if (kind === undefined) {
    if (Array.isArray(value)) return value.map(describe);
    return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, describe(member)]));
  }
  const target = nextTarget++;
  objects.set(target, value);
  const { plain: names, inner = [] } = surfaces[kind] as (typeof surfaces)["model"];
  const plain = Object.fromEntries([...names, ...inner].map((name) => [name, value[name]]));
  return { [remoteMark]: target, kind, plain } satisfies RemoteReference;
}

/** An argument with its references replaced by the objects. */
function resolve(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(resolve);
  if (!isObject(value) || typeTag(value) !== "Object") return value;
  if (!(remoteMark in value))
    return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, resolve(member)]));
  const object = objects.get(value[remoteMark] as number);
  if (object === undefined) throw new HeadwiseError("disposed", `${String(value.kind)}: it was disposed`);
  if (object instanceof Cache) current.undo.push(object.checkpoint());
  return object;
}

const aborted = () => new HeadwiseError("aborted", "the call was aborted");

/** Runs long work alternately with incoming messages, so that an abort stops it. */
async function inTurns<T>(work: LongWork<T>, report: (progress: Progress) => void): Promise<T> {
  let step = work.next();
  while (!step.done) {
    report(step.value);
    await takeMessages();
    if (current.aborted) {
      work.return(undefined as never);
      throw aborted();
    }
    step = work.next();
  }
  return step.value;
}

function dispose(target: number): void {
  const object = objects.get(target) as { dispose?(): void; return?(): void } | undefined;
  objects.delete(target);
  if (object?.dispose) object.dispose();
  else object?.return?.(); // an iterator
}

function run({ id, target, method, args }: Call): unknown {
  if (method === "dispose") return dispose(target);
  const object = target === 0 ? headwise : objects.get(target);
  if (object === undefined) throw new HeadwiseError("disposed", `${method}: its object was disposed`);
  if (object instanceof Cache) current.undo.push(object.checkpoint());
  const member = (object as Record<string, unknown>)[method];
  if (typeof member !== "function") return member;
  const resolved = args.map(resolve);
  const { rest, taken } = takeOptions(resolved, ["onProgress"]);
  const report = (progress: Progress | FileProgress) => taken.onProgress && post({ progressOf: id, progress });
  if (isWatched(member)) {
    const controller = new AbortController();
    current.undo.push(() => controller.abort());
    const options = { ...(rest.pop() as object), signal: controller.signal, onProgress: report };
    return (member.call(object, ...rest, options) as Promise<unknown>).then(describe);
  }
  if (startsLongWork.has(member))
    return (member.apply(object, rest) as Promise<LongWork<unknown>>)
      .then((work) => inTurns(work, report))
      .then(describe);
  const work = workOf(member);
  if (work === undefined) {
    if (taken.onProgress)
      throw new HeadwiseError("invalid-option", `${method}: unknown option "onProgress"; it is for long work`);
    return describe(member.apply(object, resolved));
  }
  return inTurns(work.apply(object, rest), report).then(describe);
}

/**
 * Holds a Web Lock until this worker dies; then the other side gets it. Returns whether the lock is held: browsers refuse locks if they
 * refuse cookies, and in `data:` workers.
 */
async function hold(lock: string): Promise<boolean> {
  if (parentPort) return false; // Node has an event for the end of a worker
  try {
    const { locks } = navigator;
    await new Promise<void>((held, refused) => {
      locks.request(lock, () => (held(), new Promise(() => {}))).catch(refused);
    });
    return true;
  } catch {
    return false;
  }
}

const analyses = () => onDemand(() => import("../inside/analyses.js"), `analyses (${analysesAt})`);

const later: OnDemand = (instance) => ({
  openModel: watchedMethod((source, options) => openModel(instance, source, options)),
  isCached,
  clearCache,
  ...(Object.fromEntries(
    analysisNames.map((name) => {
      const method = async (...args: unknown[]) => (await analyses()).analysis(name, instance)(...args);
      startsLongWork.add(method);
      return [name, method];
    }),
  ) as Record<AnalysisName, never>),
});

const host: Host = {
  choose(options, lock, refused) {
    return reply(async () => {
      if (taken && refused === undefined)
        throw new HeadwiseError("invalid-option", "worker: it already serves another Headwise instance");
      taken = true;
      try {
        return { choice: choose(options, await detectMachine(), refused), locked: await hold(lock) };
      } catch (error) {
        taken = false;
        throw error;
      }
    });
  },
  start(choice, source, analyses) {
    return reply(async () => {
      analysesAt = analyses;
      const from = typeof source === "string" ? new URL(source) : (source ?? (await locate(choice.binary, undefined)));
      const { signal } = starting;
      const work = (stage: Stage) => startHeadwise(choice, from, stage, later);
      try {
        headwise = await withinLimits({ signal }, work, (late) => late.dispose());
      } catch (error) {
        if (error instanceof ThreadsRefused) return { refused: error.message };
        throw error;
      }
      return headwise.info;
    });
  },
  release() {
    starting.abort();
    starting = new AbortController();
    taken = false;
  },
  async call(call) {
    waiting.add(call.id);
    const result = last.then(takeMessages).then(() =>
      reply(() => {
        if (!waiting.delete(call.id)) throw aborted();
        current = { id: call.id, undo: [], aborted: false };
        return run(call);
      }),
    );
    last = result;
    const answer = await result;
    return transfer(answer, [...new Set(buffersOf(answer))]);
  },
  abort(id) {
    if (waiting.delete(id) || id !== current.id) return;
    current.aborted = true;
    for (const undo of current.undo) undo();
  },
};

// In a window it would answer messages of every origin.
if (typeof document !== "undefined" || parentPort === null)
  throw new HeadwiseError("unsupported", "headwise/worker-host is the script of a worker; this is not a worker");
expose(host, parentPort && nodeEndpoint(parentPort));
