/** Input that is not as documented. Names the line, from 1, and never what stands in it. */
export class InputError extends Error {
  override readonly name: string = 'InputError';
  readonly line: number;

  constructor(line: number, message: string) {
    super(message);
    this.line = line;
  }
}
