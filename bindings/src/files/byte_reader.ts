/** Reads a file from front to back, over one or more connections. */
import { aborted, onAbort } from "../base/signals.js";
import { allocate } from "../base/tensor.js";
import { Broken, fileError, Missing, type Answer, type Place } from "./place.js";

/** Delays before each retry of a broken connection, in ms. Arriving bytes reset the number of retries. */
const retryDelays = [250, 1000, 3000];
/** Fewer bytes than this are skipped by reading them, which costs less than another request. */
const worthARequest = 1 << 20;

const none = new Uint8Array(0);

function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      forget?.();
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    const forget = signal && onAbort(signal, done);
  });
}

export class ByteReader {
  /** Size of the file in bytes, once it is known. */
  size: number | undefined;
  /** Called with all bytes in order, as they arrive. Bytes that a request skips are missing unless `readsAll`. */
  onBytes: ((bytes: Uint8Array) => void | Promise<void>) | undefined;
  readsAll = false;
  readonly file: string;
  readonly #place: Place;
  readonly #signal: AbortSignal | undefined;
  #version: string | undefined;
  #answer: Answer | undefined;
  #answered = 0; // position of the answer's next bytes
  #window: number | undefined; // end of the requested part
  #rest: Uint8Array = none; // bytes that have arrived and are not read yet
  #position = 0;
  #room: Uint8Array = none;

  /** @param head number of bytes of the first request; the rest comes in one stream */
  constructor(place: Place, signal: AbortSignal | undefined, head?: number) {
    this.file = place.file;
    this.#place = place;
    this.#signal = signal;
    this.#window = head;
  }

  /** Position of the next byte to read. */
  get position(): number {
    return this.#position;
  }

  /** The bytes that have arrived and are not read yet. */
  get buffered(): Uint8Array {
    return this.#rest;
  }

  /** Reads bytes. They are valid until the next call. */
  async read(count: number): Promise<Uint8Array> {
    if (this.#rest.length === 0 && count > 0) await this.#fill(count);
    if (this.#rest.length >= count) return this.#take(count);
    if (this.#room.length < count) {
      this.#room = none; // before there is another
      this.#room = new Uint8Array(allocate(count));
    }
    let filled = 0;
    for await (const part of this.chunks(count)) {
      this.#room.set(part, filled);
      filled += part.length;
    }
    return this.#room.subarray(0, count);
  }

  /** The next bytes in pieces, as they arrive. Each is valid until the next one is requested. */
  async *chunks(count: number): AsyncGenerator<Uint8Array, void, void> {
    for (let left = count; left > 0;) {
      if (this.#rest.length === 0) await this.#fill(left);
      const part = this.#take(Math.min(left, this.#rest.length));
      left -= part.length;
      yield part;
    }
  }

  async skip(count: number): Promise<void> {
    let left = count - this.#take(Math.min(count, this.#rest.length)).length;
    if (left > worthARequest && this.#answer?.ranged && !this.readsAll) {
      this.release();
      this.#position += left;
      left = 0;
    }
    for await (const _ of this.chunks(left));
  }

  /** Whether the whole file has been read. */
  async atEnd(): Promise<boolean> {
    if (this.#rest.length === 0) this.#rest = (await this.#pull()) ?? none;
    return this.#rest.length === 0;
  }

  /** Ends the connection. Reading on opens another one for the rest. */
  release(): void {
    this.#answer?.close();
    this.#answer = undefined;
    this.#window = undefined;
  }

  #take(count: number): Uint8Array {
    const taken = this.#rest.subarray(0, count);
    this.#rest = this.#rest.subarray(count);
    this.#position += count;
    return taken;
  }

  async #fill(expected: number): Promise<void> {
    const bytes = await this.#pull();
    if (bytes === undefined)
      throw fileError(this.file, `it ends after ${this.#position} bytes, where ${expected} more are expected`);
    this.#rest = bytes;
  }

  /** The next bytes, without buffering; undefined at the end of the file. Opens a broken connection again. */
  async #pull(): Promise<Uint8Array | undefined> {
    for (let failures = 0; ; ++failures) {
      try {
        if (this.#signal?.aborted) throw aborted(this.#signal);
        const bytes = await this.#pullOnce();
        if (bytes !== undefined) await this.onBytes?.(bytes);
        return bytes;
      } catch (error) {
        this.release();
        if (this.#signal?.aborted) throw aborted(this.#signal);
        if (!(error instanceof Broken)) throw error;
        const delay = retryDelays[failures];
        if (delay === undefined) throw fileError(this.file, error.message, error.cause);
        await pause(delay, this.#signal);
      }
    }
  }

  async #pullOnce(): Promise<Uint8Array | undefined> {
    while (this.size !== this.#position) {
      const answer = (this.#answer ??= await this.#connect());
      const bytes = await answer.read();
      if (bytes === undefined) {
        this.#finish(answer);
        continue;
      }
      const known = this.#position - this.#answered; // bytes that were read before, if the host only sends whole files
      this.#answered += bytes.length;
      if (bytes.length > known) return bytes.subarray(known > 0 ? known : 0);
    }
    return undefined;
  }

  async #connect(): Promise<Answer> {
    const answer = await this.#place.open(this.#position, this.#window, this.#signal).catch((error: unknown) => {
      if (error instanceof Missing && this.size !== undefined)
        throw fileError(this.file, `it is gone: ${error.message}`);
      throw error;
    });
    const differ = (one: unknown, other: unknown) => one !== undefined && other !== undefined && one !== other;
    if (differ(this.size, answer.size) || differ(this.#version, answer.version)) {
      answer.close();
      throw fileError(this.file, "it was changed while it was read");
    }
    this.size ??= answer.size;
    this.#version ??= answer.version;
    this.#answered = answer.from;
    return answer;
  }

  /** The end of an answer: complete or broken off. */
  #finish(answer: Answer): void {
    if (answer.to !== undefined && this.#answered < answer.to)
      throw new Broken(`the connection ended after ${this.#answered} of ${answer.to} bytes`);
    const asked = answer.ranged ? this.#window : undefined;
    if (asked === undefined || this.#answered < asked) this.size ??= this.#answered;
    this.release();
  }
}
