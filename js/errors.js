/**
 * @import { ErrorCode, ErrorKind } from './index.js'
 * @typedef {{ stack?: unknown }} Caller stack is a string, unless Error.prepareStackTrace of the host makes something else of it
 * @typedef {{ code: string, kind: string, field: string, offset: number, message: string }} NativeError
 */

/** The one error class: what the core reports, with the stack of the JavaScript caller. */
class GgufError extends Error {
  /** @param {{ code: string, kind: string, message: string, field?: string, offset?: number, cause?: unknown }} e */
  constructor(e) {
    super(e.message, e.cause === undefined ? undefined : { cause: e.cause });
    this.name = 'GgufError';
    this.code = /** @type {ErrorCode} */ (e.code);
    this.kind = /** @type {ErrorKind} */ (e.kind);
    this.field = e.field || undefined;
    this.offset = e.offset === undefined || e.offset < 0 ? undefined : e.offset;
  }
}

/**
 * An error of the native side with the stack of where the call was made.
 * @param {NativeError} e
 * @param {Caller} [caller]
 */
function fromNative(e, caller) {
  const error = new GgufError(e);
  if (typeof caller?.stack === 'string') error.stack = `${error.name}: ${error.message}\n${caller.stack.split('\n').slice(1).join('\n')}`;
  return error;
}

/**
 * Where a call was made: the frames below a function of the library. V8 writes the text only when it is read.
 * @param {Function} below
 * @returns {Caller}
 */
function callerStack(below) {
  /** @type {Caller} */
  const holder = {};
  Error.captureStackTrace(holder, below);
  return holder;
}

/** @param {unknown} v */
function describe(v) {
  if (typeof v === 'string') return v.length > 40 ? `a string of ${v.length} characters` : JSON.stringify(v);
  if (v === null || v === undefined || typeof v === 'number' || typeof v === 'boolean') return Object.is(v, -0) ? '-0' : String(v);
  if (ArrayBuffer.isView(v)) return `${Object.prototype.toString.call(v).slice(8, -1)} of ${v.byteLength} bytes`;
  if (typeof v === 'object') return Array.isArray(v) ? `an array of ${v.length}` : 'an object';
  return `a ${typeof v}`;
}

/**
 * The one builder of argument errors.
 * @param {string} name
 * @param {string} expected
 * @param {unknown} received
 */
function argumentError(name, expected, received) {
  return new GgufError({ code: 'ERR_ARGUMENT', kind: 'argument', field: name, message: `${name} must be ${expected}; received ${describe(received)}` });
}

/** @param {string} what */
function closedError(what) {
  return new GgufError({ code: 'ERR_CLOSED', kind: 'state', message: `the ${what} is closed` });
}

/** What a handle of a child process that died gives. */
function lostError() {
  return new GgufError({ code: 'ERR_PROCESS_DIED', kind: 'io', message: "the core's process that held this ended; open it again" });
}

module.exports = { GgufError, fromNative, callerStack, argumentError, closedError, lostError };
