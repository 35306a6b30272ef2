// The frameworks lie beside these tests, not in the project's own node_modules: `npm install --no-save --ignore-scripts` here first,
// and NODE_OPTIONS=--experimental-vm-modules, with which jest can import ECMAScript modules.

/** @type {import('jest').Config} */
module.exports = {
  rootDir: '../..',
  testEnvironment: 'node',
  globalSetup: '<rootDir>/test/setup.js',
  testMatch: ['<rootDir>/test/integrations/*.test.js'],
  modulePaths: ['<rootDir>/test/integrations/node_modules'],
  testTimeout: 60000,
};
