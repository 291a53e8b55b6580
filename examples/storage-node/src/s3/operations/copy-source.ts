import type { ByteRange, ObjectInfo, ObjectReader } from '../../object-node.ts';
import { uriDecode } from '../auth/uri-text.ts';
import { ProtocolError } from '../base/protocol-error.ts';
import type { S3Call } from '../call/s3-call.ts';
import { judgeCopySource } from './preconditions.ts';
import { assertNullVersion } from './read-object.ts';

export interface CopySource {
  readonly bucket: string;
  readonly key: string;
}

/** `[/]BUCKET/KEY[?versionId=null]`, percent-encoded. */
export function parseCopySource(text: string): CopySource {
  const [source = '', version] = text.split(/\?versionId=/);
  const path = uriDecode(source).replace(/^\//, '');
  const slash = path.indexOf('/');
  if (slash < 1 || slash === path.length - 1) {
    throw new ProtocolError(
      'InvalidArgument',
      'Copy Source must mention the source bucket and key: sourcebucket/sourcekey',
    );
  }
  assertNullVersion(version);
  return { bucket: path.slice(0, slash), key: path.slice(slash + 1) };
}

/**
 * Opens the source object of a copy request; the caller closes it. `rangeOf`: what is copied of it,
 * by default all.
 *
 * @throws ProtocolError, and what `rangeOf` throws
 */
export async function openCopySource(
  call: S3Call,
  rangeOf: (source: ObjectInfo) => ByteRange | undefined = () => undefined,
): Promise<ObjectReader> {
  // Received as Latin-1; names are UTF-8.
  const header = call.request.header('x-amz-copy-source') ?? '';
  const { bucket, key } = parseCopySource(Buffer.from(header, 'latin1').toString('utf8'));
  const owner = call.request.header('x-amz-source-expected-bucket-owner');
  if (owner !== undefined && owner !== call.settings.owner.id) {
    throw new ProtocolError('AccessDenied');
  }
  const wanted = (source: ObjectInfo): ByteRange | undefined => {
    judgeCopySource(call.request, source);
    return rangeOf(source);
  };
  const reader = await call.node.open(bucket, key, { wanted });
  if (reader === undefined) {
    throw new ProtocolError('NoSuchKey', undefined, { fields: { Key: key } });
  }
  try {
    judgeCopySource(call.request, reader.details);
  } catch (error) {
    reader.close();
    throw error;
  }
  return reader;
}
