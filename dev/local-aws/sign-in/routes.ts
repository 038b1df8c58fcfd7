/** The unsigned half of local-aws over HTTP: OIDC and portal as the SDK speaks them, and the pages of the browser. */
import { randomBytes } from 'node:crypto';
import type { Faults } from '../faults.ts';
import { isFromForeignPage, isMeantForUs } from '../local-request.ts';
import { AwsError, type AwsRequest, type AwsResponse, type UnsignedRoute } from '../service.ts';
import type { World } from '../world.ts';
import { mayRedirectTo, type Oidc, OidcError } from './oidc.ts';
import { consentPage, messagePage } from './pages.ts';
import type { Portal } from './portal.ts';
import type { Lifetimes, SignInState } from './sign-in-state.ts';

const html = (status: number, body: string): AwsResponse => ({
  status,
  headers: {
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-store',
    'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    // Not no-referrer: with that a browser sends `Origin: null` with our own forms.
    'referrer-policy': 'same-origin',
  },
  body,
});

const json = (status: number, body: unknown, headers: Record<string, string> = {}): AwsResponse => ({
  status,
  headers: { 'content-type': 'application/json', 'cache-control': 'no-store', ...headers },
  body: JSON.stringify(body),
});

/** REST JSON errors: the name in `x-amzn-errortype`; OIDC adds OAuth's `error` (aws-facts 1.4, 1.8). */
const errorAnswer = (error: AwsError): AwsResponse => {
  const headers = { 'x-amzn-errortype': error.code, 'x-amzn-requestid': randomBytes(16).toString('hex') };
  return error instanceof OidcError
    ? json(error.status, { error: error.error, error_description: error.message }, headers)
    : json(error.status, { message: error.message, __type: error.code }, headers);
};

