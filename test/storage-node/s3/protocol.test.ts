import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import {
  DamagedObjectError,
  NoSpaceError,
} from '../../../examples/storage-node/src/node-errors.ts';
import type { ObjectInfo, ObjectReader } from '../../../examples/storage-node/src/object-node.ts';
import type { S3ServerOptions } from '../../../examples/storage-node/src/s3/s3-server.ts';
import { frame } from '../support/framing.ts';
import { MemoryNode } from '../support/memory-node.ts';
import { openWorld, type S3World } from '../support/s3-world.ts';
import {
  answerOf,
  presign,
  send,
  signHeaders,
  type SignedRequest,
} from '../support/signed-request.ts';

async function open(options: Partial<S3ServerOptions> = {}, node = new MemoryNode()) {
  await node.createBucket('bucket');
  const world = await openWorld(options, node);
  onTestFinished(() => world.close());
  const ask = (method: string, target: string, rest: Partial<SignedRequest> = {}) =>
    send(world.url, { method, target, ...rest });
  return { world, node, ask };
}

/** Sends raw bytes and reads until the server closes the connection. */
async function raw(world: S3World, bytes: string): Promise<string> {
  const socket = connect(Number(new URL(world.url).port), '127.0.0.1');
  await once(socket, 'connect');
  socket.write(bytes, 'latin1');
  return text(socket);
}

test('errors have the S3 code and a request id, and no body for HEAD', async () => {
  const { ask } = await open();
  const none = await ask('GET', '/bucket/none');
  expect(none).toMatchObject({ status: 404, code: 'NoSuchKey' });
  expect(none.headers['content-type']).toBe('application/xml');
  expect(none.body).toContain(`<RequestId>${String(none.headers['x-amz-request-id'])}</RequestId>`);
  expect(none.body).toContain('<Resource>/bucket/none</Resource>');
  const head = await ask('HEAD', '/bucket/none');
  expect([head.status, head.body]).toEqual([404, '']);
  const again = await ask('GET', '/bucket/none');
  expect(again.headers['x-amz-request-id']).not.toBe(none.headers['x-amz-request-id']);
});

test.each([
  ['PATCH', '/bucket', 405, 'MethodNotAllowed'],
  ['POST', '/bucket/key', 405, 'MethodNotAllowed'],
  ['POST', '/bucket', 501, 'NotImplemented'],
  ['PUT', '/bucket?versioning=', 501, 'NotImplemented'],
  ['PUT', '/bucket?policy=', 501, 'NotImplemented'],
  ['PUT', '/bucket/key?retention=', 501, 'NotImplemented'],
  ['POST', '/bucket/key?restore=', 501, 'NotImplemented'],
  ['GET', '/bucket?policy=', 404, 'NoSuchBucketPolicy'],
  ['GET', '/bucket?cors=', 404, 'NoSuchCORSConfiguration'],
  ['GET', '/bucket?lifecycle=', 404, 'NoSuchLifecycleConfiguration'],
  ['GET', '/bucket?tagging=', 404, 'NoSuchTagSet'],
  ['GET', '/bucket?encryption=', 404, 'ServerSideEncryptionConfigurationNotFoundError'],
  ['GET', '/bucket?object-lock=', 404, 'ObjectLockConfigurationNotFoundError'],
  ['GET', '/bucket?website=', 404, 'NoSuchWebsiteConfiguration'],
  ['GET', '/bucket?versioning=', 200, undefined],
  ['GET', '/bucket?requestPayment=', 200, undefined],
  ['GET', '/bucket?notification=', 200, undefined],
  ['GET', '/bucket?logging=', 200, undefined],
  ['GET', '/none?versioning=', 404, 'NoSuchBucket'],
  ['GET', '/bucket?max-keys=-1', 400, 'InvalidArgument'],
  ['GET', '/bucket?encoding-type=x', 400, 'InvalidArgument'],
  ['GET', '/bucket?continuation-token=x&list-type=2', 400, 'InvalidArgument'],
  ['GET', '/bucket/key?versionId=7', 404, 'NoSuchVersion'],
  ['PUT', '/ab', 400, 'InvalidBucketName'],
  ['PUT', '/192.168.1.1', 400, 'InvalidBucketName'],
  ['PUT', '/a..b', 400, 'InvalidBucketName'],
  ['PUT', `/${'a'.repeat(64)}`, 400, 'InvalidBucketName'],
  ['PUT', `/bucket/${'k'.repeat(1025)}`, 400, 'KeyTooLongError'],
  ['PUT', '/bucket/x?partNumber=0&uploadId=y', 400, 'InvalidArgument'],
  ['DELETE', '/bucket/x?uploadId=y', 404, 'NoSuchUpload'],
] as const)('%s %s is answered with %i %s', async (method, target, status, code) => {
  const { ask } = await open();
  expect(await ask(method, target)).toMatchObject({ status, code });
});

