#!/usr/bin/env node
import { EXIT_INTERRUPTED } from './output/exit-code.ts';
import { run } from './run.ts';

const controller = new AbortController();
/** The first signal asks the command to stop. A second one ends the process. */
function interrupt(): void {
  if (controller.signal.aborted) process.exit(EXIT_INTERRUPTED);
  controller.abort();
}
// SIGTERM comes from a service manager, a container runtime or `timeout`.
process.on('SIGINT', interrupt).on('SIGTERM', interrupt);
const { stdout, stderr } = process;
const { signal } = controller;
const stdin = () => process.stdin;
process.exitCode = await run(process.argv.slice(2), { stdout, stderr, stdin, signal });
