/**
 * Takes a picture of every screen and state of the main window, in light and dark and in narrow windows, and runs axe over each.
 * `node dev/preview/pictures.ts FOLDER [part of a picture's name]`: exit 1 when axe finds something serious, text is cut or covered, something
 * cannot be reached or scrolls sideways, or the page complains.
 */
import { once } from 'node:events';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import path from 'node:path';
import AxeBuilder from '@axe-core/playwright';
import react from '@vitejs/plugin-react';
import { type BrowserContext, chromium, type Page } from 'playwright-core';
import { build } from 'vite';
import { scenarios } from './scenarios.ts';
import { noon } from './world.ts';

const root = path.resolve(import.meta.dirname, '../..');
const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.woff2': 'font/woff2',
  '.svg': 'image/svg+xml',
};

const buildPage = async (out: string): Promise<void> => {
  await build({
    configFile: false,
    logLevel: 'warn',
    root: path.join(root, 'src/renderer/main-window'),
    base: './',
    plugins: [react()],
    build: { outDir: path.join(out, 'page'), emptyOutDir: true, reportCompressedSize: false },
  });
  await build({
    configFile: false,
    logLevel: 'warn',
    root: import.meta.dirname,
    build: {
      outDir: path.join(out, 'bridge'),
      reportCompressedSize: false,
      lib: {
        entry: path.join(import.meta.dirname, 'fake-bridge.ts'),
        formats: ['iife'],
        name: 'fakeBridge',
        fileName: () => 'bridge.js',
      },
    },
  });
};

