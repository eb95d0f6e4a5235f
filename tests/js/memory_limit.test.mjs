// The end of WebAssembly's memory, which is that of 32-bit addresses: 4 GiB.
import { it } from "node:test";
import { expect } from "chai";

import { load } from "../../dist/index.js";
import { expectError } from "./cases/support.mjs";
import { random } from "./reference.mjs";

const skip = process.env.HEADWISE_QUICK !== undefined && "it fills 4 GiB, a quarter of a quick run";

it(
  "what would reach beyond 4 GiB is refused; addresses above 2 GiB and up to the end are as good as others",
  { skip },
  async () => {
    const hw = await load({ threads: 1 });
    const make = () => hw.multiHeadAttention({ embedDim: 8192, numHeads: 1, bias: false }); // 1 GiB, all from seed 0
    const modules = [await make(), await make(), await make()];
    await expectError(expect, "out-of-memory", "1024 MiB", () => modules[0].parameters());
    const x = random([2, 8192], 1);
    const [low, , high] = modules.map((mha) => mha.forward(x).output.data);
    expect(high).to.deep.equal(low);

    // To the last bytes: caches of an ever smaller size.
    const decoder = hw.multiHeadAttention({ embedDim: 64, numHeads: 1 });
    const token = random([1, 64], 2);
    const expected = decoder.forward(token).output.data;
    const caches = [];
    for (let capacity = 2 ** 18; capacity >= 32; capacity /= 2) {
      try {
        for (;;) caches.push(decoder.cache({ batch: 1, capacity }));
      } catch (error) {
        expect(error.code, error.stack).to.equal("out-of-memory");
      }
    }
    expect(hw.memory().capacityBytes).to.be.greaterThan(2 ** 32 - 2 ** 24);
    for (const cache of caches.splice(0, 2)) cache.dispose(); // room for a call
    for (const cache of caches.slice(-20)) {
      expect(decoder.forward(token, { cache }).output.data).to.deep.equal(expected);
    }
    for (const object of [...caches, decoder, ...modules.slice(0, 2)]) object.dispose();
    const parameters = Object.values(modules[2].parameters()); // above 2 GiB
    const fresh = await load({ threads: 1 });
    const other = fresh.multiHeadAttention({ embedDim: 8192, numHeads: 1, bias: false });
    Object.values(other.parameters()).forEach(({ data }, n) => {
      expect(Buffer.compare(Buffer.from(data.buffer), Buffer.from(parameters[n].data.buffer))).to.equal(0);
    });
    fresh.dispose();
    modules[2].dispose();
    expect(hw.memory()).to.include({ usedBytes: 0, liveObjects: 0 });
    hw.dispose();
  },
);
