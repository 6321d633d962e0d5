// Pictures by their first bytes: what a sender says of a file counts for nothing.

const LONGEST_SIDE = 1600;

/** @type {readonly [type: string, at: number, begins: string][]} */
const KINDS = [
  ['image/png', 0, '\x89PNG\r\n\x1a\n'],
  ['image/jpeg', 0, '\xff\xd8\xff'],
  ['image/gif', 0, 'GIF87a'],
  ['image/gif', 0, 'GIF89a'],
  ['image/webp', 8, 'WEBP'],
];

/**
 * @param {Blob} file
 * @returns {Promise<string | undefined>} the type of a picture that can be shown
 */
export async function pictureTypeOf(file) {
  const head = String.fromCharCode(...new Uint8Array(await file.slice(0, 12).arrayBuffer()));
  const found = KINDS.find(([, at, begins]) => head.startsWith(begins, at));
  return found?.[0] === 'image/webp' && !head.startsWith('RIFF') ? undefined : found?.[0];
}

/**
 * Drawn, so that the page's policy need not let in addresses of pictures.
 * @param {Blob} file
 * @param {string} type from `pictureTypeOf`
 * @param {string} label
 * @throws where it is damaged or too large
 */
export async function drawPicture(file, type, label) {
  const bitmap = await createImageBitmap(new Blob([file], { type }));
  const scale = Math.min(1, LONGEST_SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement('canvas');
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  canvas.getContext('2d')?.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  canvas.setAttribute('role', 'img');
  canvas.setAttribute('aria-label', label);
  bitmap.close();
  return canvas;
}
