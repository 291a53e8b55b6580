import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { assertThat, Protocol, run } from './tool.ts';
import { assertSameFile, assertSameTree, type ClientWorld } from './world.ts';

export async function tryS3cmd(world: ClientWorld, program: string): Promise<Protocol> {
  const { stdout } = await run(program, ['--version'], { cwd: world.directory });
  const protocol = new Protocol(stdout.trim().replace(' version', ''));
  const { host } = new URL(world.url);
  const config = join(world.directory, 's3cfg');
  await writeFile(
    config,
    [
      '[default]',
      `access_key = ${world.accessKeyId}`,
      `secret_key = ${world.secretAccessKey}`,
      `host_base = ${host}`,
      `host_bucket = ${host}`,
      'use_https = False',
      'multipart_chunk_size_mb = 5',
      '',
    ].join('\n'),
  );
  const s3cmd = async (args: readonly string[], input?: Uint8Array): Promise<string> => {
    const ran = await run(program, ['-c', config, ...args], {
      cwd: world.directory,
      env: { LC_ALL: 'C.UTF-8' },
      ...(input !== undefined && { input }),
    });
    assertThat(ran.code === 0, `${args.join(' ')}: ${ran.stderr || ran.stdout}`);
    return ran.stdout;
  };
  const bucket = 's3://by-s3cmd';
  const large = join(world.tree, 'large.bin');
  const out = join(world.directory, 's3cmd.out');
  const step = protocol.step.bind(protocol);

  await step('make bucket', async () => void (await s3cmd(['mb', bucket])));
  await step(
    'sync up',
    async () => void (await s3cmd(['sync', `${world.tree}/`, `${bucket}/tree/`])),
  );
  await step('sync again does nothing', async () => {
    const said = await s3cmd(['sync', `${world.tree}/`, `${bucket}/tree/`]);
    assertThat(!said.includes('upload:'), said);
  });
  await step('sync down', async () => {
    await s3cmd(['sync', `${bucket}/tree/`, `${out}.tree/`]);
    await assertSameTree(world.tree, `${out}.tree`);
  });
  await step('list', async () => {
    const listed = await s3cmd(['ls', '--recursive', `${bucket}/tree/`]);
    assertThat(listed.trim().split('\n').length === 7, listed);
  });
  await step('stream up, get', async () => {
    await s3cmd(['put', '-', `${bucket}/stream`], await readFile(large));
    await s3cmd(['get', `${bucket}/stream`, `${out}.stream`]);
    await assertSameFile(large, `${out}.stream`);
  });
  await step('resume a download', async () => {
    await writeFile(`${out}.part`, (await readFile(large)).subarray(0, 1_000_000));
    await s3cmd(['get', '--continue', `${bucket}/tree/large.bin`, `${out}.part`]);
    await assertSameFile(large, `${out}.part`);
  });
  await step('copy and move', async () => {
    await s3cmd(['cp', `${bucket}/tree/small.txt`, `${bucket}/copy`]);
    await s3cmd(['mv', `${bucket}/copy`, `${bucket}/moved`]);
    await s3cmd(['get', `${bucket}/moved`, `${out}.moved`]);
    await assertSameFile(join(world.tree, 'small.txt'), `${out}.moved`);
  });
  await step('metadata', async () => {
    await s3cmd(['put', '--add-header=x-amz-meta-one:1', join(world.tree, 'empty'), `${bucket}/m`]);
    await s3cmd(['modify', '--add-header=x-amz-meta-two:2', `${bucket}/m`]);
    const info = await s3cmd(['info', `${bucket}/m`]);
    assertThat(/x-amz-meta-two:\s*2/.test(info), info);
  });
  await step('presigned link of version 2', async () => {
    const link = (await s3cmd(['signurl', `${bucket}/moved`, '+60'])).trim();
    assertThat(link.includes('AWSAccessKeyId='), link);
    const bytes = Buffer.from(await (await fetch(link)).arrayBuffer());
    assertThat(bytes.equals(await readFile(join(world.tree, 'small.txt'))), bytes.toString());
  });
  await step('headers of version 2', async () => {
    const old = (...args: string[]): Promise<string> => s3cmd(['--signature-v2', ...args]);
    await old('put', join(world.tree, 'small.txt'), `${bucket}/of version 2`);
    await old('get', `${bucket}/of version 2`, `${out}.v2`);
    await assertSameFile(join(world.tree, 'small.txt'), `${out}.v2`);
    assertThat((await old('ls', bucket)).includes('of version 2'), 'the object is not listed');
    await old('del', `${bucket}/of version 2`);
  });
  await step('space used', async () => void (await s3cmd(['du', bucket])));
  await step(
    'remove many',
    async () => void (await s3cmd(['del', '--recursive', '--force', bucket])),
  );
  await step('remove bucket', async () => void (await s3cmd(['rb', bucket])));
  return protocol;
}
