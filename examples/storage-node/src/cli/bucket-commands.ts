import { textOfBytes } from '../byte-text.ts';
import type { BucketPolicy } from '../ledger/bucket-record.ts';
import { checkedPolicy } from '../ledger/bucket-record.ts';
import type { BucketDetails } from '../objects/bucket-keeper.ts';
import { assertBucketName } from '../s3/operations/bucket-name.ts';
import { bytesOfText, EXIT_FAILED, EXIT_OK, type CliIo } from './cli-io.ts';
import type { CommandOptions } from './commands.ts';
import { withNode } from './node-command.ts';

/** The flags of `buckets create`, as they were given. */
export interface PolicyFlags {
  readonly mode?: string;
  readonly quotaBytes?: string;
  readonly ttlSeconds?: string;
  readonly acknowledge?: string;
  readonly compress?: string;
}

/** True if one of the flags was given. */
export function hasPolicy(flags: PolicyFlags): boolean {
  const { mode, quotaBytes, ttlSeconds, acknowledge, compress } = flags;
  return [mode, quotaBytes, ttlSeconds, acknowledge, compress].some((flag) => flag !== undefined);
}

/** @throws Error, NodeError `BAD_OPTION` */
export function policyOf(flags: PolicyFlags): BucketPolicy {
  const { mode = 'keep', quotaBytes, ttlSeconds, acknowledge, compress } = flags;
  if (ttlSeconds !== undefined && !/^[1-9]\d*$/.test(ttlSeconds)) {
    throw new Error(`--ttl-seconds must be a whole number of seconds, not ${ttlSeconds}`);
  }
  return checkedPolicy({
    mode: mode as BucketPolicy['mode'],
    ...(quotaBytes !== undefined && { quotaBytes: bytesOfText(quotaBytes) }),
    ...(ttlSeconds !== undefined && { ttlMs: 1_000 * Number(ttlSeconds) }),
    ...(acknowledge !== undefined && { acknowledge: acknowledge as 'synced' | 'deferred' }),
    ...(compress !== undefined && { compression: compress as 'none' | 'zstd' }),
  });
}

/** Lists the buckets with their policies and contents. */
export function listBucketPolicies({ data, json }: CommandOptions, io: CliIo): Promise<number> {
  return withNode(data, {}, async (commands) => {
    const buckets = await commands.buckets();
    io.out(json ? `${JSON.stringify(buckets, undefined, 2)}\n` : tableOf(buckets));
    return EXIT_OK;
  });
}

/** Creates a bucket, also in a node that runs. */
export function createBucketWith(
  { data, json }: CommandOptions,
  name: string,
  policy: BucketPolicy,
  io: CliIo,
): Promise<number> {
  return withNode(data, { create: true }, async (commands) => {
    const isNew = await commands.createBucket(name, policy);
    if (!isNew) {
      io.err(`bucket ${name} already exists; the policy of a bucket cannot be changed\n`);
      return EXIT_FAILED;
    }
    if (json) io.out(`${JSON.stringify({ name, policy }, undefined, 2)}\n`);
    else io.out(`bucket ${name}: ${textOf(policy)}\n`);
    return EXIT_OK;
  });
}

/** @throws Error if S3 clients could not use the bucket */
export function assertS3Name(name: string): void {
  try {
    assertBucketName(name);
  } catch (error) {
    const rules =
      'S3 allows 3 to 63 lower-case letters, digits, hyphens and dots, with a letter or digit at ' +
      'each end';
    throw new Error(`${JSON.stringify(name)} is not the name of a bucket: ${rules}`, {
      cause: error,
    });
  }
}

function textOf({ mode, quotaBytes, ttlMs, acknowledge, compression }: BucketPolicy): string {
  return [
    quotaBytes === undefined ? mode : `${mode} ${textOfBytes(quotaBytes)}`,
    ...(ttlMs === undefined ? [] : [`ttl ${ttlMs / 1_000} s`]),
    ...(acknowledge === 'deferred' ? ['acknowledge deferred'] : []),
    ...(compression === 'zstd' ? ['compress zstd'] : []),
  ].join(', ');
}

function tableOf(buckets: readonly BucketDetails[]): string {
  const rows = buckets.map(({ name, policy, objects, bytes }) => [
    name,
    String(objects),
    textOfBytes(bytes),
    textOf(policy),
  ]);
  const all = [['bucket', 'objects', 'size', 'policy'], ...rows];
  const widths = [0, 1, 2].map((column) => Math.max(...all.map((row) => row[column]!.length)));
  const lines = all.map((row) => row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  '));
  return `${lines.join('\n')}\n`;
}
