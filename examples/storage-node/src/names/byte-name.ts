import { NodeError } from '../node-errors.ts';

export const MAX_NAME_BYTES = 1_024;

/**
 * A name as its UTF-8 bytes, one per character. JavaScript compares strings by UTF-16, which
 * differs from S3's order. Byte names compare by bytes; an ASCII name is its own byte name.
 */
export type ByteName = string;

const isAscii = (text: string): boolean => {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return false;
  return true;
};

export function byteNameOf(text: string): ByteName {
  return isAscii(text) ? text : Buffer.from(text, 'utf8').toString('latin1');
}

export function textOfByteName(name: ByteName): string {
  return isAscii(name) ? name : Buffer.from(name, 'latin1').toString('utf8');
}

/** @throws NodeError `BAD_NAME` */
export function checkedByteName(text: string): ByteName {
  const name = byteNameOf(text);
  if (name.length === 0 || name.length > MAX_NAME_BYTES) {
    throw new NodeError('BAD_NAME', `a name must have 1 to ${MAX_NAME_BYTES} bytes of UTF-8`);
  }
  if (textOfByteName(name) !== text)
    throw new NodeError('BAD_NAME', 'a name must be well-formed Unicode');
  return name;
}

/** The first name after all names with `prefix`; undefined if there is none. */
export function behindPrefix(prefix: ByteName): ByteName | undefined {
  for (let i = prefix.length - 1; i >= 0; i--) {
    const byte = prefix.charCodeAt(i);
    if (byte < 0xff) return prefix.slice(0, i) + String.fromCharCode(byte + 1);
  }
  return undefined;
}
