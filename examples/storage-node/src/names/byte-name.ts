import { NodeError } from '../node-errors.ts';

export const MAX_NAME_BYTES = 1_024;

/**
 * A name as its UTF-8 bytes, one in each character. JavaScript compares strings by UTF-16, which is
 * another order than S3's; byte names compare as their bytes do, and for ASCII are the name itself.
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
    throw new NodeError('BAD_NAME', `a name has 1 to ${MAX_NAME_BYTES} bytes of UTF-8`);
  }
  if (textOfByteName(name) !== text)
    throw new NodeError('BAD_NAME', 'a name is well-formed Unicode');
  return name;
}

/** The first name behind all that begin with `prefix`; undefined where there is none. */
export function behindPrefix(prefix: ByteName): ByteName | undefined {
  for (let i = prefix.length - 1; i >= 0; i--) {
    const byte = prefix.charCodeAt(i);
    if (byte < 0xff) return prefix.slice(0, i) + String.fromCharCode(byte + 1);
  }
  return undefined;
}
