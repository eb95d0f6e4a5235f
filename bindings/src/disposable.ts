/** What `makeDisposable` takes to make a `T`. */
export type NotYetDisposable<T> = Omit<T, typeof Symbol.dispose>;

/** Lets `using hw = await load()` work where the engine has `Symbol.dispose` (WebKit does not yet). */
export function makeDisposable<T extends { dispose(): unknown }>(object: T): T & { [Symbol.dispose](): void } {
  if (Symbol.dispose) Object.defineProperty(object, Symbol.dispose, { value: () => void object.dispose() });
  return object as T & { [Symbol.dispose](): void };
}
