#!/usr/bin/env node
import { run } from './run.ts';

const controller = new AbortController();
// Once: the second Ctrl-C ends the process as it would any other.
process.once('SIGINT', () => controller.abort());
const { stdout, stderr } = process;
const { signal } = controller;
const stdin = () => process.stdin;
process.exitCode = await run(process.argv.slice(2), { stdout, stderr, stdin, signal });
