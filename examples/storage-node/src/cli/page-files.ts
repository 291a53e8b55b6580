import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { PageFile } from '../admin/admin-server.ts';

/** At the same relative path from `src` and from `dist`. */
const PAGE = new URL('../../page/', import.meta.url);

/** The files of the status page, including uPlot: none is loaded from the network. */
export function readPageFiles(): ReadonlyMap<string, PageFile> {
  const { resolve } = createRequire(import.meta.url);
  const own = (name: string): Uint8Array => readFileSync(new URL(name, PAGE));
  const uplot = (name: string): Uint8Array => readFileSync(resolve(`uplot/dist/${name}`));
  const [html, css, script] = ['text/html; charset=utf-8', 'text/css', 'text/javascript'];
  return new Map([
    ['/', { contentType: html, bytes: own('index.html') }],
    ['/status.css', { contentType: css, bytes: own('status.css') }],
    ['/status.js', { contentType: script, bytes: own('status.js') }],
    ['/uplot.css', { contentType: css, bytes: uplot('uPlot.min.css') }],
    ['/uplot.js', { contentType: script, bytes: uplot('uPlot.esm.js') }],
  ]);
}
