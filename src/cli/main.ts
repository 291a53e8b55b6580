#!/usr/bin/env node
import { EXIT_INTERRUPTED } from './output/exit-code.ts';
import { run } from './run.ts';

const controller = new AbortController();
// The first signal asks the command to stop. A second one ends the process.
process.on('SIGINT', () => {
  if (controller.signal.aborted) process.exit(EXIT_INTERRUPTED);
  controller.abort();
});
const { stdout, stderr } = process;
const { signal } = controller;
const stdin = () => process.stdin;
process.exitCode = await run(process.argv.slice(2), { stdout, stderr, stdin, signal });
