import type { ObjectMeta, PartInfo, UploadInfo } from '../../object-node.ts';
import {
  combineChecksums,
  compositeChecksum,
  isCombinable,
} from '../payload/checksum-combination.ts';
import { type ChecksumAlgorithm, checksumAlgorithm, startChecksum } from '../payload/checksums.ts';
import { sentChecksums } from '../payload/payload-plan.ts';
import { ProtocolError } from '../base/protocol-error.ts';
import type { S3Call } from '../call/s3-call.ts';

const ALGORITHM = 'x-amz-checksum-algorithm';
const TYPE = 'x-amz-checksum-type';

export type ChecksumType = 'COMPOSITE' | 'FULL_OBJECT';

/** How the checksum of a multipart object is computed. Stored with the upload. */
export interface UploadChecksum {
  readonly algorithm: ChecksumAlgorithm;
  readonly type: ChecksumType;
}

/** The checksum that CreateMultipartUpload requests. @throws ProtocolError InvalidRequest */
export function requestedChecksum(call: S3Call): UploadChecksum | undefined {
  const name = call.request.header(ALGORITHM);
  const given = call.request.header(TYPE)?.toUpperCase();
  if (name === undefined) {
    if (given === undefined) return undefined;
    const text =
      'The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm';
    throw new ProtocolError('InvalidRequest', text);
  }
  const algorithm = checksumAlgorithm(name);
  if (algorithm === undefined) {
    throw new ProtocolError('InvalidRequest', 'Checksum algorithm provided is unsupported.');
  }
  const type = given ?? (algorithm === 'CRC64NVME' ? 'FULL_OBJECT' : 'COMPOSITE');
  const isPossible =
    type === 'FULL_OBJECT'
      ? isCombinable(algorithm)
      : type === 'COMPOSITE' && algorithm !== 'CRC64NVME';
  if (isPossible) return { algorithm, type: type === 'FULL_OBJECT' ? type : 'COMPOSITE' };
  const text = `The ${type} checksum type cannot be used with the ${algorithm} checksum algorithm.`;
  throw new ProtocolError('InvalidRequest', text);
}

/** Headers of a response about an upload, which are also stored with it. */
export function uploadChecksumHeaders(
  checksum: UploadChecksum | undefined,
): Record<string, string> {
  if (checksum === undefined) return {};
  return { [ALGORITHM]: checksum.algorithm, [TYPE]: checksum.type };
}

export function checksumOfUpload({ meta }: UploadInfo): UploadChecksum | undefined {
  const algorithm = checksumAlgorithm(meta.headers[ALGORITHM] ?? '');
  if (algorithm === undefined) return undefined;
  return { algorithm, type: meta.headers[TYPE] === 'FULL_OBJECT' ? 'FULL_OBJECT' : 'COMPOSITE' };
}

/** The metadata that an upload passes to its object: all except how its checksum is computed. */
export function metaOfUpload({ meta }: UploadInfo): ObjectMeta {
  const headers = Object.entries(meta.headers).filter(
    ([name]) => name !== ALGORITHM && name !== TYPE,
  );
  return { ...meta, headers: Object.fromEntries(headers) };
}

async function digestOf(algorithm: ChecksumAlgorithm, bytes: Uint8Array): Promise<Buffer> {
  const running = startChecksum(algorithm);
  running.update(bytes);
  return await running.digest();
}

/** Base64, with `-N` if it is composite; `undefined` if a part has no checksum. */
export async function objectChecksum(
  { algorithm, type }: UploadChecksum,
  parts: readonly PartInfo[],
): Promise<string | undefined> {
  const sums: { sizeBytes: number; checksum: string }[] = [];
  for (const { sizeBytes, checksums } of parts) {
    const checksum = checksums?.[algorithm];
    if (checksum === undefined) return undefined;
    sums.push({ sizeBytes, checksum });
  }
  if (type === 'FULL_OBJECT') return combineChecksums(algorithm, sums);
  return await compositeChecksum((bytes) => digestOf(algorithm, bytes), sums);
}

/** What the checksum of the whole may be, for an algorithm that the upload does not name. */
async function possibleChecksums(
  algorithm: ChecksumAlgorithm,
  parts: readonly PartInfo[],
): Promise<string[]> {
  const types: ChecksumType[] = [
    ...(isCombinable(algorithm) ? (['FULL_OBJECT'] as const) : []),
    ...(algorithm === 'CRC64NVME' ? [] : (['COMPOSITE'] as const)),
  ];
  const values = types.map((type) => objectChecksum({ algorithm, type }, parts));
  return (await Promise.all(values)).filter((value) => value !== undefined);
}

/**
 * Compares the checksums that CompleteMultipartUpload declares. `value`: of the algorithm of the
 * upload.
 *
 * @throws ProtocolError BadDigest; InvalidRequest if there is nothing to compare with
 */
export async function assertObjectChecksum(
  call: S3Call,
  checksum: UploadChecksum | undefined,
  value: string | undefined,
  parts: readonly PartInfo[],
): Promise<void> {
  const type = call.request.header(TYPE)?.toUpperCase();
  if (type !== undefined && checksum !== undefined && type !== checksum.type) {
    const text = `The upload was created using the ${checksum.type} checksum mode. The complete request must use the same checksum mode.`;
    throw new ProtocolError('InvalidRequest', text);
  }
  for (const { algorithm, value: given } of sentChecksums(call.request.headers)) {
    const isOfUpload = algorithm === checksum?.algorithm && value !== undefined;
    const own = isOfUpload ? [value] : await possibleChecksums(algorithm, parts);
    if (own.length === 0) {
      const text = `The parts of the upload have no ${algorithm} to compare yours with.`;
      throw new ProtocolError('InvalidRequest', text);
    }
    if (own.some((one) => given === one || given === one.replace(/-\d+$/, ''))) continue;
    const text = `The ${algorithm} you specified did not match the calculated checksum.`;
    throw new ProtocolError('BadDigest', text);
  }
}
