import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { assertThat, Protocol, run, type Ran } from './tool.ts';
import { assertSameFile, assertSameTree, type ClientWorld } from './world.ts';

/** The AWS command line, version 1 or 2. */
export async function tryAws(world: ClientWorld, program: string): Promise<Protocol> {
  const { stdout, stderr } = await run(program, ['--version'], { cwd: world.directory });
  const version = /aws-cli\/(\d+\.\d+\.\d+)/.exec(stdout + stderr)?.[1] ?? '?';
  const protocol = new Protocol(`aws ${version}`);
  const bucket = `aws-${version.replaceAll('.', '-')}`;
  const uri = (key: string): string => `s3://${bucket}/${key}`;
  const env = {
    AWS_ACCESS_KEY_ID: world.accessKeyId,
    AWS_SECRET_ACCESS_KEY: world.secretAccessKey,
    AWS_DEFAULT_REGION: 'us-east-1',
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_MAX_ATTEMPTS: '1',
    LC_ALL: 'C.UTF-8',
  };
  const attempt = (args: readonly string[], input?: Uint8Array): Promise<Ran> =>
    run(program, [...args, '--endpoint-url', world.url], {
      env,
      cwd: world.directory,
      ...(input !== undefined && { input }),
    });
  const aws = async (...args: string[]): Promise<string> => {
    const ran = await attempt(args);
    assertThat(ran.code === 0, `${args.join(' ')}: ${ran.stderr || ran.stdout}`);
    return ran.stdout;
  };
  const large = join(world.tree, 'large.bin');
  const out = join(world.directory, `${bucket}.out`);
  const step = protocol.step.bind(protocol);

  await step('make bucket', async () => void (await aws('s3', 'mb', `s3://${bucket}`)));
  await step('list buckets', async () => {
    assertThat((await aws('s3', 'ls')).includes(bucket), 'the bucket is not listed');
  });
  await step('sync up', async () => void (await aws('s3', 'sync', world.tree, uri('tree'))));
  await step('sync again does nothing', async () => {
    assertThat((await aws('s3', 'sync', world.tree, uri('tree'))) === '', 'it sent files again');
  });
  await step('sync down', async () => {
    await aws('s3', 'sync', uri('tree'), `${out}.tree`);
    await assertSameTree(world.tree, `${out}.tree`);
  });
  await step('list', async () => {
    const listed = await aws('s3', 'ls', '--recursive', uri('tree/'));
    assertThat(listed.trim().split('\n').length === 7, listed);
  });
  await step('stream up and down', async () => {
    const sent = await attempt(['s3', 'cp', '-', uri('stream')], await readFile(large));
    assertThat(sent.code === 0, sent.stderr);
    await aws('s3', 'cp', uri('stream'), `${out}.stream`);
    await assertSameFile(large, `${out}.stream`);
  });
  await step('copy of parts', async () => {
    await aws('s3', 'cp', uri('tree/large.bin'), uri('copies/large.bin'));
    await aws('s3', 'cp', uri('copies/large.bin'), `${out}.copy`);
    await assertSameFile(large, `${out}.copy`);
  });
  const api = (operation: string, ...args: string[]): Promise<string> =>
    aws('s3api', operation, '--bucket', bucket, ...args);
  await step('range', async () => {
    await api(
      'get-object',
      '--key',
      'tree/large.bin',
      '--range',
      'bytes=7000000-7000099',
      `${out}.r`,
    );
    const expected = (await readFile(large)).subarray(7_000_000, 7_000_100);
    assertThat((await readFile(`${out}.r`)).equals(expected), 'other bytes');
  });
  await step('metadata', async () => {
    await writeFile(`${out}.m`, 'metadata');
    await api('put-object', '--key', 'meta', '--body', `${out}.m`, '--metadata', 'one=1,two=zwei');
    const head = await api('head-object', '--key', 'meta');
    assertThat(head.includes('"two": "zwei"'), head);
  });
  await step('checksum', async () => {
    await api('put-object', '--key', 'sum', '--body', `${out}.m`, '--checksum-algorithm', 'SHA256');
    const head = await api('head-object', '--key', 'sum', '--checksum-mode', 'ENABLED');
    assertThat(head.includes('"ChecksumSHA256"'), head);
  });
  await step('conditional read', async () => {
    const args = ['s3api', 'get-object', '--bucket', bucket, '--key', 'meta'];
    const ran = await attempt([...args, '--if-match', '"0"', `${out}.c`]);
    assertThat(ran.code !== 0 && ran.stderr.includes('Precondition'), ran.stderr);
  });
  await step('tags', async () => {
    await api('put-object-tagging', '--key', 'meta', '--tagging', 'TagSet=[{Key=a,Value=b}]');
    const tags = await api('get-object-tagging', '--key', 'meta');
    assertThat(/"Key": "a"/.test(tags), tags);
  });
  await step('presigned link', async () => {
    const link = (await aws('s3', 'presign', uri('meta'))).trim();
    assertThat((await (await fetch(link)).text()) === 'metadata', 'the link does not work');
  });
  await step(
    'remove many',
    async () => void (await aws('s3', 'rm', '--recursive', `s3://${bucket}`)),
  );
  await step('remove bucket', async () => void (await aws('s3', 'rb', `s3://${bucket}`)));
  return protocol;
}
