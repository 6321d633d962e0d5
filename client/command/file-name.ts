/** Leaves room for ` (2)` in the 255 bytes that file systems allow. */
const NAME_MAX_BYTES = 200;
/** Names that mean a device on Windows, with any extension. */
const DEVICES = /^(?:con|prn|aux|nul|conin\$|conout\$|com[\d¹²³]|lpt[\d¹²³]) *(?:\.|$)/i;
const NAMELESS = 'file';

/**
 * Makes a name that is safe in a folder of ours from one that a stranger chose: its last segment, without control,
 * bidirectional or reserved characters, without leading dots, and no longer than file systems allow.
 */
export function safeName(name: string): string {
  const printable = name.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '').replace(/\p{Zs}/gu, ' ');
  const last = printable.split(/[/\\]/).findLast((segment) => !/^[. ]*$/.test(segment)) ?? '';
  const plain = last.normalize('NFC').replace(/[<>:"|?*`$]/g, '_');
  const trimmed = shortened(plain.replace(/^[. ]+/, '')).replace(/[. ]+$/, '');
  // A leading hyphen would make an option of it, for `rm *`.
  return (DEVICES.test(trimmed) || /^[-~]/.test(trimmed) ? `_${trimmed}` : trimmed) || NAMELESS;
}

/** @returns a name for the next attempt, where one is taken: `report (2).pdf`. */
export function numbered(name: string, number: number): string {
  const { stem, extension } = partsOf(name);
  return number === 1 ? name : `${stem} (${number})${extension}`;
}

function partsOf(name: string): { stem: string; extension: string } {
  const at = /(?:\.tar)?\.[^.]{1,16}$/.exec(name)?.index ?? name.length;
  return at === 0 ? { stem: name, extension: '' } : { stem: name.slice(0, at), extension: name.slice(at) };
}

function shortened(name: string): string {
  const { stem, extension } = partsOf(name);
  const room = NAME_MAX_BYTES - Buffer.byteLength(extension);
  if (Buffer.byteLength(stem) <= room) return name;
  const characters = [...stem];
  let bytes = 0;
  const fits = characters.findIndex((character) => {
    bytes += Buffer.byteLength(character);
    return bytes > room;
  });
  return characters.slice(0, fits).join('') + extension;
}