test('a sub-resource that a method does not have is not taken for the plain operation', async () => {
  const { ask, node } = await open();
  await node.createBucket('empty');
  await ask('PUT', '/bucket/key', { body: 'stays' });
  const refused = async (method: string, path: string, ...keys: string[]): Promise<void> => {
    for (const key of keys) {
      const body = method === 'PUT' ? '<Other/>' : '';
      const answer = await ask(method, `${path}?${key}=`, { body });
      expect(answer, `${method} ${path}?${key}`).toMatchObject({
        status: 501,
        code: 'NotImplemented',
      });
    }
  };
  await refused('DELETE', '/empty', 'metadataTable', 'metadataConfiguration', 'uploads', 'acl');
  await refused('DELETE', '/empty', 'versions', 'location', 'uploadId', 'partNumber');
  expect(node.bucket('empty')).toBeDefined();
  await refused('PUT', '/new', 'abac', 'metadataInventoryTable', 'uploads');
  expect(node.bucket('new')).toBeUndefined();
  await refused('PUT', '/bucket/key', 'attributes', 'uploads', 'encryption', 'ofTheFuture');
  await refused('DELETE', '/bucket/key', 'acl', 'attributes', 'uploads');
  for (const method of ['PUT', 'DELETE']) {
    const part = await ask(method, '/bucket/key?partNumber=1');
    expect(part).toMatchObject({ status: 400, code: 'InvalidArgument' });
  }
  expect((await ask('GET', '/bucket/key')).body).toBe('stays');
  // S3 ignores other parameters; they have a value.
  const put = await ask('PUT', '/bucket/key?colour=blue&x-id=PutObject', { body: 'new' });
  expect(put.status).toBe(200);
});

test('a form is not implemented, whether or not its signature would be right', async () => {
  const { world } = await open();
  const body = new FormData();
  body.set('key', 'a');
  const answer = await fetch(`${world.url}/bucket`, { method: 'POST', body });
  expect(answer.status).toBe(501);
  expect(await answer.text()).toContain('<Code>NotImplemented</Code>');
  await expect.poll(() => world.entries.at(-1)?.operation).toBe('PostObject');
});

test('a page of no parts, and a prefix that XML cannot have, are answered so that clients end', async () => {
  const { ask } = await open();
  const begun = await ask('POST', '/bucket/key?uploads=');
  const uploadId = /<UploadId>(\w+)</.exec(begun.body)![1]!;
  await ask('PUT', `/bucket/key?partNumber=1&uploadId=${uploadId}`, { body: 'x' });
  const none = await ask('GET', `/bucket/key?max-parts=0&uploadId=${uploadId}`);
  expect(none.body).toContain('<IsTruncated>false</IsTruncated>');
  const prefixOf = async (query: string) =>
    /<Prefix>(.*?)<\/Prefix>/s.exec((await ask('GET', `/bucket?${query}`)).body)?.[1];
  expect(await prefixOf('encoding-type=url&prefix=a%01')).toBe('a%01');
  expect(await prefixOf('encoding-type=url&prefix=%EF%BF%BF')).toBe('%EF%BF%BF');
  // Clients do not decode it otherwise.
  expect(await prefixOf('encoding-type=url&prefix=a%20%C3%A9%F0%9F%98%80')).toBe('a é😀');
});

