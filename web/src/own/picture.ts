/** Reads a picture from a file as the pixels of its square in the middle, at most 512 a side. */
export async function readPicture(file: Blob): Promise<ImageData> {
  const bitmap = await createImageBitmap(file);
  const side = Math.min(bitmap.width, bitmap.height);
  const size = Math.min(side, 512);
  const canvas = new OffscreenCanvas(size, size);
  const context = canvas.getContext("2d")!;
  context.drawImage(bitmap, (bitmap.width - side) / 2, (bitmap.height - side) / 2, side, side, 0, 0, size, size);
  bitmap.close();
  return context.getImageData(0, 0, size, size);
}
