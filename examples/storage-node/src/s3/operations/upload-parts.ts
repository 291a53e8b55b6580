import type { ByteRange, ObjectInfo, PartInfo, UploadInfo } from '../../object-node.ts';
import { MAX_PARTS } from '../base/limits.ts';
import { BodyDigest } from '../payload/body-digest.ts';
import type { ChecksumAlgorithm } from '../payload/checksums.ts';
import { ProtocolError } from '../base/protocol-error.ts';
import type { S3Call } from '../call/s3-call.ts';
import { parseCopyRange } from './byte-range-header.ts';
import { copyResult, digested } from './copy-object.ts';
import { openCopySource } from './copy-source.ts';
import { assertKnownOrders, checksumHeaders, quotedEtag } from './object-headers.ts';
import { checksumOfUpload } from './upload-checksum.ts';
import { describeBody } from './write-object.ts';

/** @throws ProtocolError NoSuchUpload, NoSuchBucket */
export async function uploadOf(call: S3Call): Promise<UploadInfo> {
  const uploadId = call.request.queryValue('uploadId') ?? '';
  if (call.node.bucket(call.bucket) === undefined) throw new ProtocolError('NoSuchBucket');
  const upload = await call.node.upload(call.bucket, call.key, uploadId);
  if (upload === undefined) {
    throw new ProtocolError('NoSuchUpload', undefined, { fields: { UploadId: uploadId } });
  }
  return upload;
}

function partNumber(call: S3Call): number {
  const text = call.request.queryValue('partNumber') ?? '';
  const number = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (number >= 1 && number <= MAX_PARTS) return number;
  throw new ProtocolError(
    'InvalidArgument',
    `Part number must be an integer between 1 and ${MAX_PARTS}, inclusive`,
  );
}

/** Checksums of a part to compute in addition to the one that comes with it. */
function furtherAlgorithms(
  upload: UploadInfo,
  sent: ChecksumAlgorithm | undefined,
): ChecksumAlgorithm[] {
  const checksum = checksumOfUpload(upload);
  if (checksum === undefined) return [];
  if (sent !== undefined && sent !== checksum.algorithm) {
    const text =
      `Checksum Type mismatch occurred, expected checksum Type: ${checksum.algorithm.toLowerCase()}, ` +
      `actual checksum Type: ${sent.toLowerCase()}`;
    throw new ProtocolError('InvalidRequest', text);
  }
  return [checksum.algorithm];
}

export async function uploadPart(call: S3Call): Promise<void> {
  assertKnownOrders(call);
  const number = partNumber(call);
  const plan = call.payload();
  const upload = await uploadOf(call);
  const body = call.body(plan, furtherAlgorithms(upload, plan.checksum?.algorithm));
  const part = await call.node.putPart(upload.uploadId, number, await body.content(), {
    describe: async () => describeBody(await body.verify(), { headers: {} }),
    ...(body.sizeBytes !== undefined && { sizeBytes: body.sizeBytes }),
  });
  const checksums = part.checksums ?? {};
  call.reply.empty(200, {
    etag: quotedEtag(part),
    ...checksumHeaders({ headers: {}, checksums }),
  });
}

export async function uploadPartCopy(call: S3Call): Promise<void> {
  assertKnownOrders(call);
  const number = partNumber(call);
  const upload = await uploadOf(call);
  const rangeOf = ({ sizeBytes }: ObjectInfo): ByteRange | undefined =>
    parseCopyRange(call.request.header('x-amz-copy-source-range'), sizeBytes);
  const source = await openCopySource(call, rangeOf);
  let part: PartInfo;
  try {
    const { sizeBytes } = source.details;
    const range = rangeOf(source.details);
    const algorithms = furtherAlgorithms(upload, undefined);
    const digest = new BodyDigest({ sha256: false, algorithms });
    const length = range === undefined ? sizeBytes : range.endBytes - range.startBytes;
    if (length > call.settings.limits.maxObjectBytes) throw new ProtocolError('EntityTooLarge');
    const body = digested(source.body(range), digest);
    const put = call.node.putPart(upload.uploadId, number, body, {
      describe: async () => describeBody(await digest.finish(), { headers: {} }),
      sizeBytes: length,
    });
    part = await call.keptAlive(put);
  } finally {
    source.close();
  }
  call.reply.xml('CopyPartResult', copyResult(part, part.checksums));
}
