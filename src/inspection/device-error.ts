/**
 * Node has no names for `EBADMSG` and `EUCLEAN`, by which Linux file systems report bytes that do
 * not match their checksums.
 */
const DEVICE_ERRORS: ReadonlySet<string> = new Set([
  'EIO',
  'ENXIO',
  'ENODEV',
  'EREMOTEIO',
  'EILSEQ',
  'ENODATA',
  'EBADMSG',
  'EUCLEAN',
  'Unknown system error -74',
  'Unknown system error -117',
]);

/** Whether a device or its file system cannot return the bytes. Another attempt does not help. */
export function isDeviceError(code: string | undefined): boolean {
  return code !== undefined && DEVICE_ERRORS.has(code);
}
