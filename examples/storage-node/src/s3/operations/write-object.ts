import type { BodyDescription, ObjectMeta } from '../../object-node.ts';
import type { VerifiedBody } from '../payload/request-body.ts';
import { ProtocolError } from '../base/protocol-error.ts';
import type { S3Call } from '../call/s3-call.ts';
import { checksumAlgorithm } from '../payload/checksums.ts';
import { assertKnownOrders, checksumHeaders, metaOf, quotedEtag } from './object-headers.ts';
import { judgeEarly, writeCondition } from './preconditions.ts';
import { assertNullVersion } from './read-object.ts';

/** The description of an object from its verified body and what was sent with it. */
export function describeBody(body: VerifiedBody, meta: ObjectMeta): BodyDescription {
  const checksums: Record<string, string> = {};
  for (const [name, bytes] of body.checksums) checksums[name] = bytes.toString('base64');
  const isChecked = body.checksums.size > 0;
  return {
    etag: body.md5.toString('hex'),
    meta: isChecked ? { ...meta, checksums, checksumType: 'FULL_OBJECT' } : meta,
  };
}

export async function putObject(call: S3Call): Promise<void> {
  assertKnownOrders(call);
  const meta = metaOf(call);
  const plan = call.payload();
  const condition = writeCondition(call.request);
  // This also refuses an unknown bucket before the body is sent.
  if (condition !== undefined) judgeEarly(condition, await call.node.info(call.bucket, call.key));
  else if (call.node.bucket(call.bucket) === undefined) throw new ProtocolError('NoSuchBucket');
  const named = checksumAlgorithm(call.request.header('x-amz-sdk-checksum-algorithm') ?? '');
  const body = call.body(plan, named === undefined ? [] : [named]);
  let description: BodyDescription | undefined;
  const object = await call.node.put(call.bucket, call.key, await body.content(), {
    describe: async () => (description = describeBody(await body.verify(), meta)),
    condition,
    sizeBytes: body.sizeBytes,
  });
  const headers = description === undefined ? {} : checksumHeaders(description.meta);
  headers['etag'] = quotedEtag(object);
  call.reply.empty(200, headers);
}

export async function deleteObject(call: S3Call): Promise<void> {
  assertNullVersion(call.request.queryValue('versionId'));
  await deleteUnder(call, call.key, {
    etag: call.request.header('if-match'),
    modified: call.request.header('x-amz-if-match-last-modified-time'),
    size: call.request.header('x-amz-if-match-size'),
  });
  call.reply.empty(204);
}

export interface DeleteConditions {
  readonly etag?: string | undefined;
  readonly modified?: string | undefined;
  readonly size?: string | undefined;
}

/**
 * Deletes one object if it matches the client's conditions. A missing object counts as deleted,
 * whatever the conditions.
 */
export async function deleteUnder(
  call: S3Call,
  key: string,
  { etag, modified, size }: DeleteConditions,
): Promise<void> {
  if (etag === undefined && modified === undefined && size === undefined) {
    await call.node.delete(call.bucket, key);
    return;
  }
  if ((await call.node.info(call.bucket, key)) === undefined) return;
  const bare = etag?.trim().replaceAll('"', '');
  // A number or a date that is none matches nothing.
  const condition = {
    ...(bare !== undefined && { ifMatch: bare === '*' ? ('*' as const) : [bare] }),
    ...(size !== undefined && { ifSizeBytes: Number(size) }),
    ...(modified !== undefined && { ifModifiedSecond: Math.floor(Date.parse(modified) / 1000) }),
  };
  await call.node.delete(call.bucket, key, { condition });
}
