import { ProtocolError } from '../base/protocol-error.ts';
import type { S3Call } from '../call/s3-call.ts';
import { childText, readXml } from '../xml/xml-reader.ts';
import { element, textElement } from '../xml/xml-writer.ts';
import { assertBucket } from './buckets.ts';
import { assertPrivateAcl } from './object-headers.ts';
import { openObject } from './read-object.ts';

/** Everything is private: every access key has all rights. */
function privatePolicy(call: S3Call): string {
  const { id, displayName } = call.settings.owner;
  const who = textElement('ID', id) + textElement('DisplayName', displayName);
  const grantee =
    '<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">' +
    `${who}</Grantee>`;
  const grant = element('Grant', grantee + textElement('Permission', 'FULL_CONTROL'));
  return element('Owner', who) + element('AccessControlList', grant);
}

/** Accepts the existing policy and refuses all others. */
async function assertPrivatePolicy(call: S3Call): Promise<void> {
  assertPrivateAcl(call);
  const xml = await call.xmlBody();
  if (xml.length === 0) return;
  const [list] = readXml(xml, 'AccessControlPolicy').children.get('AccessControlList') ?? [];
  for (const grant of list?.children.get('Grant') ?? []) {
    const [grantee] = grant.children.get('Grantee') ?? [];
    const id = grantee === undefined ? undefined : childText(grantee, 'ID');
    if (id !== call.settings.owner.id || childText(grant, 'Permission') !== 'FULL_CONTROL') {
      throw new ProtocolError('AccessControlListNotSupported');
    }
  }
}

export function getBucketAcl(call: S3Call): void {
  assertBucket(call);
  call.reply.xml('AccessControlPolicy', privatePolicy(call));
}

export async function putBucketAcl(call: S3Call): Promise<void> {
  assertBucket(call);
  await assertPrivatePolicy(call);
  call.reply.empty(200);
}

export async function getObjectAcl(call: S3Call): Promise<void> {
  (await openObject(call)).close();
  call.reply.xml('AccessControlPolicy', privatePolicy(call));
}

export async function putObjectAcl(call: S3Call): Promise<void> {
  (await openObject(call)).close();
  await assertPrivatePolicy(call);
  call.reply.empty(200);
}