test.each([
  [{ 'x-amz-server-side-encryption': 'AES256' }, 'NotImplemented'],
  [{ 'x-amz-object-lock-mode': 'COMPLIANCE' }, 'NotImplemented'],
  [{ 'x-amz-acl': 'public-read' }, 'AccessControlListNotSupported'],
  [{ 'x-amz-grant-read': 'id=x' }, 'AccessControlListNotSupported'],
  [{ 'x-amz-storage-class': 'GLACIER' }, 'InvalidStorageClass'],
  [{ 'x-amz-meta-a': 'x'.repeat(2049) }, 'MetadataTooLarge'],
  [{ 'x-amz-tagging': Array.from({ length: 11 }, (_, i) => `k${i}=v`).join('&') }, 'InvalidTag'],
  [{ 'x-amz-checksum-crc32': 'bad' }, 'InvalidRequest'],
  [{ 'x-amz-checksum-crc32': 'AAAAAA==', 'x-amz-checksum-sha1': 'x' }, 'InvalidRequest'],
  [{ 'content-md5': 'short' }, 'InvalidDigest'],
  [{ 'content-md5': 'AAAAAAAAAAAAAAAAAAAAAA==' }, 'BadDigest'],
  [{ 'x-amz-expected-bucket-owner': 'another' }, 'AccessDenied'],
])('an unsupported operation is refused and stores nothing: %o', async (headers, code) => {
  const { ask, node } = await open();
  expect((await ask('PUT', '/bucket/key', { headers, body: 'x' })).code).toBe(code);
  expect(await node.info('bucket', 'key')).toBeUndefined();
});

test('only x-amz-content-sha256 selects framing, whatever Content-Encoding says', async () => {
  const { ask } = await open();
  const body = frame([Buffer.from('hello')]);
  const headers = { 'content-encoding': 'aws-chunked,gzip' };
  await ask('PUT', '/bucket/plain', { headers, body });
  const plain = await ask('GET', '/bucket/plain');
  expect([plain.body, plain.headers['content-encoding']]).toEqual([body.toString(), 'gzip']);
  const framed = { 'x-amz-decoded-content-length': '5', 'x-amz-trailer': 'x-amz-checksum-crc32' };
  const contentSha256 = 'STREAMING-UNSIGNED-PAYLOAD-TRAILER';
  const put = (checksum: string) =>
    ask('PUT', '/bucket/framed', {
      headers: framed,
      contentSha256,
      body: frame(
        [Buffer.from('hel'), Buffer.from('lo')],
        `x-amz-checksum-crc32:${checksum}\r\n\r\n`,
      ),
    });
  expect(await put('AAAAAA==')).toMatchObject({ status: 400, code: 'BadDigest' });
  expect(await put('NhCmhg==')).toMatchObject({ status: 200 });
  expect((await ask('GET', '/bucket/framed')).body).toBe('hello');
  expect(
    await ask('PUT', '/bucket/x', { contentSha256, body, headers: { 'x-amz-trailer': 'a' } }),
  ).toMatchObject({ status: 400 });
  expect(await ask('PUT', '/bucket/x', { contentSha256, body })).toMatchObject({
    status: 411,
    code: 'MissingContentLength',
  });
  expect(await ask('PUT', '/bucket/x', { contentSha256: 'STREAMING-X', body })).toMatchObject({
    status: 501,
  });
});

test('a body that is truncated or differs from its signature never becomes an object', async () => {
  const { ask, world, node } = await open();
  const wrong = await ask('PUT', '/bucket/key', {
    body: 'hello',
    contentSha256: '0'.repeat(64),
  });
  expect(wrong).toMatchObject({ status: 400, code: 'XAmzContentSHA256Mismatch' });
  const asked = { method: 'PUT', target: '/bucket/key', contentSha256: 'UNSIGNED-PAYLOAD' };
  const headers = { ...signHeaders(new URL(world.url).host, asked), 'content-length': '1000000' };
  const outgoing = request(`${world.url}/bucket/key`, { method: 'PUT', headers });
  outgoing.on('error', () => {});
  outgoing.write(Buffer.alloc(300_000));
  await expect.poll(() => world.server.stats.inFlight).toBe(1);
  outgoing.destroy();
  await expect.poll(() => world.entries.at(-1)?.status).toBe(499);
  expect(await node.info('bucket', 'key')).toBeUndefined();
});

