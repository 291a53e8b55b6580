/** The package ships no types. */
declare module 'fs-native-extensions' {
  /** False when another open file description holds the range. Throws any other system error. */
  export function tryLock(descriptor: number, offset: number, lengthBytes: number): boolean;
}
