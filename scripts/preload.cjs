// Loaded first at every start, by whatever Node there is: so this is plain JavaScript that an old one understands.
const wanted = require('../package.json').engines.node.replace('>=', '').split('.').map(Number);
const found = process.versions.node.split('.').map(Number);
const difference = found.map((part, index) => part - wanted[index]).find((part) => part !== 0);

if (difference < 0) {
  process.stderr.write(
    `Hushbox needs Node ${wanted.join('.')} or later, and this is ${process.versions.node} (${process.execPath}).\n` +
      'Run `make build`: it installs the right one into this folder, and `make run` uses it.\n',
  );
  process.exit(1);
}
// Before the first file of ours: what strips types takes 18 MiB and 25 ms, and with a cache it is not loaded. Not in the
// shared temporary folder, where others could plant code.
const { enableCompileCache } = require('node:module');
const { join } = require('node:path');
enableCompileCache(join(__dirname, '../node_modules/.cache/compiled'));

// Node ends when its threads have. One that compiles may wait for a garbage collection, which nobody makes any more, and
// the process hangs (nodejs/node#54918). After this one there is room.
if (require('node:worker_threads').isMainThread) process.on('exit', collectGarbage);
function collectGarbage() {
  require('node:v8').setFlagsFromString('--expose-gc');
  require('node:vm').runInNewContext('gc')();
}
