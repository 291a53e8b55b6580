/** The package ships no types. */
declare module 'fs-native-extensions' {
  /** False when another open file description holds the range. Throws any other system error. */
  export function tryLock(descriptor: number, offset: number, lengthBytes: number): boolean;
  /** Frees the blocks of a range that reads as zeros afterwards; the size stays. */
  export function trim(descriptor: number, offset: number, lengthBytes: number): Promise<void>;
  /** Lets a file have holes; only Windows asks for it. */
  export function sparse(descriptor: number): Promise<void>;
}
