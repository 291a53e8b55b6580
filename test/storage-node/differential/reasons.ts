const IGNORES_CONDITION = 's3rver takes no notice of If-Match and If-Unmodified-Since';
const NO_ETAG = 's3rver sends a 304 without an ETag, which RFC 9110 requires';
const NO_MD5 = 's3rver does not compare Content-MD5';
const KEY_COUNT = 's3rver leaves common prefixes out of KeyCount, S3 counts them';
const OTHER_ETAG =
  's3rver gives an upload in parts the MD5 of its bytes, S3 that of the MD5 of parts';

/**
 * Why s3rver 3.7.1 responds differently, by the name of the request. An entry that does not apply
 * fails.
 */
export const REASONS: Readonly<Record<string, string>> = {
  'get plain, suffix': 's3rver answers a suffix range with the beginning',
  'get plain, range behind the end': 's3rver sends a 416 without Content-Range',
  'get plain, not modified': NO_ETAG,
  'get plain, not modified since': NO_ETAG,
  'get plain, another ETag': IGNORES_CONDITION,
  'get plain, modified since': IGNORES_CONDITION,
  'put wrong': NO_MD5,
  'put short': NO_MD5,
  'list, delimiter': KEY_COUNT,
  'list, prefix and delimiter': KEY_COUNT,
  'list, encoded': 's3rver takes no notice of encoding-type',
  'list, version 1, delimiter, marker': 's3rver lists a common prefix that the marker has passed',
  'list, two keys, version 2': 's3rver makes its tokens by a cipher that OpenSSL 3 does not have',
  'delete tags': 's3rver has no DeleteObjectTagging',
  complete: OTHER_ETAG,
  'head of parts': OTHER_ETAG,
  'get parts, range over two parts': OTHER_ETAG,
  'complete no upload': 's3rver answers 500 to an upload that is not there',
  'delete many, quiet': 's3rver takes no notice of Quiet',
  versioning: 's3rver answers ?versioning by a listing',
  'method that is none': 's3rver answers 404 to a method that it does not have',
};
