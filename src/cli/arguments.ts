import { InvalidArgumentError } from 'commander';
import { MAX_U64 } from '../base/limits.ts';
import { checkKeyspace, type KeyspaceOptions } from '../store/keyspace.ts';

/** Parses a key: decimal, or hexadecimal after `0x`. */
export function parseKey(text: string): bigint {
  if (!/^([0-9]+|0x[0-9a-f]+)$/i.test(text) || BigInt(text) > MAX_U64) {
    throw new InvalidArgumentError(`A key is an integer from 0 to ${MAX_U64}.`);
  }
  return BigInt(text);
}

/** Parses a keyspace: `<prefix>/<bits>`, the prefix like a key. */
export function parseKeyspace(text: string): KeyspaceOptions {
  const [, prefix, bits] = /^([0-9]+|0x[0-9a-f]+)\/([0-9]{1,2})$/i.exec(text) ?? [];
  if (prefix === undefined || bits === undefined) {
    throw new InvalidArgumentError('A keyspace is a prefix and its number of bits: 5/8.');
  }
  const keyspace = { prefix: BigInt(prefix), bits: Number(bits) };
  try {
    checkKeyspace(keyspace);
  } catch (error) {
    throw new InvalidArgumentError(`${(error as RangeError).message}.`);
  }
  return keyspace;
}

/** Parses a batch's sequence number, in decimal. */
export function parseSequence(text: string): bigint {
  if (!/^[0-9]+$/.test(text) || BigInt(text) > MAX_U64) {
    throw new InvalidArgumentError(`A sequence number is an integer from 0 to ${MAX_U64}.`);
  }
  return BigInt(text);
}

export function parseLimit(text: string): number {
  const limit = Number(text);
  if (!/^[0-9]+$/.test(text) || !Number.isSafeInteger(limit)) {
    throw new InvalidArgumentError('A limit is a non-negative integer.');
  }
  return limit;
}

/** Parses a count, with or without commas between groups of three digits. */
export function parseBoundedCount(most: number): (text: string) => number {
  return (text) => {
    const count = Number(text.replaceAll(',', ''));
    if (!/^[0-9]{1,3}(,[0-9]{3})+$|^[0-9]+$/.test(text) || count > most) {
      throw new InvalidArgumentError(`It is an integer from 0 to ${most}.`);
    }
    return count;
  };
}
