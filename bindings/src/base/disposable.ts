/** A `T` before `makeDisposable` adds `Symbol.dispose`. */
export type NotYetDisposable<T> = Omit<T, typeof Symbol.dispose>;

/** Makes `using hw = await load()` work if the engine has `Symbol.dispose` (WebKit does not yet). */
export function makeDisposable<T extends { dispose(): unknown }>(object: T): T & { [Symbol.dispose](): void } {
  if (Symbol.dispose) Object.defineProperty(object, Symbol.dispose, { value: () => void object.dispose() });
  return object as T & { [Symbol.dispose](): void };
}

type Net = Pick<FinalizationRegistry<() => void>, "register" | "unregister">;

/** Frees objects that were collected without `dispose()`. Do not rely on it: it may run late, and some edge runtimes do not have it. */
export const net: Net =
  typeof FinalizationRegistry === "undefined"
    ? { register() {}, unregister: () => false }
    : new FinalizationRegistry<() => void>((free) => free());

/** Completes an object that owns memory. It is frozen, so that its sizes cannot differ from those of its memory. */
export function seal<T extends { dispose(): void }>(object: T, free: () => void): void {
  net.register(object, free, object);
  makeDisposable(object);
  Object.freeze(object);
}
