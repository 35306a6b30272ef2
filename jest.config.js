/** @type {import('jest').Config} */
module.exports = {
  testEnvironment: 'node',
  globalSetup: '<rootDir>/test/setup.js',
  testMatch: ['<rootDir>/test/**/*.test.js'],
  testPathIgnorePatterns: ['node_modules', '<rootDir>/test/integrations'],
  testTimeout: 60000,
};
