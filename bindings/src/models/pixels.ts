/** Images as vision models take them: scaled, and normalised per channel, as preprocessor_config.json says. */
import { invalidOption, show } from "../base/checks.js";
import { HeadwiseError } from "../base/errors.js";
import { isObject, typeTag } from "../base/kinds.js";
import { allocate } from "../base/tensor.js";
import type { Tensor } from "../base/types.js";
import { fileError } from "../files/place.js";

/** An image in RGBA, 8 bits each, row by row: a browser's ImageData is one. */
export interface ImageLike {
  /** [height, width, 4]. */
  readonly data: Uint8ClampedArray | Uint8Array;
  /** In pixels. */
  readonly width: number;
  /** In pixels. */
  readonly height: number;
}

const file = "preprocessor_config.json";

interface Size {
  readonly width: number;
  readonly height: number;
}

interface Steps {
  /** The size to scale to, of an image of some size. */
  readonly scaled: (image: Size) => Size;
  readonly crop: Size | undefined;
  readonly cubic: boolean;
  readonly factor: number;
  readonly mean: readonly number[];
  readonly deviation: readonly number[];
}

const isExtent = (value: unknown): value is number =>
  Number.isInteger(value) && (value as number) > 0 && (value as number) <= 8192;

/** `{ height, width }`, or one number for both. */
function readSize(value: unknown, name: string): Size {
  const { width, height } = isObject(value) ? value : { width: value, height: value };
  if (!isExtent(width) || !isExtent(height)) throw fileError(file, `${name}: ${show(value)} is not a size`);
  return { width, height };
}

/** `{ shortest_edge }` keeps the image's proportions; a plain number does for CLIP's older files, which crop afterwards. */
function readScaling(value: unknown, crops: boolean): Steps["scaled"] {
  const edge = isObject(value) ? value.shortest_edge : crops ? value : undefined;
  if (edge === undefined) {
    const size = readSize(value, "size");
    return () => size;
  }
  if (!isExtent(edge)) throw fileError(file, `size: ${show(value)} is not a size`);
  return ({ width, height }) => {
    const longer = Math.floor((edge * Math.max(width, height)) / Math.min(width, height));
    return width < height ? { width: edge, height: longer } : { width: longer, height: edge };
  };
}

function readChannels(value: unknown, name: string): number[] {
  if (!Array.isArray(value) || value.length !== 3 || !value.every(Number.isFinite))
    throw fileError(file, `${name}: ${show(value)} is not one number a channel`);
  return value as number[];
}

function readSteps(config: unknown): Steps {
  if (!isObject(config)) throw fileError(file, "it is not an object");
  const { resample = 2, do_center_crop: crops = false, rescale_factor: factor = 1 / 255 } = config;
  if (resample !== 2 && resample !== 3)
    throw fileError(file, `resample: ${show(resample)} is not supported (2 and 3 are)`);
  if (typeof factor !== "number" || !Number.isFinite(factor)) throw fileError(file, "rescale_factor is not a number");
  const normalizes = config.do_normalize !== false;
  return {
    scaled: config.do_resize === false ? (image) => image : readScaling(config.size, crops === true),
    crop: crops === true ? readSize(config.crop_size ?? config.size, "crop_size") : undefined,
    cubic: resample === 3,
    factor: config.do_rescale === false ? 1 : factor,
    mean: normalizes ? readChannels(config.image_mean, "image_mean") : [0, 0, 0],
    deviation: normalizes ? readChannels(config.image_std, "image_std") : [1, 1, 1],
  };
}

