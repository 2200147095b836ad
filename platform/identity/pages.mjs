// Every page a person sees here: plain HTML forms that work without a script and load nothing from outside.
import { readFileSync } from 'node:fs';

// A browser also holds the redirects after a form to `form-action`, and the app's own page is such a redirect.
const POLICY = [
  "default-src 'self'",
  "script-src 'self'",
  "form-action 'self' http://127.0.0.1:*",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join(';');

const STYLE = readFileSync(new URL('./public/look.css', import.meta.url), 'utf8');

/** The headers of every answer, the style sheet and the front page. */
export async function middleware(ctx, next) {
  ctx.set('content-security-policy', POLICY);
  ctx.set('x-content-type-options', 'nosniff');
  ctx.set('referrer-policy', 'no-referrer');
  if (ctx.path === '/look.css') {
    ctx.type = 'css';
    ctx.body = STYLE;
    return;
  }
  if (ctx.path === '/') {
    page(ctx, 'io.net accounts', '<p>This is where the supplier app signs you in. Open the app to begin.</p>');
    return;
  }
  await next();
}

export function login(ctx, uid, { login: typed = '', wrong = false }) {
  const complaint = wrong
    ? '<p class="complaint" id="complaint" role="alert">Login and password do not belong together. Try again.</p>'
    : '';
  page(
    ctx,
    'Sign in',
    `<p>to connect this PC with your io.net account.</p>
    ${complaint}
    <form method="post" action="/sign-in/${escape(uid)}">
      <label for="login">Login</label>
      <input id="login" name="login" value="${escape(typed)}" autocomplete="username" autocapitalize="none"
        spellcheck="false" required autofocus>
      <label for="password">Password</label>
      <input id="password" name="password" type="password" autocomplete="current-password" required>
      <button id="submit" type="submit">Sign in</button>
    </form>
    ${refusal(uid)}`,
  );
}

export function consent(ctx, uid) {
  page(
    ctx,
    'Connect the supplier app',
    `<p>The io.net supplier app on this PC asks to</p>
    <ul><li>know your name and e-mail address,</li><li>add PCs to your account,</li>
    <li>stay signed in until you sign out.</li></ul>
    <form method="post" action="/sign-in/${escape(uid)}">
      <input type="hidden" name="answer" value="agree">
      <button id="submit" type="submit">Connect</button>
    </form>
    ${refusal(uid)}`,
  );
}

/** `form` comes from the library, with a hidden secret and the field for the code. */
export function codeInput(ctx, form, out, error) {
  const wrong = error && (error.userCode || error.name === 'NoCodeError');
  const complaint = wrong ? 'This code is not known or no longer valid. Check it and try again.' : 'That did not work.';
  const secret = /name="xsrf" value="([^"]*)"/.exec(form)?.[1] ?? '';
  page(
    ctx,
    'Enter the code',
    `<p>The app on your PC shows a code of eight letters.</p>
    ${error ? `<p class="complaint" id="complaint" role="alert">${complaint}</p>` : ''}
    <form method="post" action="${escape(ctx.oidc.urlFor('code_verification'))}">
      <input type="hidden" name="xsrf" value="${escape(secret)}">
      <label for="user_code">Code</label>
      <input id="user_code" name="user_code" value="${escape(error?.userCode ?? '')}" autocomplete="off"
        autocapitalize="characters" spellcheck="false" required autofocus>
      <button id="submit" type="submit">Continue</button>
    </form>`,
  );
}

/** The person compares this code with the one on their own screen: nobody else's PC is connected by mistake. */
export function codeConfirm(ctx, form, client, _device, userCode) {
  const named = form.replace('<form id="op.deviceConfirmForm"', '<form id="confirm"');
  page(
    ctx,
    'Is this your PC?',
    `<p>Connect ${escape(client.clientName ?? client.clientId)} only if it shows this very code now:</p>
    <p class="code" id="code">${escape(userCode)}</p>
    ${named}
    <button id="submit" type="submit" form="confirm">Yes, connect it</button>
    <button class="quiet" id="refuse" type="submit" form="confirm" name="abort" value="yes">No</button>`,
  );
}

export function codeDone(ctx) {
  page(ctx, 'This PC is connected', '<p>You can close this page and go back to the app.</p>');
}

export function signOut(ctx, form) {
  page(
    ctx,
    'Sign out?',
    `<p>This ends your session in this browser.</p>
    ${form.replace('<form id="op.logoutForm"', '<form id="leave"')}
    <button id="submit" type="submit" form="leave" name="logout" value="yes">Sign out</button>`,
  );
}

export function signedOut(ctx) {
  page(ctx, 'You are signed out', '<p>You can close this page.</p>');
}

export function renderError(ctx, out) {
  const detail = [out.error, out.error_description].filter(Boolean).join(': ');
  page(
    ctx,
    'This did not work',
    `<p>Go back to the app and start the sign-in again.</p><p class="detail" id="error">${escape(detail)}</p>`,
  );
}

function refusal(uid) {
  return `<form method="post" action="/sign-in/${escape(uid)}">
      <button class="quiet" id="refuse" type="submit" name="answer" value="refuse">Cancel</button>
    </form>`;
}

function page(ctx, title, body) {
  ctx.type = 'html';
  ctx.body = `<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>${title} – io.net</title>
  <link rel="stylesheet" href="/look.css">
</head>
<body>
  <main>
    <svg class="ring" viewBox="0 0 48 48" aria-hidden="true"><circle cx="24" cy="24" r="19" pathLength="100"/></svg>
    <h1>${title}</h1>
    ${body}
  </main>
</body>
</html>
`;
}

function escape(text) {
  const entities = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return String(text).replace(/[&<>"']/g, (sign) => entities[sign]);
}
