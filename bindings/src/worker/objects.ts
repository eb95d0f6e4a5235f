/** The objects of `headwise/worker`, which stand for objects in the worker. */
import { isObject } from "../base/kinds.js";
import { makeDisposable, net } from "../base/disposable.js";
import { HeadwiseError } from "../base/errors.js";
import { onAbort } from "../base/signals.js";
import { remotes } from "./arguments.js";
import type { Connection } from "./connection.js";
import { remoteMark, surfaces, type Kind, type RemoteReference } from "./protocol.js";

/** The plain values and the methods of an object. `alive` throws if it was disposed. */
export function members(connection: Connection, kind: Kind, target: number, plain: object, alive = () => {}): object {
  const { methods, generators = [] } = surfaces[kind] as (typeof surfaces)["headwise"];
  const call =
    (inside: string) =>
    async (...args: unknown[]) => {
      alive();
      const { send } = connection.prepare(target, inside, args);
      alive(); // a getter of an argument may have disposed of it
      return revive(connection, await send());
    };
  const generate =
    (inside: string) =>
    (...args: unknown[]) => {
      alive();
      return iterate(connection, connection.prepare(target, inside, args));
    };
  return {
    ...Object.fromEntries(Object.entries(plain).map(([name, value]) => [name, Object.freeze(value)])),
    ...Object.fromEntries(Object.entries(methods).map(([name, inside]) => [name, call(inside)])),
    ...Object.fromEntries(generators.map((name) => [name, generate(name)])),
  };
}

/** Outside of `remoteObject`, because its closures would keep the object alive. */
const freeing = (connection: Connection, target: number, key?: number) => async () => {
  await connection.free(target);
  const reading = connection.reading.get(key!);
  if (reading !== undefined && --reading.models === 0) connection.reading.delete(key!);
};

function remoteObject(connection: Connection, { [remoteMark]: target, kind, plain = {} }: RemoteReference): object {
  let disposed = false;
  const key = kind === "model" ? (plain.key as number) : undefined;
  const free = freeing(connection, target, key);
  const alive = () => {
    if (disposed && !connection.ended) throw new HeadwiseError("disposed", `this ${kind} was disposed`);
  };
  const object: object = makeDisposable({
    ...members(connection, kind, target, plain, alive),
    async dispose() {
      if (disposed) return;
      disposed = true;
      net.unregister(object);
      await free();
    },
  });
  if (key !== undefined) {
    const reading = connection.reading.get(key)!;
    ++reading.models;
    Object.assign(object, reading.membersOf(object));
  }
  remotes.set(object, { connection, target, kind });
  net.register(object, free, object);
  return object;
}

/** What a call has returned, with an object in the place of each reference. */
export function revive(connection: Connection, value: unknown): unknown {
  if (!isObject(value) || ArrayBuffer.isView(value)) return value;
  if (remoteMark in value) return remoteObject(connection, value as unknown as RemoteReference);
  for (const [name, member] of Object.entries(value)) value[name] = revive(connection, member);
  return value;
}

/** Iterates over a generator in the worker, with one call per step. */
function iterate(connection: Connection, { signal, send }: ReturnType<Connection["prepare"]>): AsyncGenerator {
  const state = { free: () => {} };
  const iterator = steps(connection, signal, send, state);
  net.register(iterator, () => state.free());
  return iterator;
}

async function* steps(
  connection: Connection,
  signal: AbortSignal | undefined,
  send: () => Promise<unknown>,
  state: { free: () => void },
): AsyncGenerator {
  const { [remoteMark]: target } = (await send()) as RemoteReference;
  state.free = () => void connection.free(target);
  const unlisten = signal && onAbort(signal, state.free); // also if no further step is requested
  try {
    for (;;) {
      const step = (await connection.call(target, "next", [{ signal }])) as IteratorResult<unknown>;
      if (step.done) return step.value;
      yield step.value;
    }
  } finally {
    unlisten?.();
    state.free();
  }
}
