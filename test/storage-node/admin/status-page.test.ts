import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { DeleteObjectCommand, GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { chromium, type Browser, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type AdminServer,
  createAdminServer,
} from '../../../examples/storage-node/src/admin/admin-server.ts';
import { readPageFiles } from '../../../examples/storage-node/src/cli/page-files.ts';
import { type OpenNode, openStorageNode } from '../support/both-nodes.ts';
import { openWorld, type S3World } from '../support/s3-world.ts';

const CHROMIUM = '/usr/bin/chromium';
/** Timeout of a condition on a loaded machine. */
const patience = { timeout: 60_000 };
/** The directory for screenshots; without it, none are taken. */
const PICTURES = process.env['LODESTORE_PICTURES'];

describe.skipIf(!existsSync(CHROMIUM))(
  'the status page in Chromium (skipped: not installed)',
  () => {
    let opened: OpenNode;
    let world: S3World;
    let admin: AdminServer;
    let browser: Browser;
    let url: string;
    beforeAll(async () => {
      const storage = await openStorageNode();
      const { node } = storage;
      opened = storage;
      world = await openWorld({}, node);
      admin = createAdminServer({
        node,
        s3: world.server.stats,
        page: readPageFiles(),
        s3Url: world.url,
      });
      url = await admin.listen();
      await node.createBucket('bucket');
      browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
    });
    afterAll(async () => {
      await browser.close();
      await admin.close();
      await world.close();
      await opened.close();
    });

    const put = (Key: string, bytes: number): Promise<unknown> =>
      world.client.send(
        new PutObjectCommand({ Bucket: 'bucket', Key, Body: Buffer.alloc(bytes, Key) }),
      );
    async function traffic(): Promise<void> {
      await Promise.all(Array.from({ length: 40 }, (_, i) => put(`key ${i}`, 20_000 * i)));
      for (let i = 0; i < 40; i++) {
        const Key = `key ${i}`;
        const { Body } = await world.client.send(new GetObjectCommand({ Bucket: 'bucket', Key }));
        await Body!.transformToByteArray();
        const isOdd = i % 2 === 1;
        if (isOdd) await world.client.send(new DeleteObjectCommand({ Bucket: 'bucket', Key }));
      }
    }
    const tile = (page: Page, name: string): Promise<string | null> =>
      page.locator(`[data-tile="${name}"] b`).textContent();
    const picture = (page: Page, id: string): Promise<string> =>
      page.evaluate(
        (name) =>
          // The page's own objects: this function runs in the browser.
          (
            globalThis as unknown as {
              document: { querySelector(selector: string): { toDataURL(): string } };
            }
          ).document
            .querySelector(`#${name} canvas`)
            .toDataURL(),
        id,
      );
    async function look(page: Page, name: string): Promise<void> {
      if (PICTURES === undefined) return;
      await mkdir(PICTURES, { recursive: true });
      await page.screenshot({ path: `${PICTURES}/${name}.png`, fullPage: true });
    }

    test('charts move, and values equal those of the metrics', async () => {
      const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
      const complaints: string[] = [];
      page.on('pageerror', (error) => complaints.push(error.message));
      page.on('console', (message) => {
        if (message.type() === 'error') complaints.push(message.text());
      });
      await page.goto(url);
      await page.locator('#state.ok').waitFor();
      const before = {
        rates: await picture(page, 'rates'),
        throughput: await picture(page, 'throughput'),
      };
      await traffic();
      await expect.poll(() => tile(page, 'objects'), patience).toBe('20');
      await expect.poll(() => picture(page, 'rates'), patience).not.toBe(before.rates);
      await expect.poll(() => picture(page, 'throughput'), patience).not.toBe(before.throughput);
      const metrics = await (await fetch(`${url}/metrics`)).text();
      const sum = (name: string): number =>
        [...metrics.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\S+)$`, 'gm'))].reduce(
          (total, [, value]) => total + Number(value),
          0,
        );
      expect(sum('lodestore_node_objects')).toBe(20);
      await expect
        .poll(() => tile(page, 'requests'), patience)
        .toBe(sum('lodestore_node_s3_requests_total').toLocaleString('en'));
      const volumes = await page.locator('[data-volume]').count();
      expect(volumes).toBe([...metrics.matchAll(/^lodestore_node_volume_size_bytes/gm)].length);
      const widths = await page
        .locator('[data-volume] .live')
        .evaluateAll((bars) =>
          (bars as unknown as { style: { width: string } }[]).map(({ style }) => style.width),
        );
      expect(widths.some((width) => Number.parseFloat(width) > 0)).toBe(true);
      expect(complaints).toEqual([]);
      await look(page, 'light-wide');
      await page.emulateMedia({ colorScheme: 'dark' });
      await traffic();
      await look(page, 'dark-wide');
      await page.close();
    });

    test.each(['light', 'dark'] as const)(
      'nothing overflows when narrow and %s',
      async (colorScheme) => {
        const page = await browser.newPage({ viewport: { width: 375, height: 800 }, colorScheme });
        await page.goto(url);
        await page.locator('#state.ok').waitFor();
        await page.locator('[data-volume]').first().waitFor();
        const overflow = await page.evaluate(() => {
          const { documentElement } = (
            globalThis as unknown as {
              document: { documentElement: { scrollWidth: number; clientWidth: number } };
            }
          ).document;
          return documentElement.scrollWidth - documentElement.clientWidth;
        });
        await look(page, `${colorScheme}-narrow`);
        expect(overflow).toBeLessThanOrEqual(0);
        await page.close();
      },
    );

    test('a stopped node is shown', async () => {
      const page = await browser.newPage();
      await page.goto(url);
      await page.locator('#state.ok').waitFor();
      await page.route('**/status.json*', (route) => route.abort());
      await page.locator('#state.bad').waitFor();
      expect(await page.locator('#state').textContent()).toMatch(/no answer/);
      await page.close();
    });
  },
);
