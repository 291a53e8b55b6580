import { ProtocolError } from '../base/protocol-error.ts';
import { protocolErrorOf } from '../call/error-mapping.ts';
import type { S3Call } from '../call/s3-call.ts';
import { childText, readXml, type XmlElement } from '../xml/xml-reader.ts';
import { element, optionalElement, textElement } from '../xml/xml-writer.ts';
import { assertNullVersion } from './read-object.ts';
import { deleteUnder } from './write-object.ts';

/** This many concurrent deletes share syncs of the node without filling its queues. */
const AT_ONCE = 64;

/** S3 has six for an object. */
const ELEMENTS_OF_DELETION = 10;

interface Deletion {
  readonly key: string;
  readonly versionId: string | undefined;
  readonly etag: string | undefined;
  readonly modified: string | undefined;
  readonly size: string | undefined;
}

function deletionOf(object: XmlElement): Deletion {
  const key = childText(object, 'Key');
  if (key === undefined || key === '') throw new ProtocolError('MalformedXML');
  return {
    key,
    versionId: childText(object, 'VersionId'),
    etag: childText(object, 'ETag'),
    modified: childText(object, 'LastModifiedTime'),
    size: childText(object, 'Size'),
  };
}

/** The XML of one result. An error of one object is reported and does not stop the others. */
async function deleteOne(call: S3Call, one: Deletion, isQuiet: boolean): Promise<string> {
  const version = optionalElement('VersionId', one.versionId);
  try {
    if (Buffer.byteLength(one.key) > call.settings.limits.maxKeyBytes) {
      throw new ProtocolError('KeyTooLongError');
    }
    assertNullVersion(one.versionId);
    await deleteUnder(call, one.key, one);
    return isQuiet ? '' : element('Deleted', textElement('Key', one.key) + version);
  } catch (error) {
    const told = protocolErrorOf(error);
    if (told.status >= 500) call.failure ??= told;
    const { code, message } = told;
    return element(
      'Error',
      textElement('Key', one.key) +
        version +
        textElement('Code', code) +
        textElement('Message', message),
    );
  }
}

export async function deleteObjects(call: S3Call): Promise<void> {
  const { maxDeletes } = call.settings.limits;
  const mostElements = ELEMENTS_OF_DELETION * (maxDeletes + 1);
  const root = readXml(await call.xmlBody(), 'Delete', mostElements);
  const objects = root.children.get('Object') ?? [];
  if (objects.length === 0 || objects.length > maxDeletes) {
    throw new ProtocolError('MalformedXML');
  }
  const isQuiet = childText(root, 'Quiet')?.trim() === 'true';
  if (call.node.bucket(call.bucket) === undefined) throw new ProtocolError('NoSuchBucket');
  const deletions = objects.map(deletionOf);
  const results: string[] = [];
  for (let at = 0; at < deletions.length; at += AT_ONCE) {
    const some = deletions.slice(at, at + AT_ONCE);
    results.push(...(await Promise.all(some.map((one) => deleteOne(call, one, isQuiet)))));
  }
  call.reply.xml('DeleteResult', results.join(''));
}
