/** @type {import('jest').Config} */
module.exports = {
  testEnvironment: 'node',
  testMatch: ['<rootDir>/test/**/*.test.js'],
  testPathIgnorePatterns: ['node_modules', '<rootDir>/test/integrations'],
  testTimeout: 60000,
};
