// Images as vision models take them, beside Pillow 13.0.0's resize, which transformers' processors call.
import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { importInternal } from "./internal.mjs";

const { pixelsOf } = await importInternal("models/pixels.ts");

/** A picture with edges and noise, [23, 37]. */
const [width, height] = [37, 23];
const value = (x, y, c) =>
  (x * x * (c + 3) + y * 7 * (c + 1) + x * y * 5 + ((x * 31 + y * 17) % 11) * 13 * (c + 1)) % 256;
const image = { width, height, data: new Uint8ClampedArray(4 * width * height) };
for (let n = 0; n < width * height; ++n)
  for (let c = 0; c < 4; ++c) image.data[4 * n + c] = c < 3 ? value(n % width, Math.floor(n / width), c) : 255;

/** What Pillow gives for it: the sum of all bytes, and the first 12 pixels. */
const pillow = [
  {
    width: 16,
    height: 12,
    resample: 2,
    sum: 73644,
    first: [
      76, 128, 125, 100, 132, 146, 174, 115, 143, 168, 113, 107, 138, 164, 104, 105, 132, 130, 133, 127, 117, 102, 123,
      109, 131, 120, 153, 122, 100, 156, 129, 121, 133, 132, 115, 157,
    ],
  },
  {
    width: 16,
    height: 12,
    resample: 3,
    sum: 73655,
    first: [
      71, 128, 124, 96, 131, 149, 188, 109, 153, 175, 106, 104, 137, 176, 100, 96, 129, 133, 138, 125, 120, 95, 119,
      103, 134, 128, 161, 118, 96, 162, 132, 117, 131, 136, 115, 163,
    ],
  },
  {
    width: 50,
    height: 41,
    resample: 2,
    sum: 787124,
    first: [
      0, 0, 0, 73, 145, 61, 114, 224, 78, 102, 195, 55, 94, 171, 205, 89, 152, 215, 87, 137, 187, 95, 127, 159, 206,
      143, 80, 245, 148, 51, 187, 150, 44, 14, 156, 42,
    ],
  },
  {
    width: 50,
    height: 41,
    resample: 3,
    sum: 786597,
    first: [
      0, 0, 0, 74, 147, 53, 129, 254, 72, 106, 204, 40, 97, 179, 228, 84, 157, 233, 72, 140, 185, 83, 131, 158, 213,
      151, 67, 255, 156, 35, 195, 155, 33, 0, 162, 32,
    ],
  },
];

/** Bytes of pixels that are not normalised. */
const plain = { do_normalize: false, do_rescale: false };
const refuses = (work, code, message) =>
  assert.throws(work, (error) => error.code === code && message.test(error.message));

describe("pixels", () => {
  for (const { width, height, resample, sum, first } of pillow) {
    it(`scaled to ${width} x ${height} with filter ${resample} are Pillow's`, () => {
      const { data, shape } = pixelsOf(image, { ...plain, size: { width, height }, resample });
      assert.deepEqual(shape, [1, 3, height, width]);
      first.forEach((byte, n) => assert.equal(data[(n % 3) * width * height + Math.floor(n / 3)], byte, `byte ${n}`));
      assert.equal(
        data.reduce((total, byte) => total + byte),
        sum,
      );
    });
  }
  it("of the model's own size are normalised and nothing else, exactly", () => {
    for (const resample of [2, 3]) {
      const [mean, std] = [
        [0.485, 0.456, 0.406],
        [0.229, 0.224, 0.225],
      ];
      const { data, shape } = pixelsOf([image, image], {
        size: { width, height },
        resample,
        image_mean: mean,
        image_std: std,
      });
      assert.deepEqual(shape, [2, 3, height, width]);
      data.forEach((number, n) => {
        const [x, y, c] = [n % width, Math.floor(n / width) % height, Math.floor(n / width / height) % 3];
        assert.equal(number, Math.fround((value(x, y, c) / 255 - mean[c]) / std[c]));
      });
    }
  });
  it("keep their proportions and are cropped where the file says so, as CLIP's older files too", () => {
    for (const size of [{ shortest_edge: 23 }, 23]) {
      const { data, shape } = pixelsOf(image, { ...plain, size, do_center_crop: true, crop_size: 9 });
      assert.deepEqual(shape, [1, 3, 9, 9]);
      assert.equal(data[0], value(14, 7, 0));
    }
    assert.deepEqual(pixelsOf(image, { ...plain, size: { shortest_edge: 46 } }).shape, [1, 3, 46, 74]);
  });
  it("are refused where something is unknown", () => {
    const size = { width, height };
    refuses(
      () => pixelsOf(image, { ...plain, size: { longest_edge: 9 } }),
      "invalid-file",
      /preprocessor_config.json: size/,
    );
    refuses(() => pixelsOf(image, { ...plain, size, resample: 1 }), "invalid-file", /resample: 1 is not supported/);
    refuses(() => pixelsOf(image, { size }), "invalid-file", /image_mean/);
    refuses(() => pixelsOf(image, 7), "invalid-file", /preprocessor_config.json/);
    refuses(
      () => pixelsOf({ ...image, width: 38 }, { ...plain, size }),
      "invalid-shape",
      /38 x 23 pixels need 3496 bytes, got 3404/,
    );
    refuses(() => pixelsOf(new Float32Array(3), { ...plain, size }), "invalid-option", /images\[0\]/);
    refuses(() => pixelsOf([], { ...plain, size }), "invalid-option", /images/);
  });
});
