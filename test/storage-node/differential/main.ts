/**
 * `npm run test:s3-differential` sends the same requests to the node and to s3rver, a public S3
 * server from npm that is installed into a temporary directory. Responses are compared by rules;
 * each difference must have its reason in the list. Reported as skipped if s3rver cannot be
 * installed.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createS3Server } from '../../../examples/storage-node/src/s3/s3-server.ts';
import { StorageNode } from '../../../examples/storage-node/src/storage-node.ts';
import { type Answer, KEY, send } from '../support/signed-request.ts';
import { differences } from './compare.ts';
import { REASONS } from './reasons.ts';
import { type Case, CASES } from './requests.ts';
import { installS3rver, S3RVER_KEY, startS3rver } from './s3rver.ts';

const { values } = parseArgs({
  options: { verbose: { type: 'boolean', default: false }, installed: { type: 'string' } },
});

/** A server, and the values that it has chosen so far. */
class Side {
  readonly #url: string;
  readonly #key: typeof KEY;
  #uploadId = '';

  constructor(url: string, key: typeof KEY) {
    this.#url = url;
    this.#key = key;
  }

  async ask(asked: Case): Promise<Answer> {
    const target = asked.with === 'uploadId' ? asked.target + this.#uploadId : asked.target;
    const answer = await send(this.#url, { ...asked, target, key: this.#key });
    this.#uploadId = /<UploadId>([^<]*)</.exec(answer.body)?.[1] ?? this.#uploadId;
    return answer;
  }
}

const directory = await mkdtemp(join(tmpdir(), 'lodestore-differential-'));
try {
  const program = await installS3rver(values.installed ?? join(directory, 'npm'));
  if (program === undefined) console.log('skipped: s3rver cannot be installed here');
  else process.exitCode = (await compareAll(program)) ? 0 : 1;
} finally {
  await rm(directory, { recursive: true });
}

async function compareAll(program: string): Promise<boolean> {
  const peer = await startS3rver(program, join(directory, 's3rver'));
  const node = await StorageNode.open(join(directory, 'node'));
  const server = createS3Server(node, { keys: [KEY] });
  let isGood = true;
  const counts = { same: 0, explained: 0 };
  try {
    const own = new Side(await server.listen(), KEY);
    const other = new Side(peer.url, S3RVER_KEY);
    for (const asked of CASES) {
      const found = differences(await own.ask(asked), await other.ask(asked));
      const reason = REASONS[asked.name];
      const isExplained = reason !== undefined;
      if (found.length > 0 === isExplained) {
        counts[isExplained ? 'explained' : 'same']++;
        if (isExplained) console.log(`${asked.name}: ${reason}`);
        if (!isExplained || !values.verbose) continue;
      } else {
        isGood = false;
        const what = isExplained ? 'differs no more: remove its reason' : 'DIFFERS';
        console.log(`${asked.name}: ${what}`);
      }
      for (const line of found) console.log(`  ${line}`);
    }
  } finally {
    await server.close(0);
    await node.close();
    await peer.close();
  }
  console.log(
    `${CASES.length} requests: ${counts.same} answers are the same, ${counts.explained} differ for a reason`,
  );
  return isGood;
}
