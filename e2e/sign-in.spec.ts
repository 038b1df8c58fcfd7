import http from 'node:http';
import { expect } from '@playwright/test';
import { answerBrowser } from '../dev/driver/person.ts';
import { test } from './stack-fixture.ts';

type Raw = { status: number; headers: http.IncomingHttpHeaders; body: string };

/** A request as any program on the machine can send it, nothing added and nothing followed. */
const rawGet = (port: number, path: string, host = `127.0.0.1:${port}`): Promise<Raw> =>
  new Promise((resolve, reject) => {
    const request = http.get({ host: '127.0.0.1', port, path, headers: { host }, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk;
      });
      response.once('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
    });
    request.once('error', reject);
  });

/** Where the browser is to come back to, out of the address that the app opened. */
const callbackOf = (url: string): { port: number; path: string; state: string } => {
  const { searchParams } = new URL(url);
  const redirect = new URL(searchParams.get('redirect_uri') ?? '');
  return { port: Number(redirect.port), path: redirect.pathname, state: searchParams.get('state') ?? '' };
};

const expectFixedPage = (answer: Raw): void => {
  expect(answer.body).toMatch(/^<!doctype html>/);
  expect(answer.body).not.toMatch(/<script|attacker|alert/i);
  expect(answer.headers['cache-control']).toBe('no-store');
  expect(answer.headers['content-security-policy']).toContain("default-src 'none'");
  expect(answer.headers.location).toBeUndefined();
};

test('the first sign-in: a no on the page is told in clear words, and the next try gets in', async ({
  person,
  systemBrowser,
  picture,
}) => {
  const elin = await person('Elin Strand', { signIn: false });
  const { window } = elin;
  const go = window.getByRole('button', { name: 'Continue in the browser' });

  await expect(window.getByRole('heading', { name: 'Sign in to Harborline' })).toBeVisible();
  await expect(window.getByText('Your admin has set the organisation.')).toBeVisible();
  await picture(window, 'first');
  await go.click();
  await expect(window.getByRole('heading', { name: 'Waiting for your browser' })).toBeVisible();
  await picture(window, 'waiting');
  const page = await answerBrowser(systemBrowser, {
    url: await elin.openedOutside(),
    displayName: 'Elin Strand',
    answer: 'Deny',
  });
  expect(page).toBe('Not signed in');
  await expect(window.getByRole('alert')).toContainText('The sign-in was turned down in the browser.');
  await picture(window, 'turned-down');

  await elin.signIn(systemBrowser, 'Elin Strand');
  await expect(window.getByRole('heading', { name: 'Instances', level: 1 })).toBeVisible();
  await expect(window.getByRole('row', { name: /payments-api-s1/ })).toBeVisible();
  // Only what the rules let her ask for: nothing of the other teams.
  await expect(window.getByRole('row', { name: /search-index|edge-proxy/ })).toHaveCount(0);
  await expect(window.getByRole('navigation', { name: 'Places' })).toContainText('Elin Strand');
  await picture(window, 'signed-in');
});

test('APP-01 raw requests to the callback port change nothing, reflect nothing and end nothing', async ({
  person,
  systemBrowser,
}) => {
  const elin = await person('Elin Strand', { signIn: false });
  const { window } = elin;
  await window.getByRole('button', { name: 'Continue in the browser' }).click();
  const url = await elin.openedOutside();
  const { port, path, state } = callbackOf(url);
  expect(state.length).toBeGreaterThanOrEqual(32);
  const script = encodeURIComponent('<script>alert(1)</script>');
  const wrong: Array<[number, string, string?]> = [
    [400, path],
    [400, `${path}?code=attacker`],
    [400, `${path}?code=attacker&state=attacker`],
    [400, `${path}?code=attacker&state=${state.slice(0, -1)}`],
    [400, `${path}?error=${script}&error_description=${script}&state=${script}`],
    [404, `/?code=attacker&state=${state}`],
    [404, `${path}/attacker?code=attacker&state=${state}`],
    [404, `/${script}`],
    [404, `${path}?code=attacker&state=${state}`, 'attacker.example'],
  ];
  for (const [status, target, host] of wrong) {
    const answer = await rawGet(port, target, host);
    expect(answer.status, target).toBe(status);
    expectFixedPage(answer);
  }
  await expect(window.getByRole('heading', { name: 'Waiting for your browser' })).toBeVisible();

  const page = await answerBrowser(systemBrowser, { url, displayName: 'Elin Strand', answer: 'Allow access' });
  expect(page).toBe('You are signed in');
  await expect(window.getByRole('navigation', { name: 'Places' })).toBeVisible();
  // One success, then nobody listens.
  await expect(rawGet(port, `${path}?code=attacker&state=${state}`)).rejects.toThrow(/ECONNREFUSED/);
});

