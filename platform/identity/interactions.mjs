// Who is it, and do they agree: the two questions between the app's request and its answer.
import { createHash, timingSafeEqual } from 'node:crypto';

import * as pages from './pages.mjs';

const PATH = /^\/sign-in\/[\w-]+$/;
const MAX_BODY = 8 * 1024;

export function interactions(provider, accounts) {
  return async (ctx, next) => {
    if (!PATH.test(ctx.path)) {
      return next();
    }
    ctx.set('cache-control', 'no-store');
    const interaction = await ongoing(provider, ctx);
    if (!interaction) {
      return undefined;
    }
    if (ctx.method === 'GET') {
      return show(ctx, interaction);
    }
    if (ctx.method !== 'POST') {
      return ctx.throw(405);
    }
    const form = await readForm(ctx);
    const answer = await answerTo(provider, accounts, interaction, form);
    if (answer) {
      const { result, merge } = answer;
      ctx.respond = false;
      return provider.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: merge });
    }
    ctx.status = 401;
    return show(ctx, interaction, { login: form.get('login') ?? '', wrong: true });
  };
}

/** The question that this browser came with; a page when there is none, or no longer. */
async function ongoing(provider, ctx) {
  try {
    return await provider.interactionDetails(ctx.req, ctx.res);
  } catch (error) {
    ctx.status = error.status ?? 500;
    pages.renderError(ctx, { error: error.error ?? 'server_error', error_description: error.error_description });
    return undefined;
  }
}

function show(ctx, { uid, prompt }, login = {}) {
  if (prompt.name === 'login') {
    return pages.login(ctx, uid, login);
  }
  return pages.consent(ctx, uid);
}

/** What the form amounts to, or nothing when login and password do not belong together. */
async function answerTo(provider, accounts, interaction, form) {
  if (form.get('answer') === 'refuse') {
    const result = { error: 'access_denied', error_description: 'the person refused' };
    return { result, merge: false };
  }
  if (interaction.prompt.name === 'login') {
    const account = accounts.find(({ login }) => login === form.get('login')?.trim());
    if (!account || !same(account.password, form.get('password') ?? '')) {
      return undefined;
    }
    return { result: { login: { accountId: account.login } }, merge: false };
  }
  return { result: { consent: { grantId: await grant(provider, interaction) } }, merge: true };
}

async function grant(provider, { grantId, prompt: { details }, session, params }) {
  const known = grantId && (await provider.Grant.find(grantId));
  const consent = known || new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  if (details.missingOIDCScope) {
    consent.addOIDCScope(details.missingOIDCScope.join(' '));
  }
  if (details.missingOIDCClaims) {
    consent.addOIDCClaims(details.missingOIDCClaims);
  }
  for (const [resource, scopes] of Object.entries(details.missingResourceScopes ?? {})) {
    consent.addResourceScope(resource, scopes.join(' '));
  }
  return consent.save();
}

/** Compares digests, which always have one length. */
function same(expected, given) {
  const digest = (text) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(expected), digest(given));
}

async function readForm(ctx) {
  let body = '';
  for await (const chunk of ctx.req) {
    body += chunk;
    if (body.length > MAX_BODY) {
      ctx.throw(413);
    }
  }
  return new URLSearchParams(body);
}
