import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { addAccount, EMAIL, logIn } from '../support/kafka/accounts.ts';
import { startBroker, withKafka } from '../support/kafka/broker.ts';
import { createBusClient } from '../support/kafka/client.ts';
import { start } from '../support/process/program.ts';
import { SQLITE } from '../support/storage/storage.ts';

const PAGE = readFileSync('docs/kafka.md', 'utf8');
const run = promisify(execFile);

function exampleIn(language: string): string {
  return new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, 's').exec(PAGE)?.[1] as string;
}

withKafka('the examples of docs/kafka.md work as they are written', async (t) => {
  const place = await SQLITE.place(t);
  await addAccount(t, place);
  const broker = await startBroker(t);
  const client = await createBusClient(t, broker.address);
  const env = { SERVICES: 'auth,kafka', KAFKA_URL: `kafka://${broker.address}`, STORAGE_URL: place.url };
  const program = await start(t, { env });
  const token = await logIn(program.base);
  t.true((await client.ask(token)).authenticated);
  const environment = { ...process.env, BROKER: broker.address, TOKEN: token };
  const args = ['--input-type=module', '-e', exampleIn('js')];
  const { stdout } = await run(process.execPath, args, { env: environment, timeout: 60_000 });
  t.regex(stdout, /authenticated: true/);
  t.true(stdout.includes(EMAIL));
  // With kafka-python, where PYTHON_KAFKA names a Python that has it.
  const { PYTHON_KAFKA } = process.env;
  if (PYTHON_KAFKA === undefined) return;
  const head = "import os\nbroker, token = os.environ['BROKER'], os.environ['TOKEN']\n";
  const python = await run(PYTHON_KAFKA, ['-c', head + exampleIn('python')], { env: environment, timeout: 60_000 });
  t.is(python.stdout, 'True\n');
});