test('what a link says of the body binds its holder; a link that says nothing takes any digest', async () => {
  const { world, node } = await open();
  const digest = (body: string): string => createHash('sha256').update(body).digest('hex');
  const put = async (inLink: string | undefined, inHeader: string | undefined, body: string) => {
    const link = presign(new URL(world.url).host, 'PUT', '/bucket/key', 60, inLink);
    const headers: Record<string, string> =
      inHeader === undefined ? {} : { 'x-amz-content-sha256': inHeader };
    const answer = await fetch(world.url + link, { method: 'PUT', body, headers });
    return [answer.status, /<Code>(\w+)<\/Code>/.exec(await answer.text())?.[1]];
  };
  const unsigned = 'UNSIGNED-PAYLOAD';
  const mismatch = [400, 'XAmzContentSHA256Mismatch'];
  for (const inHeader of [undefined, unsigned, digest('b'), digest('a')]) {
    expect(await put(digest('a'), inHeader, 'b'), inHeader).toEqual(mismatch);
  }
  expect(await put(digest('a'), unsigned, 'a')).toEqual(mismatch);
  // Signed chunks need the key, which the holder of a link has not.
  expect(await put('STREAMING-AWS4-HMAC-SHA256-PAYLOAD', unsigned, 'b')).toEqual(mismatch);
  for (const inLink of [undefined, unsigned]) {
    expect(await put(inLink, digest('a'), 'b')).toEqual(mismatch);
  }
  expect(await node.info('bucket', 'key')).toBeUndefined();
  for (const inHeader of [undefined, digest('a'), digest('a').toUpperCase()]) {
    expect(await put(digest('a'), inHeader, 'a'), inHeader).toEqual([200, undefined]);
  }
  for (const inLink of [undefined, unsigned]) {
    expect(await put(inLink, undefined, 'b')).toEqual([200, undefined]);
    expect(await put(inLink, digest('b'), 'b')).toEqual([200, undefined]);
  }
});

/** It is full, and notices that before it reads a body. */
class FullFromTheStart extends MemoryNode {
  override async put(): Promise<ObjectInfo> {
    throw new NoSpaceError(1, 0);
  }
}

test('100 Continue is sent only when the body is wanted; other expectations are ignored', async () => {
  const { world } = await open();
  const full = await open({}, new FullFromTheStart());
  const body = Buffer.alloc(200_000);
  const ask = async (
    target: string,
    expect_: string,
    { url } = world,
  ): Promise<[number, boolean]> => {
    const asked = { method: 'PUT', target, contentSha256: 'UNSIGNED-PAYLOAD' };
    const signed = signHeaders(new URL(url).host, asked);
    const headers = { ...signed, expect: expect_, 'content-length': String(body.length) };
    const outgoing = request(url + target, { method: 'PUT', headers });
    let isContinued = false;
    outgoing.on('continue', () => {
      isContinued = true;
      outgoing.end(body);
    });
    outgoing.flushHeaders();
    if (expect_ !== '100-continue') outgoing.end(body);
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
    const { status } = await answerOf(response);
    outgoing.destroy();
    return [status, isContinued];
  };
  expect(await ask('/bucket/key', '100-continue')).toEqual([200, true]);
  expect(await ask('/none/key', '100-continue')).toEqual([404, false]);
  expect(await ask('/bucket/key', '100-continue', full.world)).toEqual([507, false]);
  expect(await ask('/bucket/key', '200-ok')).toEqual([200, false]);
});

test('a refused client that still sends can read its response', async () => {
  const { ask } = await open();
  const answer = await ask('PUT', '/none/key', {
    body: Buffer.alloc(3_000_000),
    contentSha256: 'UNSIGNED-PAYLOAD',
  });
  expect(answer).toMatchObject({ status: 404, code: 'NoSuchBucket' });
  expect(answer.headers.connection).toBe('close');
});

test('an empty part is answered without a range', async () => {
  const { ask } = await open();
  const begun = await ask('POST', '/bucket/key?uploads=');
  const uploadId = /<UploadId>(\w+)</.exec(begun.body)![1]!;
  const part = await ask('PUT', `/bucket/key?partNumber=1&uploadId=${uploadId}`);
  const etag = String(part.headers.etag);
  const list = `<Part><PartNumber>1</PartNumber><ETag>${etag}</ETag></Part>`;
  const body = `<CompleteMultipartUpload>${list}</CompleteMultipartUpload>`;
  const completed = await ask('POST', `/bucket/key?uploadId=${uploadId}`, { body });
  expect(completed.status).toBe(200);
  for (const method of ['GET', 'HEAD']) {
    const answer = await ask(method, '/bucket/key?partNumber=1');
    expect([answer.status, answer.body]).toEqual([206, '']);
    expect(answer.headers).toMatchObject({ 'content-length': '0', 'x-amz-mp-parts-count': '1' });
    expect(answer.headers).not.toHaveProperty('content-range');
  }
});

/** It has no space left when the first bytes of a body have arrived. */
class FullNode extends MemoryNode {
  override async put(...[, , body]: Parameters<MemoryNode['put']>): Promise<ObjectInfo> {
    let bytes = 0;
    for await (const piece of body) {
      bytes += piece.length;
      if (bytes > 0) break;
    }
    throw new NoSpaceError(bytes, 0);
  }
}

