/** @type {import('jest').Config} */
module.exports = { testEnvironment: 'node', testMatch: ['<rootDir>/test/**/*.test.js'], testTimeout: 60000 };
