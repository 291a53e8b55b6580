/** The input of one execution: files by name, and numeric parameters of the decoder. */
export interface FuzzInput {
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly parameters: Readonly<Record<string, number>>;
}

/** The file name for decoders that take bytes. */
export const BYTES = 'bytes';

const NOTHING = new Uint8Array(0);

export function bytesInput(bytes: Uint8Array, parameters: Record<string, number> = {}): FuzzInput {
  return { files: new Map([[BYTES, bytes]]), parameters };
}

export function bytesOf(input: FuzzInput): Uint8Array {
  return input.files.get(BYTES) ?? NOTHING;
}

/** A parameter; 0 if the stored input does not have it. */
export function parameterOf(input: FuzzInput, name: string): number {
  return input.parameters[name] ?? 0;
}

/** An input as text that `parseInput` reads, for the file of a failure. */
export function formatInput(target: string, input: FuzzInput): string {
  const files = Object.fromEntries(
    [...input.files].map(([name, bytes]) => [name, Buffer.from(bytes).toString('base64')]),
  );
  return `${JSON.stringify({ target, parameters: input.parameters, files }, null, 1)}\n`;
}

interface WrittenInput {
  readonly target: string;
  readonly parameters: Record<string, number>;
  readonly files: Record<string, string>;
}

export function parseInput(text: string): { readonly target: string; readonly input: FuzzInput } {
  const { target, parameters, files }: WrittenInput = JSON.parse(text);
  const decoded = Object.entries(files).map(
    ([name, base64]) => [name, new Uint8Array(Buffer.from(base64, 'base64'))] as const,
  );
  return { target, input: { files: new Map(decoded), parameters } };
}
