/** Reads a file from front to back, over as many connections as that takes. */
import { aborted, onAbort } from "../base/signals.js";
import { allocate } from "../base/tensor.js";
import { Broken, fileError, Missing, type Answer, type Place } from "./place.js";

/** How long to wait before a broken connection is tried again, in ms. Bytes that arrive start the count anew. */
const retryDelays = [250, 1000, 3000];
/** To skip fewer bytes than this, reading them costs less than another request. */
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
  /** Bytes of the file, once that is known. */
  size: number | undefined;
  /** Is called with all bytes in their order, as they come. What is skipped by a request comes only if `readsAll`. */
  onBytes: ((bytes: Uint8Array) => void | Promise<void>) | undefined;
  readsAll = false;
  readonly file: string;
  readonly #place: Place;
  readonly #signal: AbortSignal | undefined;
  #version: string | undefined;
  #answer: Answer | undefined;
  #answered = 0; // where the answer's next bytes stand
  #window: number | undefined; // where the part that was asked for ends
  #rest: Uint8Array = none; // bytes that have come and are not read yet
  #position = 0;
  #room: Uint8Array = none;

  /** `head`: bytes to ask for at first, before the rest comes in one stream. */
  constructor(place: Place, signal: AbortSignal | undefined, head?: number) {
    this.file = place.file;
    this.#place = place;
    this.#signal = signal;
    this.#window = head;
  }

  /** Where the next byte to be read stands. */
  get position(): number {
    return this.#position;
  }

  /** The bytes that have come and are not read yet. */
  get buffered(): Uint8Array {
    return this.#rest;
  }

  /** Bytes that are valid until the next call. */
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

  /** The next bytes in pieces, as they come; each is valid until the next is asked for. */
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

  /** Whether all has been read. */
  async atEnd(): Promise<boolean> {
    if (this.#rest.length === 0) this.#rest = (await this.#pull()) ?? none;
    return this.#rest.length === 0;
  }

  /** Ends the connection; reading on makes another, for all that follows. */
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

  /** The next bytes, undefined at the file's end; nothing is buffered. A connection that breaks is made anew. */
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
      const known = this.#position - this.#answered; // bytes that we have already, of a host that gives the whole alone
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

  /** An answer's bytes have all come; or it broke off. */
  #finish(answer: Answer): void {
    if (answer.to !== undefined && this.#answered < answer.to)
      throw new Broken(`the connection ended after ${this.#answered} of ${answer.to} bytes`);
    const asked = answer.ranged ? this.#window : undefined;
    if (asked === undefined || this.#answered < asked) this.size ??= this.#answered;
    this.release();
  }
}
