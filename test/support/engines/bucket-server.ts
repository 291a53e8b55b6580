import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';

const PAGE = 3;

/**
 * The part of S3 that a checkpoint store needs: one bucket, in memory. Signatures are not checked.
 */
export class BucketServer {
  readonly objects: Map<string, Buffer> = new Map();
  readonly #uploads: Map<string, Buffer[]> = new Map();
  readonly #server: http.Server;
  /** Requests that match fail with status 500. */
  failing: RegExp | undefined;
  requests = 0;
  readonly url: string;

  private constructor(server: http.Server, url: string) {
    this.#server = server;
    this.url = url;
  }

  static async start(): Promise<BucketServer> {
    const server = http.createServer();
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as { port: number };
    const bucket = new BucketServer(server, `http://127.0.0.1:${port}`);
    server.on('request', (request, response) => void bucket.#handle(request, response));
    return bucket;
  }

  get unfinishedUploads(): number {
    return this.#uploads.size;
  }

  async #handle(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    this.requests++;
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    const url = new URL(request.url ?? '/', this.url);
    const body = Buffer.concat(pieces);
    const [status, answer, headers = {}] =
      this.failing?.test(`${request.method} ${request.url}`) === true
        ? ([500, errorXml('InternalError')] as const)
        : this.#answer(request.method ?? '', url, body);
    response.writeHead(status, { 'content-type': 'application/xml', ...headers });
    response.end(answer);
  }

  #answer(
    method: string,
    url: URL,
    body: Buffer,
  ): readonly [number, string | Buffer, Record<string, string>?] {
    const key = decodeURIComponent(url.pathname.split('/').slice(2).join('/'));
    const query = url.searchParams;
    const etag = { etag: `"${createHash('md5').update(body).digest('hex')}"` };
    if (key === '') return this.#list(query);
    const id = query.get('uploadId');
    if (method === 'POST' && query.has('uploads')) {
      const made = randomUUID();
      this.#uploads.set(made, []);
      return [200, `<X><UploadId>${made}</UploadId></X>`];
    }
    if (id !== null)
      return this.#part(method, key, id, Number(query.get('partNumber')), body, etag);
    if (method === 'PUT') {
      this.objects.set(key, body);
      return [200, '', etag];
    }
    if (method === 'DELETE') {
      this.objects.delete(key);
      return [204, ''];
    }
    const found = this.objects.get(key);
    if (found === undefined) return [404, errorXml('NoSuchKey')];
    return [200, found, { 'content-type': 'application/octet-stream' }];
  }

  #part(
    method: string,
    key: string,
    id: string,
    number: number,
    body: Buffer,
    etag: Record<string, string>,
  ): readonly [number, string, Record<string, string>?] {
    const parts = this.#uploads.get(id);
    if (parts === undefined) return [404, errorXml('NoSuchUpload')];
    if (method === 'PUT') {
      parts[number - 1] = body;
      return [200, '', etag];
    }
    this.#uploads.delete(id);
    if (method === 'DELETE') return [204, ''];
    this.objects.set(key, Buffer.concat(parts));
    return [200, `<X><ETag>"x"</ETag></X>`];
  }

  #list(query: URLSearchParams): readonly [number, string] {
    const prefix = query.get('prefix') ?? '';
    const after = query.get('continuation-token') ?? '';
    const all = [...this.objects.keys()].filter((key) => key.startsWith(prefix) && key > after);
    const page = all.sort().slice(0, PAGE);
    const isMore = all.length > PAGE;
    const contents = page.map(
      (key) =>
        `<Contents><Key>${key}</Key><Size>${this.objects.get(key)!.length}</Size></Contents>`,
    );
    const next = isMore ? `<NextContinuationToken>${page.at(-1)}</NextContinuationToken>` : '';
    const rest = `<IsTruncated>${isMore}</IsTruncated>${next}`;
    return [200, `<ListBucketResult>${contents.join('')}${rest}</ListBucketResult>`];
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

function errorXml(code: string): string {
  return `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`;
}
