// Lets worker threads and child processes of the tests load TypeScript sources as they are.
import { register } from 'node:module';
import { isMainThread } from 'node:worker_threads';

const program = process.argv[1] ?? '';

// The hook is a thread of its own, which costs 100 ms of CPU time. Vitest loads sources by itself,
// and a thread that starts from a bundle has none to load.
const isNeeded = isMainThread
  ? !program.includes('/node_modules/vitest/')
  : program.endsWith('.ts') || program.endsWith('/src/threads/thread-entry.js');

if (isNeeded) register('./typescript-hook.mjs', import.meta.url);
