/** Copies arguments for the worker. In the copies, references replace objects that live in the worker. */
import { elementsOf, invalidOption } from "../base/checks.js";
import { HeadwiseError } from "../base/errors.js";
import { copyOfArray, isObject, isThenable, namesOf, typeTag } from "../base/kinds.js";
import { isTensorLike } from "../base/tensor.js";
import { remoteMark, type Kind, type RemoteReference } from "./protocol.js";

/** Objects that live in a worker: their numbers there, and the connection to it. */
export const remotes = new WeakMap<object, { connection: object; target: number; kind: Kind }>();

/** `copies`: the copy of each typed array, to be transferred. `name`: the option's name in messages. */
function copyOf(value: unknown, name: string, copies: Map<unknown, ArrayBufferView>, connection: object): unknown {
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) {
    // Copies only the view: sending it would copy its whole buffer.
    if (!copies.has(value)) copies.set(value, copyOfArray(value as Uint8Array));
    return copies.get(value);
  }
  if (typeTag(value) === "ArrayBuffer") {
    if (!copies.has(value)) copies.set(value, new Uint8Array((value as ArrayBuffer).slice()));
    return copies.get(value)!.buffer;
  }
  if (typeof value === "function") {
    throw new HeadwiseError("invalid-option", `${name}: a function cannot be sent to the worker that computes`);
  }
  if (Array.isArray(value)) return elementsOf(value, name).map((element) => copyOf(element, name, copies, connection));
  if (!isObject(value)) return value;
  const remote = remotes.get(value);
  if (remote !== undefined) {
    const { target, kind } = remote;
    if (remote.connection === connection) return { [remoteMark]: target, kind } satisfies RemoteReference;
    throw new HeadwiseError("invalid-option", `${kind}: it belongs to another Headwise instance`);
  }
  if (isThenable(value)) throw invalidOption(name, "a value", value);
  const copy = (name: string, member: unknown) => [name, copyOf(member, name, copies, connection)];
  if (isTensorLike(value)) {
    const { data, shape, dims } = value as { data: unknown; shape?: unknown; dims?: unknown };
    return Object.fromEntries([copy("data", data), copy("shape", shape ?? dims)]);
  }
  if (typeTag(value) !== "Object") return value; // a Map, a Date and so on: the worker refuses it by name
  return Object.fromEntries(namesOf(value).map((name) => copy(name, value[name])));
}

/** Makes a deep copy of arguments for a connection. Returns it with the buffers to transfer. */
export function copyArguments(method: string, args: readonly unknown[], connection: object) {
  const copies = new Map<unknown, ArrayBufferView>();
  try {
    const copied = args.map((argument, n) => copyOf(argument, `${method}, argument ${n + 1}`, copies, connection));
    return { copied, buffers: [...copies.values()].map(({ buffer }) => buffer as ArrayBuffer) };
  } catch (error) {
    throw sendable(error);
  }
}

/** An error of copying or cloning (for example because of a cycle) as an error about the argument. */
export function sendable(error: unknown): unknown {
  if (error instanceof HeadwiseError || !(error instanceof Error)) return error;
  return new HeadwiseError("invalid-option", `an argument cannot be sent to the worker: ${error.message}`, {
    cause: error,
  });
}