test('a client that sends all of its body before it reads is told that it was refused within it', async () => {
  const { world } = await open({}, new FullNode());
  const { host, port } = new URL(world.url);
  const target = '/bucket/key';
  const contentSha256 = 'UNSIGNED-PAYLOAD';
  const body = Buffer.alloc(6 * 2 ** 20);
  const headers = {
    ...signHeaders(host, { method: 'PUT', target, contentSha256 }),
    'content-length': String(body.length),
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = Buffer.from(`PUT ${target} HTTP/1.1\r\n${lines.join('')}\r\n`);
  const socket = connect(Number(port), '127.0.0.1');
  await once(socket, 'connect');
  socket.on('error', () => {});
  await new Promise<void>((resolve, reject) => {
    socket.write(Buffer.concat([head, body]), (error) => {
      if (error instanceof Error) reject(error);
      else resolve();
    });
  });
  const answer = await text(socket);
  expect(answer).toMatch(/^HTTP\/1\.1 507 /);
  expect(answer).toContain('<Code>InsufficientStorage</Code>');
  await expect
    .poll(() => world.entries.at(-1))
    .toMatchObject({
      status: 507,
      receivedBytes: body.length,
    });
});

test('limits apply to headers, XML, deletes, and the length of an object', async () => {
  const { ask, world } = await open({
    limits: { maxHeaders: 20, maxXmlBytes: 2000, maxDeletes: 3, maxObjectBytes: 1000 },
  });
  const headers = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`h${i}`, 'x']));
  expect(await ask('GET', '/', { headers })).toMatchObject({
    status: 400,
    code: 'RequestHeaderSectionTooLarge',
  });
  expect(await ask('PUT', '/bucket/x', { body: 'x'.repeat(1001) })).toMatchObject({
    status: 400,
    code: 'EntityTooLarge',
  });
  const keys = (count: number): string =>
    `<Delete>${'<Object><Key>a</Key></Object>'.repeat(count)}</Delete>`;
  expect((await ask('POST', '/bucket?delete=', { body: keys(3) })).status).toBe(200);
  expect((await ask('POST', '/bucket?delete=', { body: keys(4) })).code).toBe('MalformedXML');
  expect((await ask('POST', '/bucket?delete=', { body: keys(100) })).code).toBe(
    'MaxMessageLengthExceeded',
  );
  const long = `GET / HTTP/1.1\r\nhost: x\r\na: ${'x'.repeat(40_000)}\r\n\r\n`;
  expect(await raw(world, long)).toMatch(/^HTTP\/1\.1 431 /);
  expect(await raw(world, 'nonsense\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
});

test('limits are validated when the server is created', async () => {
  for (const limits of [{ maxHeaders: 0 }, { maxXmlBytes: 1.5 }, { other: 1 }]) {
    await expect(openWorld({ limits })).rejects.toThrow(RangeError);
  }
  await expect(openWorld({ keys: [] })).rejects.toThrow(RangeError);
});

test("a client that sends slowly is cut off; the node's own time does not count", async () => {
  let nowMs = Date.now();
  const { world } = await open({ monotonicMs: () => nowMs });
  const target = '/bucket/slow';
  const asked = { method: 'PUT', target, contentSha256: 'UNSIGNED-PAYLOAD' };
  const signed = signHeaders(new URL(world.url).host, asked);
  const outgoing = request(world.url + target, {
    method: 'PUT',
    headers: { ...signed, 'content-length': '1000000' },
  });
  outgoing.write('a');
  await expect.poll(() => world.server.stats.inFlight).toBe(1);
  world.server.checkPace();
  let response: IncomingMessage | undefined;
  outgoing.once('response', (given) => (response = given));
  // The server reads the first byte without a timeout; it counts once it waits for the next byte.
  await expect
    .poll(() => {
      nowMs += 70_000;
      world.server.checkPace();
      return response;
    })
    .toBeDefined();
  expect((await answerOf(response!)).code).toBe('RequestTimeout');
});

class DamagedNode extends MemoryNode {
  goodBytes = 0;

  override async open(bucket: string, name: string): Promise<ObjectReader | undefined> {
    const reader = await super.open(bucket, name);
    if (reader === undefined) return undefined;
    const { goodBytes } = this;
    return {
      ...reader,
      async *body() {
        if (goodBytes > 0) yield Buffer.alloc(goodBytes);
        throw new DamagedObjectError(1, 4096, 'the checksum is another');
      },
    };
  }
}

