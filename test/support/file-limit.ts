import { readFileSync, readdirSync } from 'node:fs';
import type { Reporter, TestModule } from 'vitest/node';

/** Many times the duration of the slowest file on a busy machine. */
const LIMIT_MS = 10 * 60_000;

/**
 * Ends a run in which a file does not end, and names the file. Timeouts of tests and hooks need a
 * turn of the file's event loop, which the loading of a file does not have.
 */
export class FileLimit implements Reporter {
  readonly #timers: Map<string, NodeJS.Timeout> = new Map();

  onTestModuleQueued({ moduleId }: TestModule): void {
    const timer = setTimeout(() => this.#end(moduleId), LIMIT_MS);
    timer.unref();
    this.#timers.set(moduleId, timer);
  }

  onTestModuleEnd({ moduleId }: TestModule): void {
    clearTimeout(this.#timers.get(moduleId));
    this.#timers.delete(moduleId);
  }

  #end(moduleId: string): void {
    const seconds = LIMIT_MS / 1_000;
    process.stderr.write(`\n FAIL  ${moduleId} has not ended within ${seconds} s\n`);
    for (const child of childProcesses()) kill(child);
    process.exit(1);
  }
}

/** Process ids of the workers; none without /proc. */
function childProcesses(): number[] {
  try {
    return readdirSync('/proc/self/task').flatMap((thread) =>
      readFileSync(`/proc/self/task/${thread}/children`, 'utf8')
        .split(' ')
        .filter(Boolean)
        .map(Number),
    );
  } catch {
    return [];
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has just ended.
  }
}
