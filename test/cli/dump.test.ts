import { expect, test } from 'vitest';
import { fingerprint, runCli } from '../support/cli.ts';
import { closedStore, flipByte, namesIn } from '../support/store-directory.ts';
import { MetadataStore, WriteBatch } from '../../src/index.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { nth } from '../support/nth.ts';

const MAX = 2n ** 64n - 1n;

async function smallStore(): Promise<string> {
  const directory = await temporaryDirectory();
  const store = await MetadataStore.open(directory);
  const batch = new WriteBatch();
  batch.put(1, 7);
  batch.put(2n ** 53n + 1n, 5, Uint8Array.of(0xca, 0xfe));
  batch.put(MAX, MAX, Uint8Array.of(1));
  await store.insertBatch(batch);
  await store.close();
  return directory;
}

test('dump prints key, value and length, and the data only on request', async () => {
  const directory = await smallStore();
  const plain = await runCli(['dump', directory]);
  expect(plain).toEqual({
    code: 0,
    err: '',
    out: `1 7 0\n9007199254740993 5 2\n${MAX} ${MAX} 1\n`,
  });
  const data = await runCli(['dump', '--data', directory]);
  expect(data.out).toBe(`1 7 0\n9007199254740993 5 2 cafe\n${MAX} ${MAX} 1 01\n`);
});

test('--json prints one object per line with all digits of a u64', async () => {
  const directory = await smallStore();
  const { out } = await runCli(['dump', '--json', directory]);
  expect(
    out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown),
  ).toEqual([
    { key: '1', value: '7', dataLength: 0 },
    { key: '9007199254740993', value: '5', dataLength: 2 },
    { key: String(MAX), value: String(MAX), dataLength: 1 },
  ]);
  const { out: data } = await runCli(['dump', '--json', '--data', '--limit', '2', directory]);
  expect(JSON.parse(nth(data.split('\n'), 1))).toMatchObject({ dataLength: 2, data: 'cafe' });
});

test.each([
  [
    ['--gte', '2'],
    ['9007199254740993', String(MAX)],
  ],
  [
    ['--gte', '0x20000000000001'],
    ['9007199254740993', String(MAX)],
  ],
  [
    ['--lte', '9007199254740993'],
    ['1', '9007199254740993'],
  ],
  [['--lte', '9007199254740992'], ['1']],
  [
    ['--limit', '2'],
    ['1', '9007199254740993'],
  ],
  [['--reverse', '--limit', '1'], [String(MAX)]],
  [['--gte', '5', '--lte', '4'], []],
])('%j', async (options, keys) => {
  const { out, code } = await runCli(['dump', ...options, await smallStore()]);
  expect(code).toBe(0);
  expect(
    out
      .split('\n')
      .filter(Boolean)
      .map((line) => line.split(' ')[0]),
  ).toEqual(keys);
});

test('--count: how many records a range has; --keyspace: of those with a prefix', async () => {
  const directory = await smallStore();
  const printed = async (...options: string[]): Promise<string> =>
    (await runCli(['dump', ...options, directory])).out;
  expect(await printed('--count')).toBe('3\n');
  expect(await printed('--count', '--gte', '2', '--json')).toBe('{"records":2}\n');
  expect(await printed('--keyspace', '0xff/8')).toBe(`${2n ** 56n - 1n} ${MAX} 1\n`);
  expect(await printed('--keyspace', '0/8', '--gte', '2')).toBe('9007199254740993 5 2\n');
  expect(await printed('--keyspace', '0/8', '--count', '--lte', '1')).toBe('1\n');
  expect(await printed('--keyspace', '0/8', '--count', '--gte', '5', '--lte', '4')).toBe('0\n');
});

test.each([
  [['--keyspace', '5'], /A keyspace is a prefix and its number of bits: 5\/8\./],
  [['--keyspace', '256/8'], /prefix must have at most 8 bits; it is 256\./],
  [['--keyspace', '0/0'], /bits must be an integer from 1 to 63/],
  [['--count', '--limit', '1'], /--count.* cannot be used with .*--limit/],
  [['--count', '--damaged'], /--count.* cannot be used with .*--damaged/],
  [['--damaged', '--keyspace', '0/8'], /--damaged.* cannot be used with .*--keyspace/],
])('%j is refused', async (options, message) => {
  const { code, err } = await runCli(['dump', ...options, 'nowhere']);
  expect(err).toMatch(message);
  expect(code).toBe(2);
});

test('a damaged store gives only the error; --damaged prints what is valid and names the damage', async () => {
  const directory = await closedStore();
  const whole = (await runCli(['dump', directory])).out.split('\n');
  const { out } = await runCli(['inspect', '--json', '--frames', directory]);
  const { files } = JSON.parse(out) as {
    files: {
      name: string;
      kind: string;
      frameList: { offset: number; firstSequence: string }[];
    }[];
  };
  const log = nth(
    files.filter((file) => file.kind === 'log'),
    1,
  );
  const frame = nth(log.frameList, 4);
  await flipByte(directory, log.name, frame.offset + 70);
  const before = await fingerprint(directory);
  const strict = await runCli(['dump', directory]);
  expect([strict.code, strict.out]).toEqual([1, '']);
  expect(strict.err).toMatch(/^lodestore: .* is damaged at offset .*lodestore explain.*\n$/);
  const lenient = await runCli(['dump', '--damaged', directory]);
  expect(lenient.code).toBe(1);
  const lost = BigInt(frame.firstSequence);
  // Batch n holds value n, and each key is written once.
  expect(lenient.out.split('\n')).toEqual(
    whole.filter((line) => line === '' || BigInt(nth(line.split(' '), 1)) !== lost),
  );
  expect(lenient.err).toContain(`left out: ${directory}/${log.name}, offsets `);
  expect(lenient.err).toContain(`the batch of sequence ${lost}`);
  expect(await fingerprint(directory)).toEqual(before);
});

test('--damaged reads a snapshot without its header, its end or a chunk', async () => {
  const directory = await closedStore();
  const name = nth(await namesIn(directory, 'snapshot_'), 0);
  const whole = await runCli(['dump', directory]);
  for (const [offset, isLost] of [
    [20, false],
    [300, true],
  ] as const) {
    await flipByte(directory, name, offset);
    const { out, code, err } = await runCli(['dump', '--damaged', directory]);
    expect(code).toBe(1);
    expect(err).toContain(`${directory}/${name} is damaged at offset `);
    const expected = isLost ? whole.out.split('\n').slice(200).join('\n') : whole.out;
    expect(out).toBe(expected);
    await flipByte(directory, name, offset);
  }
});

test('--damaged prints a sound store as dump does', async () => {
  const directory = await smallStore();
  const { code, err, out } = await runCli(['dump', '--damaged', directory]);
  expect([code, err]).toEqual([0, '']);
  expect(out).toBe((await runCli(['dump', directory])).out);
});
