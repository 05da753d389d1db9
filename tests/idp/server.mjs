// A real OAuth2 and OpenID Connect provider on a loopback port, for the tests: see idp.py, which starts it.
//
// Its one argument is JSON, see `Options` there. It prints `issuer URL` when it answers. Beside what it is as a
// provider it has POST /control/rotate (new signing keys; the old ones are gone), and GET /control/requests (how
// often each path was asked for).

import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import Provider, { errors } from 'oidc-provider';

const options = JSON.parse(process.argv[2]);

const SCOPES = 'chat embed rerank usage:read keys:rotate audit:read cohort:admin';

// What a client asks a token for decides its form.
const RESOURCES = {
  'https://cohort.test/rs256': { audience: 'cohort', accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } } },
  'https://cohort.test/es256': { audience: 'cohort', accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } },
  'https://cohort.test/opaque': { audience: 'cohort', accessTokenFormat: 'opaque' },
  'https://elsewhere.test/rs256': { audience: 'elsewhere', accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } } },
  'https://elsewhere.test/opaque': { audience: 'elsewhere', accessTokenFormat: 'opaque' },
};

const CLIENTS = [
  {
    client_id: 'indexer', client_secret: 'indexer secret: 100% & more', grant_types: ['client_credentials'],
    redirect_uris: [], response_types: [],
  },
  { // Cohort itself, when it asks for opaque tokens.
    client_id: 'cohort server', client_secret: 'server+secret:100%&more', grant_types: [],
    redirect_uris: [], response_types: [],
  },
  { // People at a terminal.
    client_id: 'cohort-cli', token_endpoint_auth_method: 'none', application_type: 'native',
    grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
    redirect_uris: ['http://127.0.0.1/callback', 'http://localhost/callback', 'http://127.0.0.1/', 'http://localhost/'],
    response_types: ['code'],
  },
];

function signingKeys() {
  const { privateKey: rsa } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const { privateKey: ec } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const made = [[rsa, 'RS256'], [ec, 'ES256']];
  return made.map(([key, alg]) => ({ ...key.export({ format: 'jwk' }), alg, use: 'sig', kid: randomUUID() }));
}

function teamOf(token) {
  const [, team] = (token.accountId ?? '').split('@');
  return team ?? options.team;
}

function handlerOf(issuer) {
  const provider = new Provider(issuer, {
    clients: CLIENTS,
    scopes: ['openid', 'offline_access', ...SCOPES.split(' ')],
    cookies: { keys: ['a key of the tests'] },
    jwks: { keys: signingKeys() },
    clientAuthMethods: ['client_secret_basic', 'none'],
    extraTokenClaims: (_, token) => ({ team: teamOf(token), ...(options.act && { act: options.act }) }),
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    issueRefreshToken: (_, client) => client.grantTypeAllowed('refresh_token'),
    features: {
      clientCredentials: { enabled: true },
      deviceFlow: { enabled: true },
      devInteractions: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => 'https://cohort.test/rs256',
        useGrantedResource: () => true,
        getResourceServerInfo(_, resource) {
          if (!(resource in RESOURCES)) throw new errors.InvalidTarget();
          return { scope: SCOPES, accessTokenTTL: options.access_token_s, ...RESOURCES[resource] };
        },
      },
    },
  });
  provider.on('server_error', (_, error) => console.error(error));
  return provider.callback();
}

const requests = {};
let handler;

const server = createServer((request, response) => {
  const { pathname } = new URL(request.url, 'http://localhost');
  if (pathname === '/control/rotate') {
    handler = handlerOf(issuer);
    response.end();
  } else if (pathname === '/control/requests') {
    response.end(JSON.stringify(requests));
  } else {
    requests[pathname] = (requests[pathname] ?? 0) + 1;
    handler(request, response);
  }
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const issuer = `http://127.0.0.1:${server.address().port}`;
handler = handlerOf(issuer);
console.log(`issuer ${issuer}`);
