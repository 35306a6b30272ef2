// How the hub is reached: endpoint, token, proxy, and the client (@huggingface/hub, an optional peer).

const path = require('node:path');
const { GgufError } = require('../errors');
const { expanded, home, textOf } = require('./cache');

const endpoint = () => (process.env.HF_ENDPOINT || 'https://huggingface.co').replace(/\/+$/, '');
const isOffline = () => /^(1|true|yes|on)$/i.test(process.env.HF_HUB_OFFLINE ?? '');
const longestTimerMs = 2 ** 31 - 1; // Node makes a longer one a millisecond
/** Longest silence of the hub, as huggingface_hub names and reads it, in seconds. */
const timeoutMs = () => Math.min(1000 * (Number(process.env.HF_HUB_DOWNLOAD_TIMEOUT) || 10), longestTimerMs);

/** @param {string} name @param {string} why */
function packageError(name, why) {
  return new GgufError({ code: 'ERR_PACKAGE_MISSING', kind: 'io', field: name, message: `${why} takes the package ${name}: npm install ${name}` });
}

/** @param {unknown} e */
const isMissing = (e) => /** @type {NodeJS.ErrnoException} */ (e)?.code === 'MODULE_NOT_FOUND';

/** @returns {typeof import('@huggingface/hub')} */
function client() {
  try {
    return require('@huggingface/hub');
  } catch (e) {
    throw isMissing(e) ? packageError('@huggingface/hub', 'downloading a model by name') : e;
  }
}

/** HF_TOKEN, else what `hf auth login` left, else ''. */
async function token() {
  return process.env.HF_TOKEN?.trim() || (await textOf(expanded(process.env.HF_TOKEN_PATH || path.join(home(), 'token')))).trim();
}

/** Whether Node's own fetch goes by the proxy: it was told to, and is new enough to know what that means. */
const nodeProxies = () =>
  process.env.NODE_USE_ENV_PROXY === '1' && (Number.parseInt(process.versions.node, 10) >= 24 || process.allowedNodeEnvironmentFlags.has('--use-env-proxy'));

/** fetch that goes by the environment's proxy; Node's own does so only where it can and is told to. @returns {typeof fetch} */
function proxyFetch() {
  const names = ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy'];
  const set = names.find((name) => process.env[name]);
  if (!set || nodeProxies()) return fetch;
  try {
    const undici = require('undici');
    const dispatcher = new undici.EnvHttpProxyAgent();
    return /** @type {any} */ ((/** @type {any} */ url, /** @type {any} */ init) => undici.fetch(url, { ...init, dispatcher }));
  } catch (e) {
    throw isMissing(e) ? packageError('undici', `${set} is set, and a download by a proxy`) : e;
  }
}

/**
 * The fetch that the client is given: cancelled by the signal, and with the token for the hub alone. (The client would
 * refuse tokens that do not begin with hf_, as mirrors have them; redirects to other hosts lose the header in fetch.)
 * @param {AbortSignal} signal
 * @param {(response: Response) => void} seen
 * @returns {typeof fetch}
 */
function hubFetch(signal, seen) {
  const send = proxyFetch();
  return async (url, init) => {
    const secret = await token();
    const headers = new Headers(init?.headers);
    if (secret && new URL(String(url)).origin === new URL(endpoint()).origin) headers.set('authorization', `Bearer ${secret}`);
    const response = await send(url, { ...init, headers, signal });
    seen(response);
    return response;
  };
}

module.exports = { client, endpoint, hubFetch, isOffline, timeoutMs };
