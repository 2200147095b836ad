// What this provider allows, and to whom.
import { readFileSync } from 'node:fs';
import { Provider } from 'oidc-provider';

import { interactions } from './interactions.mjs';
import * as pages from './pages.mjs';
import { openStore } from './store.mjs';

/** Who the access tokens are for. */
const GATEWAY = 'urn:ionet:gateway';

const DAY = 24 * 60 * 60;
const SCOPES = ['openid', 'offline_access', 'email', 'profile'];

export function buildProvider({ issuer, accessTokenTtl, keep }) {
  const accounts = JSON.parse(readFileSync(new URL('./accounts.json', import.meta.url), 'utf8'));
  const store = openStore(keep);
  const provider = new Provider(issuer, configuration({ accounts, store, accessTokenTtl }));
  provider.use(pages.middleware);
  provider.use(interactions(provider, accounts));
  return provider;
}

function configuration({ accounts, store, accessTokenTtl }) {
  return {
    adapter: store.adapter,
    jwks: { keys: [store.signingKey] },
    cookies: { keys: [store.cookieKey], long: { sameSite: 'lax' }, short: { sameSite: 'lax' } },
    clients: [supplierApp],
    responseTypes: ['code'],
    scopes: SCOPES,
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
    // The id_token carries the e-mail address, so the app needs no second question.
    conformIdTokenClaims: false,
    extraTokenClaims: (ctx, token) => accessTokenClaims(accounts, ctx, token),
    findAccount: (_ctx, id) => findAccount(accounts, id),
    pkce: { required: () => true },
    rotateRefreshToken: true,
    issueRefreshToken: async (_ctx, client, code) =>
      client.grantTypeAllowed('refresh_token') && code.scopes.has('offline_access'),
    ttl: {
      AccessToken: accessTokenTtl,
      AuthorizationCode: 60,
      DeviceCode: 600,
      Grant: 90 * DAY,
      IdToken: 3600,
      Interaction: 900,
      RefreshToken: 30 * DAY,
      Session: DAY,
    },
    interactions: { url: (_ctx, interaction) => `/sign-in/${interaction.uid}` },
    renderError: pages.renderError,
    features: {
      devInteractions: { enabled: false },
      deviceFlow: {
        enabled: true,
        userCodeInputSource: pages.codeInput,
        userCodeConfirmSource: pages.codeConfirm,
        successSource: pages.codeDone,
      },
      resourceIndicators: resourceIndicators(accessTokenTtl),
      revocation: { enabled: true, allowedPolicy: async () => true },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: pages.signOut,
        postLogoutSuccessSource: pages.signedOut,
      },
    },
  };
}

/** A native app: no secret of its own, and a loopback address whose port it chooses at run time. */
const supplierApp = {
  client_id: 'ionet-supplier',
  client_name: 'the io.net supplier app',
  application_type: 'native',
  token_endpoint_auth_method: 'none',
  redirect_uris: ['http://127.0.0.1/callback'],
  post_logout_redirect_uris: ['http://127.0.0.1/signed-out'],
  grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
  response_types: ['code'],
};

/** Every access token is a signed JWT for the gateway, which can check it without asking back. */
function resourceIndicators(accessTokenTtl) {
  return {
    enabled: true,
    defaultResource: async () => GATEWAY,
    useGrantedResource: async () => true,
    getResourceServerInfo: async (_ctx, resource) => {
      if (resource !== GATEWAY) {
        const { errors } = await import('oidc-provider');
        throw new errors.InvalidTarget();
      }
      return {
        scope: '',
        audience: GATEWAY,
        accessTokenTTL: accessTokenTtl,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'RS256' } },
      };
    },
  };
}

/**
 * What the gateway learns beside the subject: when the person last proved who they are, which no refresh makes younger,
 * and what a person recognises the account by.
 */
function accessTokenClaims(accounts, { oidc: { entities } }, token) {
  const source = entities.AuthorizationCode ?? entities.DeviceCode ?? entities.RefreshToken;
  const { email, name } = accounts.find(({ login }) => login === token.accountId) ?? {};
  return { auth_time: source?.authTime, email, name };
}

function findAccount(accounts, id) {
  const account = accounts.find(({ login }) => login === id);
  if (!account) {
    return undefined;
  }
  const { login, email, name } = account;
  return { accountId: login, claims: async () => ({ sub: login, email, email_verified: true, name }) };
}
