import { crc32c } from '@node-rs/crc32';
import {
  decodeOwnerRecord,
  encodeOwnerRecord,
  lockOwnerOf,
  type OwnerRecord,
} from '../../../src/directory/owner-record.ts';
import { heldByProcess } from '../../../src/directory/owner-message.ts';
import { bytesInput, bytesOf } from '../fuzz-input.ts';
import { mutated, oneIn, pick } from '../mutation.ts';
import { check, type Outcome, type Target } from '../target.ts';

const RECORD: OwnerRecord = {
  pid: 4711,
  processStartTicks: 99,
  bootId: '1b671a64-40d5-491e-99b0-da01ff1f3341',
  machineId: '0123456789abcdef0123456789abcdef',
  hostName: 'host',
  nonce: 'a nonce',
  openedAtMs: 1_700_000_000_000,
  epoch: 3,
  lockFile: '1837',
};

const VALUES: readonly string[] = [
  'null',
  '-1',
  '1e308',
  '9007199254740993',
  '8640000000000001',
  '0.5',
  '""',
  '[]',
  '{}',
  '{"__proto__":1}',
  'true',
  `"${'x'.repeat(600)}"`,
];

function signed(json: Uint8Array): Uint8Array {
  const text = new TextDecoder().decode(json).replaceAll('\n', ' ');
  const checksum = crc32c(text).toString(16).padStart(8, '0');
  return new TextEncoder().encode(`${text}\n${checksum}\n   `);
}

export function ownerTarget(): Target {
  return {
    name: 'owner-record',
    perTurn: 40,
    seeds: [bytesInput(encodeOwnerRecord(RECORD)), bytesInput(new Uint8Array(0))],
    mutate(random, input) {
      const bytes = bytesOf(input);
      if (oneIn(random, 3)) return bytesInput(mutated(random, bytes, bytes));
      const name = pick(random, Object.keys(RECORD));
      const json = JSON.stringify(RECORD).replace(
        new RegExp(`("${name}":)("[^"]*"|[^,}]*)`),
        (_, field: string) => field + pick(random, VALUES),
      );
      const text = new TextEncoder().encode(json);
      return bytesInput(signed(oneIn(random, 3) ? mutated(random, text, text) : text));
    },
    run(input): Outcome {
      const record = decodeOwnerRecord(bytesOf(input));
      const message = heldByProcess('/s', record, RECORD, '/s/lodestore.lock').message;
      check(message.length > 0, 'a refusal says something');
      if (record === undefined) return { text: 'none', boundBytes: 16 * 1024 };
      check(Number.isSafeInteger(lockOwnerOf(record).pid), 'a pid is a whole number');
      const again = decodeOwnerRecord(encodeOwnerRecord(record));
      check(JSON.stringify(again) === JSON.stringify(record), 'a record comes back as it was');
      return { text: 'record', boundBytes: 16 * 1024 };
    },
  };
}
