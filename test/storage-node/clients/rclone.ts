import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { assertThat, Protocol, run } from './tool.ts';
import { assertSameTree, type ClientWorld } from './world.ts';

export async function tryRclone(world: ClientWorld, program: string): Promise<Protocol> {
  const { stdout: version } = await run(program, ['version'], { cwd: world.directory });
  const protocol = new Protocol(version.split('\n')[0]?.replace('rclone v', 'rclone ') ?? 'rclone');
  const env = {
    RCLONE_CONFIG: '/dev/null',
    RCLONE_CONFIG_NODE_TYPE: 's3',
    RCLONE_CONFIG_NODE_PROVIDER: 'Other',
    RCLONE_CONFIG_NODE_ENDPOINT: world.url,
    RCLONE_CONFIG_NODE_ACCESS_KEY_ID: world.accessKeyId,
    RCLONE_CONFIG_NODE_SECRET_ACCESS_KEY: world.secretAccessKey,
    RCLONE_S3_CHUNK_SIZE: '5M',
    RCLONE_S3_UPLOAD_CUTOFF: '6M',
    RCLONE_RETRIES: '1',
    LC_ALL: 'C.UTF-8',
  };
  const rclone = async (args: readonly string[], input?: Uint8Array): Promise<string> => {
    const ran = await run(program, args, {
      env,
      cwd: world.directory,
      ...(input !== undefined && { input }),
    });
    assertThat(ran.code === 0, `${args.join(' ')}: ${ran.stderr || ran.stdout}`);
    return ran.stdout + ran.stderr;
  };
  const bucket = 'node:by-rclone';
  const large = join(world.tree, 'large.bin');
  const step = protocol.step.bind(protocol);

  await step('make bucket', async () => void (await rclone(['mkdir', bucket])));
  await step('sync up', async () => void (await rclone(['sync', world.tree, `${bucket}/tree`])));
  await step('sync again does nothing', async () => {
    const said = await rclone(['sync', '-v', world.tree, `${bucket}/tree`]);
    assertThat(said.includes('There was nothing to transfer'), said);
  });
  await step(
    'check',
    async () => void (await rclone(['check', '--download', world.tree, `${bucket}/tree`])),
  );
  await step('copy down', async () => {
    const out = join(world.directory, 'rclone.tree');
    await rclone(['copy', `${bucket}/tree`, out]);
    await assertSameTree(world.tree, out);
  });
  await step('list', async () => {
    const listed = await rclone(['lsf', '-R', '--files-only', `${bucket}/tree`]);
    assertThat(listed.trim().split('\n').length === 7, listed);
  });
  await step('stream up, range down', async () => {
    await rclone(['rcat', `${bucket}/stream`], await readFile(large));
    const cut = await rclone(['cat', '--offset', '6000000', '--count', '9', `${bucket}/stream`]);
    const expected = (await readFile(large)).subarray(6_000_000, 6_000_009).toString();
    assertThat(cut === expected, 'other bytes');
  });
  await step('copy and move in the node', async () => {
    await rclone(['copyto', `${bucket}/tree/large.bin`, `${bucket}/copies/large.bin`]);
    await rclone(['moveto', `${bucket}/copies/large.bin`, `${bucket}/moved.bin`]);
    await rclone(['check', '--download', '--include', 'moved.bin', bucket, bucket]);
  });
  await step('presigned link', async () => {
    const said = await rclone(['link', `${bucket}/tree/small.txt`]);
    const link = /https?:\S+/.exec(said)?.[0] ?? said;
    const bytes = Buffer.from(await (await fetch(link)).arrayBuffer());
    assertThat(bytes.equals(await readFile(join(world.tree, 'small.txt'))), 'other bytes');
  });
  await step('signatures of version 2', async () => {
    await rclone(['sync', '--s3-v2-auth', world.tree, `${bucket}/v2`]);
    await rclone(['check', '--s3-v2-auth', '--download', world.tree, `${bucket}/v2`]);
  });
  await step('remove many', async () => void (await rclone(['delete', bucket])));
  await step('remove bucket', async () => void (await rclone(['purge', bucket])));
  return protocol;
}
