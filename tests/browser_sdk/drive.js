// Calls the SDK as a web page does: one call for each line of standard input, one answer for each on standard output.
//
// usage: node drive.js API_URL ACCESS_TOKEN, or without anything to hear what can be called
// in:    {"module": "device", "call": "getDevice", "arguments": ["..."]}
// out:   {"status": 200, "body": {...}} or {"thrown": "..."}

const fs = require('fs');
const path = require('path');
const readline = require('readline');

const SDK = '@lightelligence/browser-sdk/dist/cjs';
const [apiUri, token] = process.argv.slice(2);

require(`${SDK}/tools/environmentProvider`).default.set({ apiUri });
require(`${SDK}/tools/userManagerProvider`).default.set({ getUser: async () => ({ access_token: token }) });

async function call({ module, call, arguments: values }) {
  const { response, httpStatusCode, ...body } = await require(`${SDK}/modules/${module}`).default[call](...values);
  return { status: httpStatusCode, body };
}

function names() {
  const folder = path.join(path.dirname(require.resolve(`${SDK}/index.js`)), 'modules');
  return fs.readdirSync(folder).flatMap((file) => {
    const module = path.basename(file, '.js');
    const calls = require(`${SDK}/modules/${module}`).default;
    return Object.getOwnPropertyNames(calls)
      .filter((name) => !['length', 'name', 'prototype'].includes(name))
      .map((name) => `${module}.${name}`);
  });
}

async function main() {
  if (!apiUri) {
    process.stdout.write(JSON.stringify(names()));
    return;
  }
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const answer = await call(JSON.parse(line)).catch((error) => ({ thrown: String(error) }));
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
}

main();
