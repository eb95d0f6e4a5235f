/** What `makeDisposable` takes to make a `T`. */
export type NotYetDisposable<T> = Omit<T, typeof Symbol.dispose>;

/** Lets `using hw = await load()` work where the engine has `Symbol.dispose` (WebKit does not yet). */
export function makeDisposable<T extends { dispose(): unknown }>(object: T): T & { [Symbol.dispose](): void } {
  if (Symbol.dispose) Object.defineProperty(object, Symbol.dispose, { value: () => void object.dispose() });
  return object as T & { [Symbol.dispose](): void };
}

type Net = Pick<FinalizationRegistry<() => void>, "register" | "unregister">;

/** Frees what was never disposed of. A net, not a plan: `dispose()` is prompt, and some edge runtimes have no net. */
export const net: Net =
  typeof FinalizationRegistry === "undefined"
    ? { register() {}, unregister: () => false }
    : new FinalizationRegistry<() => void>((free) => free());

/** Completes an object that holds memory. Frozen: what it says of itself is what that memory was sized for. */
export function seal<T extends { dispose(): void }>(object: T, free: () => void): void {
  net.register(object, free, object);
  makeDisposable(object);
  Object.freeze(object);
}
