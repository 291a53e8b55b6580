import type { BodyDescription, ObjectDetails, ObjectInfo, ObjectMeta } from '../../object-node.ts';
import { BodyDigest } from '../payload/body-digest.ts';
import { type ChecksumAlgorithm, checksumAlgorithm } from '../payload/checksums.ts';
import { turnPace } from '../payload/turn-pace.ts';
import { ProtocolError } from '../base/protocol-error.ts';
import type { S3Call } from '../call/s3-call.ts';
import { isoTime, optionalElement, textElement } from '../xml/xml-writer.ts';
import { openCopySource } from './copy-source.ts';
import { assertKnownOrders, metaOf, quotedEtag } from './object-headers.ts';
import { judgeEarly, writeCondition } from './preconditions.ts';

function directive(call: S3Call, name: string): 'COPY' | 'REPLACE' {
  const text = call.request.header(name) ?? 'COPY';
  if (text === 'COPY' || text === 'REPLACE') return text;
  throw new ProtocolError('InvalidArgument', `Unknown ${name}: ${text}`);
}

/** The metadata of the copy; checksums are computed from its bytes. */
function metaOfCopy(call: S3Call, source: ObjectDetails): ObjectMeta {
  const own = metaOf(call);
  const isReplaced = directive(call, 'x-amz-metadata-directive') === 'REPLACE';
  const areTagsReplaced = directive(call, 'x-amz-tagging-directive') === 'REPLACE';
  const tags = areTagsReplaced ? own.tags : source.meta.tags;
  const headers = isReplaced ? own.headers : source.meta.headers;
  return { headers, ...(tags !== undefined && { tags }) };
}

function algorithmsOf(call: S3Call, { meta }: ObjectDetails): ChecksumAlgorithm[] {
  const named = call.request.header('x-amz-checksum-algorithm');
  if (named !== undefined) {
    const algorithm = checksumAlgorithm(named);
    if (algorithm === undefined)
      throw new ProtocolError('InvalidRequest', 'Checksum algorithm provided is unsupported.');
    return [algorithm];
  }
  return Object.keys(meta.checksums ?? {}).flatMap((name) => checksumAlgorithm(name) ?? []);
}

/** Computes digests of bytes that are copied from one object to another. */
export async function* digested(
  bytes: AsyncIterable<Uint8Array>,
  digest: BodyDigest,
): AsyncGenerator<Uint8Array, void> {
  for await (const piece of bytes) {
    await turnPace.take(piece.length);
    digest.update(piece);
    yield piece;
  }
}

/** The XML of CopyObject and UploadPartCopy. */
export function copyResult(
  object: Pick<ObjectInfo, 'etag' | 'modifiedMs'>,
  checksums: Readonly<Record<string, string>> = {},
): string {
  const sums = Object.entries(checksums).map(([name, value]) =>
    optionalElement(`Checksum${name}`, value),
  );
  return (
    textElement('LastModified', isoTime(object.modifiedMs)) +
    textElement('ETag', quotedEtag(object)) +
    sums.join('')
  );
}

export async function copyObject(call: S3Call): Promise<void> {
  assertKnownOrders(call);
  const condition = writeCondition(call.request);
  if (condition !== undefined) judgeEarly(condition, await call.node.info(call.bucket, call.key));
  const source = await openCopySource(call);
  try {
    const { details } = source;
    const meta = metaOfCopy(call, details);
    const isItself = details.bucket === call.bucket && details.name === call.key;
    if (isItself && directive(call, 'x-amz-metadata-directive') === 'COPY') {
      const text =
        'This copy request is illegal because it is trying to copy an object to itself without ' +
        "changing the object's metadata, storage class, website redirect location or encryption.";
      throw new ProtocolError('InvalidRequest', text);
    }
    const digest = new BodyDigest({ sha256: false, algorithms: algorithmsOf(call, details) });
    let description: BodyDescription | undefined;
    const body = digested(source.body(), digest);
    const put = call.node.put(call.bucket, call.key, body, {
      sizeBytes: details.sizeBytes,
      acknowledge: 'synced',
      describe: async () => {
        const { md5, checksums } = await digest.finish();
        const texts = [...checksums].map(([name, sum]) => [name, sum.toString('base64')] as const);
        description = {
          etag: md5.toString('hex'),
          meta:
            texts.length === 0
              ? meta
              : { ...meta, checksums: Object.fromEntries(texts), checksumType: 'FULL_OBJECT' },
        };
        return description;
      },
      ...(condition !== undefined && { condition }),
    });
    const object = await call.keptAlive(put);
    call.reply.xml('CopyObjectResult', copyResult(object, description?.meta.checksums));
  } finally {
    source.close();
  }
}