/** The body's JSON; undefined, which no schema takes, when it is none. */
const parseBody = (request: AwsRequest): unknown => {
  try {
    return JSON.parse(request.body.toString('utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
};

/** This server as the client called it. */
const endpointOf = (request: AwsRequest): string => `http://${request.headers['host'] ?? '127.0.0.1'}`;

/** What the authorize page needs of its query; the names are AWS's (`scopes`, not `scope`). */
const authorizeFields = [
  'response_type',
  'client_id',
  'redirect_uri',
  'state',
  'code_challenge_method',
  'code_challenge',
  'scopes',
];

export const signInRoutes = (options: {
  world: World;
  state: SignInState;
  oidc: Oidc;
  portal: Portal;
  faults: Faults;
  lifetimes: () => Lifetimes;
  now: () => Date;
}): UnsignedRoute[] => {
  const { world, state, oidc, portal, faults } = options;
  const nowMs = () => options.now().getTime();

  type Operation = (request: AwsRequest, bearer: string | undefined) => unknown;
  const operation = (
    service: string,
    where: [method: string, path: string, name: string],
    run: Operation,
  ): UnsignedRoute => {
    const [method, path, name] = where;
    return {
      match: (request) => request.method === method && request.path === path,
      async handle(request) {
        try {
          if (!isMeantForUs(request))
            throw new AwsError('ForbiddenException', 'Only for programs on this machine.', 403);
          await faults.beforeCall({ service, operation: name, accountId: '', region: world.organisation.region });
          return json(200, run(request, request.headers['x-amz-sso_bearer_token']));
        } catch (error) {
          if (error instanceof AwsError) return errorAnswer(error);
          throw error;
        }
      },
    };
  };

  /** The person of a submitted form, or what is wrong with them. */
  const personOf = (form: URLSearchParams) => {
    const wanted = (form.get('user_name') ?? '').trim().toLowerCase();
    const person = world.people.find((one) => one.userName.toLowerCase() === wanted);
    if (!person) return { problem: 'There is no such person. Choose who you are.' };
    return person.enabled ? { person } : { problem: `${person.displayName} is disabled and cannot sign in.` };
  };

  const authorize = (request: AwsRequest): AwsResponse => {
    const form = request.method === 'POST' ? new URLSearchParams(request.body.toString('utf8')) : request.query;
    const field = (name: string) => form.get(name) ?? '';
    const client = state.clients.get(field('client_id'));
    // Errors about client and address are told here, never sent to an address that may be somebody else's.
    if (!client || client.expiresAtMs <= nowMs()) {
      return html(400, messagePage('This link is not valid', 'The application is not registered, or no longer.'));
    }
    const redirectUri = field('redirect_uri');
    if (!mayRedirectTo(client, redirectUri)) {
      return html(
        400,
        messagePage(
          'This link is not valid',
          'The application asked to be answered at an address it did not register.',
        ),
      );
    }
    const back = (answer: Record<string, string>): AwsResponse => {
      const target = new URL(redirectUri);
      const sent = form.has('state') ? { ...answer, state: field('state') } : answer;
      target.search = new URLSearchParams(sent).toString();
      return {
        status: 302,
        headers: { location: target.href, 'cache-control': 'no-store', 'referrer-policy': 'no-referrer' },
        body: '',
      };
    };
    const good =
      field('response_type') === 'code' &&
      field('code_challenge_method') === 'S256' &&
      /^[A-Za-z0-9_-]{43}$/.test(field('code_challenge')) &&
      client.grantTypes.includes('authorization_code');
    if (!good) return back({ error: 'invalid_request', error_description: 'An S256 code challenge is needed' });
    const ask = (status: number, problem?: string): AwsResponse =>
      html(
        status,
        consentPage({
          world,
          clientName: client.clientName,
          action: '/authorize',
          hidden: Object.fromEntries(
            authorizeFields.filter((name) => form.has(name)).map((name) => [name, field(name)]),
          ),
          ...(problem === undefined ? {} : { problem }),
        }),
      );
    if (request.method === 'GET') return ask(200);
    if (field('decision') === 'deny')
      return back({ error: 'access_denied', error_description: 'The user denied the request' });
    const { person, problem } = personOf(form);
    if (person === undefined || field('decision') !== 'allow') return ask(403, problem ?? 'Allow or deny.');
    const code = randomBytes(32).toString('base64url');
    state.codes.set(code, {
      code,
      clientId: client.clientId,
      redirectUri,
      challenge: field('code_challenge'),
      personId: person.id,
      expiresAtMs: nowMs() + options.lifetimes().codeSeconds * 1000,
    });
    return back({ code });
  };

  const device = (request: AwsRequest): AwsResponse => {
    const form = request.method === 'POST' ? new URLSearchParams(request.body.toString('utf8')) : request.query;
    const userCode = (form.get('user_code') ?? '').trim().toUpperCase();
    const found = [...state.devices.values()].find((one) => one.userCode === userCode && one.expiresAtMs > nowMs());
    const ask = (status: number, problem?: string): AwsResponse =>
      html(
        status,
        consentPage({
          world,
          clientName: (found && state.clients.get(found.clientId)?.clientName) ?? null,
          action: '/device',
          hidden: {},
          userCode,
          ...(problem === undefined ? {} : { problem }),
        }),
      );
    if (request.method === 'GET') return ask(200);
    if (found?.answer.kind !== 'pending') return ask(400, 'This code is not known, used up or too old.');
    if (form.get('decision') === 'deny') {
      found.answer = { kind: 'denied' };
      return html(200, messagePage('Denied', 'The device gets nothing. You can close this page.'));
    }
    const { person, problem } = personOf(form);
    if (person === undefined || form.get('decision') !== 'allow') return ask(403, problem ?? 'Allow or deny.');
    found.answer = { kind: 'allowed', personId: person.id };
    return html(
      200,
      messagePage('Signed in', `The device acts for ${person.displayName} now. You can close this page.`),
    );
  };

  const browserPage = (path: string, show: (request: AwsRequest) => AwsResponse): UnsignedRoute => ({
    match: (request) => request.path === path && (request.method === 'GET' || request.method === 'POST'),
    handle: (request) =>
      Promise.resolve(
        !isMeantForUs(request) || (request.method === 'POST' && isFromForeignPage(request))
          ? html(403, messagePage('Not from here', 'This form was sent by another site.'))
          : show(request),
      ),
  });

  return [
    operation('sso-oidc', ['POST', '/client/register', 'RegisterClient'], (request) =>
      oidc.registerClient(parseBody(request), endpointOf(request)),
    ),
    operation('sso-oidc', ['POST', '/device_authorization', 'StartDeviceAuthorization'], (request) =>
      oidc.startDeviceAuthorization(parseBody(request), endpointOf(request)),
    ),
    operation('sso-oidc', ['POST', '/token', 'CreateToken'], (request) => oidc.createToken(parseBody(request))),
    operation('sso', ['GET', '/assignment/accounts', 'ListAccounts'], ({ query }, bearer) =>
      portal.listAccounts(bearer, query),
    ),
    operation('sso', ['GET', '/assignment/roles', 'ListAccountRoles'], ({ query }, bearer) =>
      portal.listAccountRoles(bearer, query),
    ),
    operation('sso', ['GET', '/federation/credentials', 'GetRoleCredentials'], ({ query }, bearer) =>
      portal.getRoleCredentials(bearer, query),
    ),
    operation('sso', ['POST', '/logout', 'Logout'], (_request, bearer) => portal.logout(bearer)),
    browserPage('/authorize', authorize),
    browserPage('/device', device),
  ];
};
