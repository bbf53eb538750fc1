// Drives the vendor's REST client: one order for each line of standard input, one line for whatever it is told.
//
// usage: node drive.js API_URL ACCESS_TOKEN
// in:    {"call": "device.get", "arguments": {...}, "files": {"importBundle": "/a/path"}}
// out:   {"told": "answer", "body": {...}} or {"told": "failure", "status": 404, "message": "..."}
// in:    {"listen": "device.stateStream", "arguments": {...}, "event": "deviceState"}
// out:   {"told": "listening"} or a failure, and then for each event {"told": "deviceState", "body": {...}}
// in:    {"leave": true}
// out:   {"told": "left"}: nothing is listened to any more

const fs = require('fs');
const readline = require('readline');

const [url, accessToken] = process.argv.slice(2);
const client = require('losant-rest').createClient({ url, accessToken });
const streams = [];

function tell(told, fields = {}) {
  process.stdout.write(`${JSON.stringify({ told, ...fields })}\n`);
}

function action(name) {
  const [resource, verb] = name.split('.');
  return client[resource][verb];
}

async function obey({ call, listen, arguments: values, files = {}, event }) {
  if (call) {
    const opened = Object.entries(files).map(([name, path]) => [name, fs.createReadStream(path)]);
    tell('answer', { body: await action(call)({ ...values, ...Object.fromEntries(opened) }) });
  } else if (listen) {
    const stream = await action(listen)(values);
    stream.addEventListener(event, ({ data }) => tell(event, { body: JSON.parse(data) }));
    streams.push(stream);
    tell('listening');
  } else {
    streams.splice(0).forEach((stream) => stream.close());
    tell('left');
  }
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    await obey(JSON.parse(line)).catch((error) =>
      tell('failure', { status: error.statusCode ?? error.status, message: error.message }));
  }
}

main();
