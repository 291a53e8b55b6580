import { ProtocolError } from '../base/protocol-error.ts';

/** S3's rules for bucket names. @throws ProtocolError InvalidBucketName */
export function assertBucketName(name: string): void {
  const isGood =
    /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name) &&
    !/\.\.|\.-|-\./.test(name) &&
    !/^\d{1,3}(\.\d{1,3}){3}$/.test(name) &&
    !/^(xn--|sthree-)/.test(name) &&
    !/(-s3alias|--ol-s3)$/.test(name);
  if (!isGood)
    throw new ProtocolError('InvalidBucketName', undefined, { fields: { BucketName: name } });
}
