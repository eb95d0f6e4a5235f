// Random numbers that are the same everywhere: a 32-bit generator (mulberry32 by Tommy Ettinger, public domain), so that
// a seed gives the same examples in every browser and in Node.

/**
 * @param {number} seed an integer
 * @returns {(n: number) => number} below(n): the next whole number of 0 … n − 1
 */
export function randomNumbers(seed) {
  let state = seed >>> 0;
  return (n) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * n);
  };
}
