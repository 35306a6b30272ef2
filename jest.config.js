/** @type {import('jest').Config} */
module.exports = {
  testEnvironment: 'node',
  modulePathIgnorePatterns: ['<rootDir>/build/(packages|try)/'],
  globalSetup: '<rootDir>/test/setup.js',
  testMatch: ['<rootDir>/test/**/*.test.js'],
  testPathIgnorePatterns: ['node_modules', '<rootDir>/test/integrations'],
  testTimeout: 60000,
};