test('APP-01 an error with markup and the right state ends in a fixed page, and the person can try again', async ({
  person,
  systemBrowser,
}) => {
  const elin = await person('Elin Strand', { signIn: false });
  await elin.window.getByRole('button', { name: 'Continue in the browser' }).click();
  const { port, path, state } = callbackOf(await elin.openedOutside());
  const script = encodeURIComponent('<script>alert(1)</script>');
  const answer = await rawGet(port, `${path}?error=${script}&error_description=${script}&state=${state}`);
  expectFixedPage(answer);
  expect(answer.body).toContain('Not signed in');
  await expect(elin.window.getByRole('alert')).toContainText('The sign-in was turned down in the browser.');
  await expect(elin.window.getByText('alert(1)')).toHaveCount(0);
  await elin.signIn(systemBrowser, 'Elin Strand');
});

const portOf = (server: http.Server): number => {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
};
const listening = (listener: http.RequestListener): Promise<http.Server> =>
  new Promise((resolve) => {
    const server = http.createServer(listener).listen(0, '127.0.0.1', () => resolve(server));
  });
const closed = async (server: http.Server): Promise<void> => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
};

test('a wrong address of the organisation is told where it was typed, and everything typed stays', async ({
  person,
  stack,
  systemBrowser,
  picture,
}) => {
  const elin = await person('Elin Strand', { signIn: false, managed: false });
  const { window } = elin;
  const backend = window.getByRole('textbox', { name: 'Address of the Curfew backend' });
  const startUrl = window.getByRole('textbox', { name: 'Start URL' });
  const region = window.getByRole('textbox', { name: 'Region of the sign-in service' });
  const go = window.getByRole('button', { name: 'Use this organisation' });
  const { organisation } = stack.world;
  await expect(window.getByRole('heading', { name: 'Sign in to your organisation' })).toBeVisible();
  await startUrl.fill(organisation.startUrl);
  await region.fill(organisation.region);

  for (const wrong of ['curfew', 'ftp://curfew.example', 'http://curfew.example']) {
    await backend.fill(wrong);
    await expect(backend).toHaveAccessibleDescription(/An address begins with https:\/\//);
    await expect(go).toBeDisabled();
  }
  await picture(window, 'no-address');

  const stranger = await listening((_request, response) => {
    response.setHeader('content-type', 'text/html');
    response.end('<h1>It works!</h1>');
  });
  const address = `http://127.0.0.1:${portOf(stranger)}`;
  try {
    await test.step('a server that is not Curfew', async () => {
      await backend.fill(address);
      await go.click();
      await expect(backend).toHaveAccessibleDescription(
        new RegExp(`What answers at 127\\.0\\.0\\.1:${portOf(stranger)} is not a Curfew backend\\.`),
      );
      await picture(window, 'stranger');
    });
  } finally {
    await closed(stranger);
  }

  await test.step('nobody listens there', async () => {
    await go.click();
    await expect(backend).toHaveAccessibleDescription(/Nobody answers at 127\.0\.0\.1:\d+\./);
    await picture(window, 'nobody');
  });

  await test.step('a start URL that is not of Identity Center', async () => {
    await backend.fill(stack.backendUrl);
    await startUrl.fill('https://start.evil.example/start');
    await go.click();
    await expect(startUrl).toHaveAccessibleDescription(/This is not an Identity Center address like https:\/\//);
    await picture(window, 'start-url');
  });

  await expect(backend).toHaveValue(stack.backendUrl);
  await expect(region).toHaveValue(organisation.region);
  await startUrl.fill(organisation.startUrl);
  await go.click();
  await expect(window.getByRole('heading', { name: 'Sign in to Harborline' })).toBeVisible();
  await elin.signIn(systemBrowser, 'Elin Strand');
});

test('somebody without Curfew permissions is told what is missing', async ({ person, systemBrowser, picture }) => {
  const sanna = await person('Sanna Virtanen', { signIn: false });
  await sanna.window.getByRole('button', { name: 'Continue in the browser' }).click();
  await answerBrowser(systemBrowser, {
    url: await sanna.openedOutside(),
    displayName: 'Sanna Virtanen',
    answer: 'Allow access',
  });
  await expect(sanna.window.getByRole('alert')).toContainText('An admin must assign CurfewUser to you.', {
    timeout: 30_000,
  });
  await picture(sanna.window, 'no-permission');
  await expect(sanna.window.getByRole('button', { name: 'Continue in the browser' })).toBeVisible();
});
