import { spawn } from 'node:child_process';
import { mkdtempSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const COMMAND = join(ROOT, 'dist', 'cli', 'main.js');

/** One fenced block of a document, and the output that the document shows for it. */
export interface GuideBlock {
  /** First line of the block in the document. */
  readonly line: number;
  readonly language: string;
  readonly text: string;
  /** The text block directly after it, if there is one. */
  readonly printed: string | undefined;
}

export interface BlockOutput {
  readonly text: string;
  readonly exitCode: number | null;
}

const FENCE = /^```(\w*)\n([\s\S]*?)^```$/gm;

/** The blocks of a document that can run: `js` and `cjs` programs, and `sh` blocks. */
export function blocksOf(document: string): GuideBlock[] {
  const blocks = [...document.matchAll(FENCE)].map((match) => ({
    line: document.slice(0, match.index).split('\n').length + 1,
    language: match[1]!,
    text: match[2]!,
    end: match.index + match[0].length,
    start: match.index,
  }));
  return blocks.flatMap(({ line, language, text, end }, i) => {
    if (language !== 'js' && language !== 'cjs' && language !== 'sh') return [];
    const next = blocks[i + 1];
    const follows = next?.language === 'text' && document.slice(end, next.start).trim() === '';
    return [{ line, language, text, printed: follows ? next.text : undefined }];
  });
}

/** A line `…` matches any lines, and `…` in a line matches any characters. */
export function matches(printed: string, expected: string): boolean {
  const pattern = expected
    .split('\n')
    .map((line) =>
      line.trim() === '…' ? '[\\s\\S]*?' : line.split('…').map(escaped).join('[^\\n]*?'),
    )
    .join('\n')
    .replaceAll('\n[\\s\\S]*?\n', '\n(?:[\\s\\S]*?\n)?');
  return new RegExp(`^${pattern}$`).test(printed);
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

/** A folder inside the package, where programs can import it by name. */
export class GuideFolder {
  readonly path: string;

  constructor() {
    mkdirSync(join(ROOT, '.scratch'), { recursive: true });
    this.path = mkdtempSync(join(ROOT, '.scratch', 'guide-'));
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }

  async run(block: GuideBlock): Promise<BlockOutput> {
    if (block.language === 'sh') return this.#runCommands(block.text);
    const file = `block-${block.line}.${block.language === 'cjs' ? 'cjs' : 'mjs'}`;
    writeFileSync(join(this.path, file), block.text);
    return this.#start([file]);
  }

  /** Runs the lines that call `lodestore`. Other lines, such as installation, are not run. */
  async #runCommands(text: string): Promise<BlockOutput> {
    let output: BlockOutput = { text: '', exitCode: 0 };
    for (const line of text.split('\n')) {
      const [, command] = /^npx lodestore ([^#|>]*)/.exec(line) ?? [];
      if (command === undefined) continue;
      const { text: more, exitCode } = await this.#start([COMMAND, ...command.trim().split(/\s+/)]);
      output = { text: output.text + more, exitCode };
    }
    return output;
  }

  #start(args: readonly string[]): Promise<BlockOutput> {
    return new Promise((resolve, reject) => {
      const env = { ...process.env, NODE_OPTIONS: '', NO_COLOR: '1' };
      const child = spawn(process.execPath, args, { cwd: this.path, env });
      let text = '';
      const collect = (bytes: Buffer): void => void (text += bytes.toString());
      child.stdout.on('data', collect);
      child.stderr.on('data', collect);
      child.on('error', reject);
      child.on('close', (exitCode) => resolve({ text, exitCode }));
    });
  }
}

export function readDocument(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}
