import { allZero, crc32c, FormatError, Fields } from './independent-decoder-checks.ts';

/** What must exist according to the lock file. Section "Claim". */
export interface DecodedClaim {
  readonly storeId: Uint8Array;
  readonly number: number;
  readonly lengthBytes: number;
  readonly lastSequence: bigint;
}

interface Sector {
  readonly claim: DecodedClaim;
  readonly generation: bigint;
}

/** The newest claim in a whole lock file; undefined if there is none. */
export function decodeClaim(lockFile: Uint8Array): DecodedClaim | undefined {
  const [first, second] = [4096, 4608].map((offset) => decodeSector(lockFile, offset));
  if (first === undefined || second === undefined) return (first ?? second)?.claim;
  const ahead = (second.generation - first.generation + 2n ** 64n) % 2n ** 64n;
  return ahead > 0n && ahead < 2n ** 63n ? second.claim : first.claim;
}

function decodeSector(lockFile: Uint8Array, offset: number): Sector | undefined {
  const bytes = lockFile.subarray(offset, offset + 512);
  if (bytes.length < 512) return undefined;
  const fields = new Fields(bytes);
  if (fields.hex(0, 8) !== '4c4f4445434c4df1' || fields.u32(8) !== 1) return undefined;
  if (fields.u32(12) !== 0 || !allZero(bytes.subarray(64, 508))) return undefined;
  const seed = Buffer.alloc(33);
  seed.set(bytes.subarray(16, 32));
  seed.writeUInt8(3, 16);
  seed.set(bytes.subarray(32, 40), 17);
  seed.writeBigUInt64LE(BigInt(offset), 25);
  if (crc32c(seed, bytes.subarray(0, 508)) !== fields.u32(508)) return undefined;
  try {
    return {
      claim: {
        storeId: Buffer.from(bytes.subarray(16, 32)),
        number: fields.fileNumber(32),
        lengthBytes: fields.number(40),
        lastSequence: fields.u64(48),
      },
      generation: fields.u64(56),
    };
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}