const serve = async (folder: string): Promise<{ url: string; close: () => void }> => {
  const server = createServer(async (request, response) => {
    const asked = new URL(request.url ?? '/', 'http://localhost').pathname;
    const file = path.join(folder, path.normalize(asked === '/' ? '/index.html' : asked));
    try {
      const content = await readFile(file);
      response.writeHead(200, { 'content-type': types[path.extname(file)] ?? 'application/octet-stream' });
      response.end(content);
    } catch {
      response.writeHead(404).end();
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return { url: `http://127.0.0.1:${address.port}/`, close: () => server.close() };
};

const exportTrail = async (page: Page): Promise<void> => {
  await page.getByRole('button', { name: 'Export' }).click();
  await page.getByRole('menuitem', { name: /^JSON Lines/ }).click();
  await page
    .getByRole('status')
    .filter({ hasText: / rows? / })
    .first()
    .waitFor();
};

/** What a person does before the picture is taken. */
const steps: Record<string, (page: Page) => Promise<void>> = {
  '02-instances': async (page) => {
    await page.getByLabel('Search instances').fill('payments');
    await page.waitForTimeout(400);
  },
  '02-nothing-found': async (page) => {
    await page.getByLabel('Search instances').fill('paymnets api');
    await page.waitForTimeout(400);
  },
  '03-request': async (page) => openForm(page),
  '03-group': async (page) => openForm(page),
  '03-at-once': async (page) => openForm(page),
  '03-stopped': async (page) => openForm(page),
  '03-tags': async (page) => openForm(page),
  '03-too-long': async (page) => openForm(page),
  '03-rules-unreachable': async (page) => openForm(page),
  '04-locks': async (page) => {
    await page.getByRole('button', { name: '2 of 3 locks armed' }).first().click();
  },
  '05-live': async (page) => {
    await page.getByRole('button', { name: 'Live access that you may end' }).click();
    await page.getByRole('table', { name: 'Live access' }).waitFor();
  },
  '10-admin': async (page) => {
    await page.getByRole('table', { name: 'Live access' }).waitFor();
  },
  '06-exporting': exportTrail,
  '06-exported': exportTrail,
  '10-pulling': async (page) => {
    await page.getByRole('combobox', { name: 'Person' }).fill('Kofi');
    await page.getByRole('option', { name: /Kofi Vance/ }).click();
    await page.getByLabel('Why').fill('Laptop reported stolen, INC-114.');
    await page.getByLabel('Type Kofi Vance to be sure').fill('Kofi Vance');
    await page.getByRole('button', { name: 'End 3 grants and 5 sessions' }).waitFor();
  },
  '10-found': async (page) => {
    await page.getByText('AWSReservedSSO_Admin').scrollIntoViewIfNeeded();
  },
  '10-end-session': async (page) => {
    await page.getByRole('button', { name: 'End this session' }).click();
    await page.getByLabel('Why').last().fill('Sessions go through the app here.');
  },
  '05-stopping': async (page) => {
    const stop = page.getByRole('button', { name: /^Stop all access of/ });
    // In a narrow window the list stands before the card.
    if (!(await stop.isVisible()))
      await page
        .getByRole('button', { name: /payments-ledger-db-1/ })
        .first()
        .click();
    await stop.click();
    await page.getByText('This ends').waitFor();
  },
  '10-lifting': async (page) => {
    await page.getByRole('button', { name: 'Show receipts' }).first().click();
    await page.getByRole('button', { name: 'Lift', exact: true }).first().click();
    await page.getByRole('button', { name: 'Lift it' }).waitFor();
  },
  '04-end-dialog': async (page) => {
    await page.getByRole('button', { name: 'End', exact: true }).first().click();
  },
  '05-approve-less': async (page) => {
    await page.getByRole('button', { name: 'Approve less' }).click();
    await page.getByRole('radio', { name: '30 min' }).click();
    await page.getByRole('checkbox', { name: /^payments-api-1/ }).uncheck();
    await page.getByRole('checkbox', { name: /^payments-api-2/ }).uncheck();
    await page.getByLabel('Say why').fill('Two proxies are enough to see whether the reload works.');
  },
  '05-deny': async (page) => {
    await page.getByRole('button', { name: 'Deny' }).click();
  },
  '05-too-late': async (page) => {
    await page.waitForTimeout(1200);
    await page.getByRole('button', { name: 'Approve 2 h' }).click();
  },
  '09-palette': async (page) => {
    await page.keyboard.press('Control+k');
    await page.getByRole('textbox', { name: 'Search or do' }).fill('pay');
    await page.waitForTimeout(500);
  },
};

const openForm = async (page: Page): Promise<void> => {
  if (await page.getByRole('heading', { name: 'Request access' }).isVisible()) return;
  await page.keyboard.press('Control+n');
};

/** `text`: how large the letters are, in % of the usual size, as a person sets it without zooming the page. */
type View = { name: string; width: number; height: number; scheme: 'light' | 'dark'; only?: RegExp; text?: number };
const views: View[] = [
  { name: 'light', width: 1280, height: 800, scheme: 'light' },
  { name: 'dark', width: 1280, height: 800, scheme: 'dark' },
  {
    name: '960',
    width: 960,
    height: 640,
    scheme: 'light',
    only: /^0[2-6]-(instances|request|my-access|approvals|story)$/,
  },
  // 200 % zoom of a window of 1280 is a page of 640.
  { name: 'zoom-200', width: 640, height: 800, scheme: 'light' },
  // The same of a window of 1280 x 800.
  { name: 'zoom-200-low', width: 640, height: 400, scheme: 'light', only: /^03-/ },
  { name: 'text-200', width: 1280, height: 800, scheme: 'light', text: 200 },
  { name: 'text-200-960', width: 960, height: 640, scheme: 'dark', text: 200 },
];

type Finding = { picture: string; what: string };

const picture = async (
  context: BrowserContext,
  at: { url: string; scenario: string; file: string; text: number },
): Promise<Finding[]> => {
  const findings: Finding[] = [];
  const page = await context.newPage();
  const found = (what: string): number => findings.push({ picture: path.basename(at.file), what });
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') found(`console: ${message.text().slice(0, 300)}`);
  });
  page.on('pageerror', (error) => found(`page: ${error.message}`));
  await page.addInitScript(`window.name = ${JSON.stringify(at.scenario)};`);
  await page.addInitScript({ path: path.join(path.dirname(at.file), '.build/bridge/bridge.js') });
  await page.addInitScript({ path: path.join(import.meta.dirname, 'layout-check.js') });
  await page.addInitScript(
    `document.addEventListener('readystatechange', () => { document.documentElement.style.fontSize = '${at.text}%'; }, { once: true });`,
  );
  await page.clock.setFixedTime(noon);
  await page.goto(at.url);
  await page.waitForTimeout(500);
  try {
    await steps[at.scenario]?.(page);
  } catch (error) {
    found(`step: ${error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)}`);
  }
  await page.waitForTimeout(450);
  await page.screenshot({ path: at.file });
  const problems = await page.evaluate('layoutProblems()');
  if (!Array.isArray(problems)) throw new Error('the layout check gave no list');
  for (const problem of problems) found(`layout: ${problem}`);
  // Larger letters change no role and no colour.
  const { violations } = at.text !== 100 ? { violations: [] } : await new AxeBuilder({ page }).analyze();
  for (const violation of violations) {
    if (violation.impact !== 'serious' && violation.impact !== 'critical') continue;
    found(`axe ${violation.id}: ${violation.nodes.map((node) => node.html.slice(0, 160)).join(' | ')}`);
  }
  await page.close();
  return findings;
};

const [folder, wanted = ''] = process.argv.slice(2);
if (folder === undefined) throw new Error('name a folder for the pictures');
const out = path.resolve(folder);
await mkdir(out, { recursive: true });
await rm(path.join(out, '.build'), { recursive: true, force: true });
await buildPage(path.join(out, '.build'));
const server = await serve(path.join(out, '.build/page'));
const browser = await chromium.launch({
  executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
  args: [
    '--no-sandbox',
    '--test-type',
    '--disable-background-networking',
    '--no-first-run',
    '--disable-component-update',
    '--disable-sync',
  ],
});
const findings: Finding[] = [];
let pictures = 0;
for (const view of views) {
  const due = Object.keys(scenarios).filter(
    (scenario) => `${scenario}-${view.name}`.includes(wanted) && (view.only === undefined || view.only.test(scenario)),
  );
  // A context each: the clock that stands still is one of its context.
  const takeAll = async (): Promise<void> => {
    const context = await browser.newContext({
      viewport: { width: view.width, height: view.height },
      colorScheme: view.scheme,
      timezoneId: 'Europe/Berlin',
      locale: 'en-GB',
      reducedMotion: 'reduce',
    });
    for (let scenario = due.shift(); scenario !== undefined; scenario = due.shift()) {
      const file = path.join(out, `${scenario}-${view.name}.png`);
      const found = await picture(context, { url: server.url, scenario, file, text: view.text ?? 100 });
      for (const finding of found) console.log(`${finding.picture}: ${finding.what}`);
      findings.push(...found);
      pictures += 1;
    }
    await context.close();
  };
  await Promise.all([takeAll(), takeAll(), takeAll()]);
}
await browser.close();
server.close();
console.log(`${pictures} pictures in ${out}, ${findings.length} findings`);
process.exitCode = findings.length === 0 ? 0 : 1;