/** The weight of a pixel at a distance: a triangle, or Keys' cubic with a = −0.5, as Pillow has them. */
function weightAt(distance: number, cubic: boolean): number {
  const x = Math.abs(distance);
  if (!cubic) return Math.max(0, 1 - x);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

/** Weights are whole multiples of 1 / 2^22, as in Pillow: so are the same bytes. */
const one = 2 ** 22;
const roundAway = (value: number) => Math.sign(value) * Math.floor(Math.abs(value) + 0.5);

/** Of each output pixel along one axis: its first input pixel, and the weights from there on. Shrinking widens the filter. */
function taps(from: number, to: number, cubic: boolean) {
  const ratio = from / to;
  const stretch = Math.max(ratio, 1);
  const reach = (cubic ? 2 : 1) * stretch;
  return Array.from({ length: to }, (_, n) => {
    const centre = (n + 0.5) * ratio;
    const first = Math.max(0, Math.trunc(centre - reach + 0.5));
    const last = Math.min(from, Math.trunc(centre + reach + 0.5));
    const weights = Array.from({ length: last - first }, (_, k) =>
      weightAt((first + k - centre + 0.5) / stretch, cubic),
    );
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return { first, weights: weights.map((weight) => roundAway((weight / sum) * one)) };
  });
}

const toByte = (sum: number) => Math.min(255, Math.max(0, Math.floor((sum + one / 2) / one)));

/** The three channels, one after the other, scaled along rows, then along columns; bytes in between, as in Pillow. */
function resize({ data, width, height }: ImageLike, to: Size, cubic: boolean): Uint8Array {
  const across = taps(width, to.width, cubic);
  const down = taps(height, to.height, cubic);
  const rows = new Uint8Array(3 * height * to.width);
  const result = new Uint8Array(3 * to.height * to.width);
  for (let channel = 0; channel < 3; ++channel) {
    for (let y = 0; y < height; ++y) {
      across.forEach(({ first, weights }, x) => {
        let sum = 0;
        weights.forEach((weight, k) => (sum += weight * data[4 * (y * width + first + k) + channel]!));
        rows[(channel * height + y) * to.width + x] = toByte(sum);
      });
    }
    down.forEach(({ first, weights }, y) => {
      for (let x = 0; x < to.width; ++x) {
        let sum = 0;
        weights.forEach((weight, k) => (sum += weight * rows[(channel * height + first + k) * to.width + x]!));
        result[(channel * to.height + y) * to.width + x] = toByte(sum);
      }
    });
  }
  return result;
}

function checkImage(value: unknown, name: string): ImageLike {
  if (!isObject(value)) throw invalidOption(name, "an image { data, width, height }", value);
  const { data, width, height } = value;
  if (typeTag(data) !== "Uint8ClampedArray" && typeTag(data) !== "Uint8Array")
    throw invalidOption(`${name}.data`, "a Uint8ClampedArray of RGBA", data);
  if (!isExtent(width) || !isExtent(height))
    throw invalidOption(`${name}.width, height`, "integers from 1 to 8192", [width, height]);
  const { length } = data as Uint8Array;
  if (length !== 4 * width * height)
    throw new HeadwiseError(
      "invalid-shape",
      `${name}: ${width} x ${height} pixels need ${4 * width * height} bytes, got ${length}`,
    );
  return { data: data as Uint8Array, width, height };
}

/**
 * Makes the pixels [B, 3, height, width] that a vision model takes. Images are scaled as Pillow scales (bilinear or bicubic,
 * widened when an image shrinks), cropped at the centre where the file says so, and normalised per channel; transparency is
 * left out. An image of the model's own size is only normalised; a scaled one has Pillow's bytes, from which processors that
 * scale with other libraries (transformers' fast ones) differ by a level or two. Throws `invalid-file` for a step of the file that is not known.
 * @param config of preprocessor_config.json
 */
export function pixelsOf(images: ImageLike | readonly ImageLike[], config: unknown): Tensor {
  const steps = readSteps(config);
  const list = (Array.isArray(images) ? images : [images]).map((image, n) => checkImage(image, `images[${n}]`));
  if (list.length === 0) throw invalidOption("images", "an image at least", images);
  const sizes = list.map((image) => steps.scaled(image));
  const size = steps.crop ?? sizes[0]!;
  if (
    sizes.some(({ width, height }) =>
      steps.crop ? width < size.width || height < size.height : width !== size.width || height !== size.height,
    )
  )
    throw new HeadwiseError("invalid-shape", `images: they do not all give ${size.width} x ${size.height} pixels`);
  const plane = size.width * size.height;
  const data = new Float32Array(allocate(4 * list.length * 3 * plane));
  list.forEach((image, n) => {
    const scaled = sizes[n]!;
    const bytes = resize(image, scaled, steps.cubic);
    const left = Math.floor((scaled.width - size.width) / 2);
    const top = Math.floor((scaled.height - size.height) / 2);
    for (let channel = 0; channel < 3; ++channel) {
      for (let y = 0; y < size.height; ++y) {
        for (let x = 0; x < size.width; ++x) {
          const byte = bytes[(channel * scaled.height + top + y) * scaled.width + left + x]!;
          const value = (byte * steps.factor - steps.mean[channel]!) / steps.deviation[channel]!;
          data[(3 * n + channel) * plane + y * size.width + x] = value;
        }
      }
    }
  });
  return { data, shape: [list.length, 3, size.height, size.width] };
}