test('damage is an error with its cause in the log; later in the body it breaks the connection', async () => {
  const node = new DamagedNode();
  const { ask, world } = await open({}, node);
  await ask('PUT', '/bucket/key', { body: Buffer.alloc(200_000) });
  const first = await ask('GET', '/bucket/key');
  expect(first).toMatchObject({ status: 500, code: 'InternalError' });
  expect(first.body).not.toContain('checksum');
  expect(first.body).toContain('The stored object is damaged and was not sent.');
  expect(world.entries.at(-1)?.cause).toMatch(/volume 1, byte 4096/);
  expect(world.server.stats.recentErrors).toHaveLength(1);
  node.goodBytes = 100_000;
  await expect(ask('GET', '/bucket/key')).rejects.toThrow(/aborted|hang up/);
  await expect.poll(() => node.openReaders).toBe(0);
  // The head said 206 or 200, but the log and the status page report a failure of the node.
  await expect.poll(() => world.server.stats.recentErrors.length).toBe(2);
  expect(world.entries.at(-1)).toMatchObject({
    status: 500,
    error: 'InternalError',
    cause: expect.stringMatching(/byte 4096/),
  });
});

/** Its writes end when the test says so. */
class SlowNode extends MemoryNode {
  release: (error?: Error) => void = () => {};

  override async put(...args: Parameters<MemoryNode['put']>): Promise<ObjectInfo> {
    const object = await super.put(...args);
    if (args[1] !== 'copy') return object;
    await new Promise<void>((resolve, reject) => {
      this.release = (error) => (error === undefined ? resolve() : reject(error));
    });
    return object;
  }
}

test('a copy that takes long is answered by white space, then by its result or an error', async () => {
  const node = new SlowNode();
  const { ask, world } = await open({ limits: { keepAliveMs: 5 } }, node);
  await ask('PUT', '/bucket/key', { body: 'hello' });
  const headers = { 'x-amz-copy-source': '/bucket/key' };
  /** Lets the node go on once the answer has begun. */
  const copy = async (error?: Error) => {
    const target = '/bucket/copy';
    const signed = signHeaders(new URL(world.url).host, { method: 'PUT', target, headers });
    const asked = request(world.url + target, { method: 'PUT', headers: signed }).end();
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    response.setEncoding('utf8');
    const pieces: string[] = [];
    response.on('data', (piece: string) => {
      pieces.push(piece);
      if (piece.endsWith(' ')) node.release(error);
    });
    await once(response, 'end');
    const body = pieces.join('');
    return { status: response.statusCode, body, code: /<Code>(\w+)<\/Code>/.exec(body)?.[1] };
  };
  const done = await copy();
  expect(done.status).toBe(200);
  expect(done.body).toMatch(
    /^<\?xml version="1.0" encoding="UTF-8"\?>\n +<CopyObjectResult .*<ETag>/,
  );
  const failed = await copy(new Error('the disk is gone'));
  expect(failed).toMatchObject({ status: 200, code: 'InternalError' });
  expect(failed.body).toMatch(/^<\?xml [^>]*>\n +<Error>/);
  await expect.poll(() => world.server.stats.recentErrors.length).toBe(1);
  expect(world.entries.at(-1)).toMatchObject({ status: 500, error: 'InternalError' });
});

test('the access log records who did what', async () => {
  const { ask, world } = await open();
  await ask('PUT', '/bucket/a%20b', { body: 'hello' });
  await expect.poll(() => world.entries.length).toBe(1);
  expect(world.entries[0]).toMatchObject({
    operation: 'PutObject',
    method: 'PUT',
    path: '/bucket/a%20b',
    status: 200,
    accessKeyId: 'AKIDEXAMPLE',
    client: '127.0.0.1',
    receivedBytes: 5,
  });
});

test('a client that disconnects during a response leaves no reader open', async () => {
  const { world, node, ask } = await open();
  await ask('PUT', '/bucket/large', { body: Buffer.alloc(30_000_000) });
  const asked = { method: 'GET', target: '/bucket/large' };
  const headers = signHeaders(new URL(world.url).host, asked);
  const outgoing = request(`${world.url}/bucket/large`, { headers });
  outgoing.end();
  outgoing.on('error', () => {});
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  await once(response, 'readable');
  expect(node.openReaders).toBe(1);
  outgoing.destroy();
  await expect.poll(() => node.openReaders).toBe(0);
});
