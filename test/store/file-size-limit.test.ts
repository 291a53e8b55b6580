import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { MetadataStore } from '../../src/index.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { programPath } from '../support/program.ts';

const INDEX = programPath('lodestore');

test('at a limit of the file size, the next log is tried, and a batch that fits none is not applied', async () => {
  const directory = await temporaryDirectory();
  const program = `
    const { MetadataStore } = await import(${JSON.stringify(INDEX)});
    const store = await MetadataStore.open(process.argv[1]);
    const data = crypto.getRandomValues(new Uint8Array(50_000));
    for (let key = 0; key < 100; key++) {
      const durability = key % 3 === 0 ? 'deferred' : 'sync';
      await store.insertBatch([{ type: 'put', key, value: 1, data }], { durability });
    }
    const large = (await import('node:crypto')).randomBytes(1_500_000);
    const error = await store.insertBatch([{ type: 'put', key: 100, value: 1, data: large }])
      .catch((error) => error);
    console.log(error.code, error.outcome, error.cause.code);
    await store.insertBatch([{ type: 'put', key: 101, value: 1, data }]);
    console.log(store.size, store.stats().logs.count > 3, store.stats().state);
    await store.close();
    console.log('closed');`;
  // In blocks of 512 bytes, or of 1,024.
  const shell = 'ulimit -f 1000 && exec "$@"';
  const args = ['--input-type=module', '--eval', program, directory];
  const child = spawn('sh', ['-c', shell, 'sh', process.execPath, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.on('data', (text: Buffer) => (said += text.toString()));
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  expect([code, signal]).toEqual([0, null]);
  expect(said).toBe('LODESTORE_FULL not-applied EFBIG\n101 true open\nclosed\n');
  const store = await MetadataStore.open(directory);
  expect(store.size).toBe(101);
  await store.close();
});
