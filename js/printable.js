// Control characters, invisible ones that turn text round, halves of pairs, and the two that XML has not.
const unprintable = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\uFFFE\uFFFF]/gu;

/** Text of a file for a terminal, as JSON escapes it: it could move the cursor or colour what follows. @param {string} text */
const printable = (text) => text.replace(unprintable, (c) => `\\u${(c.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`);

module.exports = { printable };
