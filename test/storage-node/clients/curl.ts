import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { assertThat, Protocol, run } from './tool.ts';
import { assertSameFile, type ClientWorld } from './world.ts';

export async function tryCurl(world: ClientWorld, program: string): Promise<Protocol> {
  const { stdout: version } = await run(program, ['--version'], { cwd: world.directory });
  const protocol = new Protocol(version.split(' ').slice(0, 2).join(' '));
  const curl = async (path: string, ...args: string[]): Promise<[status: string, body: string]> => {
    const common = ['--silent', '--show-error', '--aws-sigv4', 'aws:amz:us-east-1:s3'];
    const user = ['--user', `${world.accessKeyId}:${world.secretAccessKey}`];
    const header = ['--header', 'x-amz-content-sha256: UNSIGNED-PAYLOAD'];
    const rest = ['--write-out', '\n%{http_code}', ...args, `${world.url}${path}`];
    const all = [...common, ...user, ...header, ...rest];
    const ran = await run(program, all, { cwd: world.directory });
    assertThat(ran.code === 0, ran.stderr);
    const end = ran.stdout.lastIndexOf('\n');
    return [ran.stdout.slice(end + 1), ran.stdout.slice(0, end)];
  };
  const status = async (expected: string, path: string, ...args: string[]): Promise<string> => {
    const [got, body] = await curl(path, ...args);
    assertThat(got === expected, `${path}: ${got} ${body}`);
    return body;
  };
  const large = join(world.tree, 'large.bin');
  const out = join(world.directory, 'curl.out');
  const step = protocol.step.bind(protocol);

  await step('make bucket', async () => void (await status('200', '/by-curl', '-X', 'PUT')));
  await step('put and get', async () => {
    await status('200', '/by-curl/large', '--upload-file', large);
    await status('200', '/by-curl/large', '--output', out);
    await assertSameFile(large, out);
  });
  await step('range', async () => {
    await status('206', '/by-curl/large', '--range', '5000000-5000009', '--output', `${out}.r`);
    const expected = (await readFile(large)).subarray(5_000_000, 5_000_010);
    assertThat((await readFile(`${out}.r`)).equals(expected), 'other bytes');
  });
  await step('conditional put', async () => {
    const put = ['--upload-file', join(world.tree, 'small.txt'), '-H', 'If-None-Match: *'];
    await status('200', '/by-curl/once', ...put);
    await status('412', '/by-curl/once', ...put);
  });
  await step('list', async () => {
    const xml = await status('200', '/by-curl?list-type=2');
    assertThat(xml.includes('<Key>large</Key>'), xml);
  });
  await step('refused before the body is sent', async () => {
    const xml = await status('404', '/no-such-bucket/x', '--upload-file', large);
    assertThat(xml.includes('<Code>NoSuchBucket</Code>'), xml);
  });
  await step('remove', async () => {
    await status('204', '/by-curl/large', '-X', 'DELETE');
    await status('204', '/by-curl/once', '-X', 'DELETE');
    await status('404', '/by-curl/once', '--head');
    await status('204', '/by-curl', '-X', 'DELETE');
  });
  return protocol;
}
