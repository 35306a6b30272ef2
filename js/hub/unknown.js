// Errors about what is neither a file nor a known name, with what was probably meant.

const { GgufError } = require('../errors');
const { shortNames } = require('../models');
const { nearest } = require('../options');
const { nameError } = require('./reference');

const names = Object.keys(shortNames);

/** The short name that holds what was typed, else the nearest one, whatever the case. @param {string} typed */
function nearestName(typed) {
  const lower = names.map((n) => n.toLowerCase());
  const wanted = typed.toLowerCase();
  const near = lower.find((n) => n.includes(wanted)) ?? nearest(wanted, lower);
  return names[lower.indexOf(near)];
}

const didYouMean = (/** @type {string} */ name) => `did you mean '${name}'?`;

/** What a name may look like, and what is said of it then; the first row that fits. @type {[RegExp, (...groups: string[]) => string][]} */
const hints = [
  [
    /^https:\/\/huggingface\.co\/([\w.-]+\/[\w.-]+)(?:\/(?:blob|resolve|raw|tree)(\/[^/?#]+)(?:\/([^?#]+))?)?/,
    (repo, revision = '', file = '') => didYouMean(`hf:${repo}${revision.replace('/', '@')}${file && `:${file}`}`),
  ],
  [/^~[/\\]/, () => 'the shell expands ~, where it is not quoted; nothing else does'],
  [/^(\w[\w.-]*\/[\w.-]+(?::.+)?)$/, (name) => didYouMean(`hf:${name}`)],
  [/^(?!.*\.gguf$)([^/\\:]+)(:[^/\\]+)?$/i, (short, quant = '') => didYouMean(nearestName(short) + quant)],
];

/** ' (what was meant)', or nothing. @param {string} name */
function hint(name) {
  for (const [form, advice] of hints) {
    const match = form.exec(name);
    if (match) return ` (${advice(...match.slice(1))})`;
  }
  return '';
}

/** Of a model option that names no file. @param {string} name */
function unknownFile(name) {
  return new GgufError({ code: 'ERR_FILE_OPEN', kind: 'io', field: 'path', message: `${name}: neither a file nor a known name${hint(name)}` });
}

/** Where only a name will do. @param {string} name */
function unknownName(name) {
  return nameError(name, `no known name${hint(name)}: those are hf:owner/repo[@revision][:file-or-quant], ${names.join(', ')}`);
}

module.exports = { unknownFile, unknownName };
