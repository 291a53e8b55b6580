import type {
  ByteRange,
  ObjectDetails,
  ObjectInfo,
  ObjectMeta,
  ObjectReader,
  OpenOptions,
} from '../../object-node.ts';
import { NO_BYTES } from '../../object-node.ts';
import { ProtocolError } from '../base/protocol-error.ts';
import type { ReplyHeaders } from '../call/reply.ts';
import type { S3Call } from '../call/s3-call.ts';
import { parseRange } from './byte-range-header.ts';
import { checksumHeaders, notModifiedHeaders, objectHeaders } from './object-headers.ts';
import { isUnchanged, judgeRead } from './preconditions.ts';

interface Selection {
  readonly range: ByteRange | undefined;
  /** The object whose checksum the response may contain: a range has none. */
  readonly checked: ObjectMeta | undefined;
  readonly headers: ReplyHeaders;
}

/** There are no versions: the only id is `null`. @throws ProtocolError NoSuchVersion */
export function assertNullVersion(versionId: string | undefined): void {
  if (versionId !== undefined && versionId !== 'null') throw new ProtocolError('NoSuchVersion');
}

/** `wanted`: by default no byte of the body. @throws ProtocolError NoSuchKey */
export async function openObject(
  call: S3Call,
  wanted: NonNullable<OpenOptions['wanted']> = () => NO_BYTES,
): Promise<ObjectReader> {
  assertNullVersion(call.request.queryValue('versionId'));
  const reader = await call.node.open(call.bucket, call.key, { wanted });
  if (reader === undefined) {
    throw new ProtocolError('NoSuchKey', undefined, { fields: { Key: call.key } });
  }
  return reader;
}

/** The range of the part number `partNumber`. */
function selectPart(text: string, details: ObjectDetails): Selection {
  const number = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (number < 1 || number > 10_000) {
    throw new ProtocolError('InvalidArgument', 'partNumber must be an integer between 1 and 10000');
  }
  const { parts } = details;
  if (parts === undefined) {
    if (number > 1) throw new ProtocolError('InvalidPartNumber');
    const range = { startBytes: 0, endBytes: details.sizeBytes };
    return { range, checked: details.meta, headers: {} };
  }
  let startBytes = 0;
  for (const part of parts) {
    if (part.number === number) {
      const range = { startBytes, endBytes: startBytes + part.sizeBytes };
      const { checksumType } = details.meta;
      const checked: ObjectMeta = {
        headers: {},
        ...(part.checksums !== undefined && { checksums: part.checksums }),
        ...(checksumType !== undefined && { checksumType }),
      };
      return { range, checked, headers: { 'x-amz-mp-parts-count': parts.length } };
    }
    startBytes += part.sizeBytes;
  }
  throw new ProtocolError('InvalidPartNumber');
}

/** Undefined: the whole object. @throws ProtocolError InvalidRange */
function rangeOf({ request }: S3Call, object: ObjectInfo): ByteRange | undefined {
  const ifRange = request.header('if-range');
  const isWanted = ifRange === undefined || isUnchanged(ifRange, object);
  return parseRange(isWanted ? request.header('range') : undefined, object.sizeBytes);
}

function select(call: S3Call, details: ObjectDetails): Selection {
  const partNumber = call.request.queryValue('partNumber');
  if (partNumber !== undefined) {
    if (call.request.header('range') !== undefined) {
      const text = 'Cannot specify both Range header and partNumber query parameter';
      throw new ProtocolError('InvalidRequest', text);
    }
    return selectPart(partNumber, details);
  }
  const range = rangeOf(call, details);
  return { range, checked: range === undefined ? details.meta : undefined, headers: {} };
}

/** What a GET sends, as far as it is known before the metadata of the object is read. */
function wantedOf(call: S3Call, object: ObjectInfo): ByteRange | undefined {
  return judgeRead(call.request, object) === 'not-modified' ? NO_BYTES : rangeOf(call, object);
}

/** All places of an object up to this size are found faster than the object is opened again. */
const FEW_PLACES_BYTES = 8 * 2 ** 20;

/**
 * Opens an object for one of its parts. Their lengths are in its metadata: a long object is opened
 * for these, then for the bytes of the part. If it was replaced meanwhile, all of it is wanted.
 */
async function openPart(call: S3Call): Promise<ObjectReader> {
  let isShort = false;
  const first = await openObject(call, ({ sizeBytes }) => {
    isShort = sizeBytes <= FEW_PLACES_BYTES;
    return isShort ? undefined : NO_BYTES;
  });
  if (isShort) return first;
  const { details } = first;
  let range: ByteRange | undefined;
  try {
    range =
      judgeRead(call.request, details) === 'not-modified' ? NO_BYTES : select(call, details).range;
  } finally {
    first.close();
  }
  return openObject(call, ({ etag, modifiedMs, sizeBytes }) => {
    const isSame =
      etag === details.etag && modifiedMs === details.modifiedMs && sizeBytes === details.sizeBytes;
    return isSame ? range : undefined;
  });
}

function openToRead(call: S3Call, withBody: boolean): Promise<ObjectReader> {
  if (!withBody) return openObject(call);
  if (call.request.queryValue('partNumber') !== undefined) return openPart(call);
  return openObject(call, (object) => wantedOf(call, object));
}

async function read(call: S3Call, withBody: boolean): Promise<void> {
  const reader = await openToRead(call, withBody);
  try {
    const { details } = reader;
    if (judgeRead(call.request, details) === 'not-modified') {
      call.reply.empty(304, notModifiedHeaders(call, details));
      return;
    }
    const { range, checked, headers: further } = select(call, details);
    const isWhole = range === undefined;
    const lengthBytes = isWhole ? details.sizeBytes : range.endBytes - range.startBytes;
    const wantsChecksum = call.request.header('x-amz-checksum-mode')?.toUpperCase() === 'ENABLED';
    const headers = objectHeaders(call, details);
    if (wantsChecksum && checked !== undefined) Object.assign(headers, checksumHeaders(checked));
    Object.assign(headers, further);
    headers['content-length'] = lengthBytes;
    // No range has the bytes of an empty part.
    if (range !== undefined && lengthBytes > 0) {
      const { startBytes, endBytes } = range;
      headers['content-range'] = `bytes ${startBytes}-${endBytes - 1}/${details.sizeBytes}`;
    }
    const status = isWhole ? 200 : 206;
    if (!withBody || lengthBytes === 0) {
      call.reply.empty(status, headers);
      return;
    }
    const held = reader.heldBody?.(range);
    if (held === undefined) await call.reply.stream(status, headers, reader.body(range));
    else call.reply.bytes(status, headers, held);
  } finally {
    reader.close();
  }
}

export async function getObject(call: S3Call): Promise<void> {
  await read(call, true);
}

export async function headObject(call: S3Call): Promise<void> {
  await read(call, false);
}
