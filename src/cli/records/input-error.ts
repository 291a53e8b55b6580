/** Invalid input. Names the line, from 1, but never its content. */
export class InputError extends Error {
  override readonly name: string = 'InputError';
  readonly line: number;

  constructor(line: number, message: string) {
    super(message);
    this.line = line;
  }
}
