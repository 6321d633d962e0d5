import { parseArgs } from 'node:util';
import { HELP as HELP_FOR_USERS, LIST as LIST_FOR_USERS } from '../../client/command/help.ts';

export type Command =
  | { name: 'help'; about: Topic | undefined }
  | { name: 'version' }
  | { name: 'doctor'; json: boolean }
  | AccountCommand
  | { name: 'backup'; file: string }
  | { name: 'demo-data' }
  | { name: 'fence-lift' | 'fence-refuse'; isConfirmed: boolean }
  | { name: 'rotate'; out: string | undefined }
  | { name: 'rotate-signing-key'; isRevoking: boolean }
  | { name: 'key-status' }
  | { name: 'prune' };
export type AccountCommand = {
  name: 'account';
  verb: AccountVerb;
  /** Of all verbs but `list`. */
  email: string;
  isAdmin: boolean;
  /** Undefined to ask for it. */
  passwordFile: string | undefined;
  isConfirmed: boolean;
  json: boolean;
};
export type AccountVerb = keyof typeof OPTIONS_OF_VERB;
export type Topic = OperatorCommand | keyof typeof HELP_FOR_USERS;
type OperatorCommand = keyof typeof HELP_FOR_OPERATORS;

/** A wrong use of a command that exists: its own help says how. */
export class WrongUse extends Error {
  override readonly name = 'WrongUse';
  readonly about: Topic | undefined;
  constructor(message: string, about?: Topic) {
    super(message);
    this.about = about;
  }
}

export const USAGE = `Usage: hushbox COMMAND

For all users:
${LIST_FOR_USERS}

For operators, where the service runs and as the same user: these read the service's environment variables.
  doctor                 check configuration, keys, storage, clock, permissions and the running service
  account …              create, list, disable, enable and delete accounts; set their passwords
  backup FILE            copy the whole SQLite database to FILE while the service runs
  fence lift             accept secrets again that are refused because the database was restored
  demo-data              make the account and the customers of the demonstration, for trials
  rotate-master-key      make a new master key, and keep the old one for reading
  rotate-signing-key     make a new key for access tokens; with --revoke, end those of before

  help COMMAND           show the options of a command, with examples
  --version              show the version

Examples:
  echo 'some secret' | hushbox send
  hushbox open -
  hushbox doctor

Exit status: 0 fine, 1 something is wrong, 2 wrong use or spoilt link; of commands for all users also 3 gone or unknown,
4 phrase needed or wrong, or no tries left, 5 server unreachable, busy or full, 6 not answered yet.
`;

const HELP_FOR_OPERATORS = {
  doctor: `Usage: hushbox doctor [--json]

Checks configuration, keys, storage, clock, permissions and the running service, and says what to do about each
problem. It changes nothing.

  --json                 print the findings as JSON, for scripts

Examples:
  hushbox doctor
  hushbox doctor --json | jq '.findings[] | select(.level == "problem")'

Exit status: 0 no problem, 1 at least one problem.
`,
  account: `Usage: hushbox account create EMAIL [--admin] [--password-file FILE]
       hushbox account list [--json]
       hushbox account disable EMAIL
       hushbox account enable EMAIL
       hushbox account reset-password EMAIL [--password-file FILE]
       hushbox account delete EMAIL [--yes]

Accounts log in with their email address and a password. The password is asked for, or read from the first line of
FILE. To disable, to enable, to reset the password or to delete ends all sessions of the account at once. To delete
removes everything that identifies the person; it asks first. All work while the service runs.

  --admin                give the role admin, which opens nothing over HTTP yet
  --password-file FILE   read the password from FILE: needed where there is no terminal
  --json                 print the accounts as JSON, for scripts
  --yes                  do not ask: needed where there is no terminal

Examples:
  hushbox account create someone@example.com
  hushbox account reset-password someone@example.com --password-file /run/secrets/password

Exit status: 0 done, 1 refused or failed, 2 wrong use.
`,
  backup: `Usage: hushbox backup FILE

Copies the whole SQLite database to FILE while the service runs, and checks the copy. FILE has mode 0600. An older
backup at FILE is replaced when the new one is complete; any other file is left alone.

The copy holds secrets as ciphertext, and accounts and customers in plain text: protect it. To use it you also need the
master key: keep that in another place. docs/backup.md says how to restore a copy, and how to back up MongoDB.

Example:
  hushbox backup /backups/hushbox.db
`,
  fence: `Usage: hushbox fence lift [--yes]
       hushbox fence refuse-all [--yes]

After a restore to an older state the fence refuses every secret that may have been read since. \`lift\` accepts these
secrets again: then a secret that was read already can be read a second time. \`refuse-all\` is for a restored copy whose
fence file is lost: it refuses every secret that is stored now, and ends all sessions. Both ask first, and work while
the service runs.

  --yes                  do not ask: needed where there is no terminal

Examples:
  hushbox fence lift
  hushbox fence refuse-all --yes
`,
  'demo-data': `Usage: hushbox demo-data

Makes the account demo@example.com with the password demo-password, and 200 made-up customers, unless they are there.
Creates the database if it is missing. \`make demo\` runs it. Production refuses it, because its
password is well known.

Example:
  hushbox demo-data
`,
  'rotate-master-key': `Usage: hushbox rotate-master-key [--out FILE | --status | --prune]

Makes a new master key in the files that hold the keys. The new key seals from now on; the old one is kept for reading.

  --out FILE             only write the new key to FILE: for keys in variables, or when several hosts share a storage
  --status               show what each key protects and until when it is needed
  --prune                remove the keys that nothing needs any more from their files

Examples:
  hushbox rotate-master-key
  hushbox rotate-master-key --status
`,
  'rotate-signing-key': `Usage: hushbox rotate-signing-key [--revoke]

Makes a new key that access tokens are signed with. It is in /.well-known/jwks.json at once and signs after ten minutes,
when every service that keeps a copy of that list has it; the old one stays until its last token has expired. A running
service does this automatically once a month. All hosts use the same keys.

  --revoke               remove the old keys now, and sign with the new one: for a key that others may know. Access
                         tokens of before are refused at once; browsers get new ones without a new sign-in

Examples:
  hushbox rotate-signing-key
  hushbox rotate-signing-key --revoke
`,
} as const;

export const HELP: Readonly<Record<Topic, string>> = { ...HELP_FOR_USERS, ...HELP_FOR_OPERATORS };

const OPTIONS_OF_VERB = {
  create: ['admin', 'password-file'],
  list: ['json'],
  disable: [],
  enable: [],
  'reset-password': ['password-file'],
  delete: ['yes'],
} as const satisfies Record<string, readonly string[]>;

const OPTIONS = {
  admin: { type: 'boolean' },
  'password-file': { type: 'string' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean' },
  json: { type: 'boolean' },
  out: { type: 'string' },
  revoke: { type: 'boolean' },
  status: { type: 'boolean' },
  prune: { type: 'boolean' },
  yes: { type: 'boolean' },
} as const;

/** @throws Error that says what is wrong; WrongUse when it is about one command. */
export function parseArguments(args: readonly string[]): Command {
  const { values, positionals } = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
  const { help, version, ...options } = values;
  const [name, ...operands] = positionals;
  if (name === 'help') return { name, about: operands[0] === undefined ? undefined : topicOf(operands[0]) };
  if (help) return { name: 'help', about: name === undefined ? undefined : topicOf(name) };
  if (version) return { name: 'version' };
  if (name === undefined) throw new WrongUse('which command?');
  const topic = commandOf(name);
  const given = Object.keys(options);
  if (topic === 'doctor') {
    check(topic, given, ['json'], operands, 0);
    return { name: topic, json: options.json ?? false };
  }
  if (topic === 'account') return accountCommand(given, operands, options);
  if (topic === 'backup') {
    check(topic, given, [], operands, 1);
    const [file = ''] = operands;
    if (file === '-') throw new WrongUse('a backup is a file: it cannot go to standard output', topic);
    return { name: topic, file };
  }
  if (topic === 'demo-data') {
    check(topic, given, [], operands, 0);
    return { name: topic };
  }
  if (topic === 'rotate-signing-key') {
    check(topic, given, ['revoke'], operands, 0);
    return { name: topic, isRevoking: options.revoke ?? false };
  }
  if (topic === 'fence') return fenceCommand(given, operands, options.yes ?? false);
  check(topic, given, ['out', 'status', 'prune'], operands, 0);
  if (given.length > 1) throw new WrongUse('use only one of --out, --status and --prune', topic);
  if (options.status) return { name: 'key-status' };
  return options.prune ? { name: 'prune' } : { name: 'rotate', out: options.out };
}

type AccountOptions = { admin?: boolean; 'password-file'?: string; yes?: boolean; json?: boolean };

function accountCommand(
  given: readonly string[],
  [verb = '', ...operands]: readonly string[],
  options: AccountOptions,
): AccountCommand {
  if (!Object.hasOwn(OPTIONS_OF_VERB, verb)) {
    throw new WrongUse(`which of ${Object.keys(OPTIONS_OF_VERB).join(', ')}?`, 'account');
  }
  const known = OPTIONS_OF_VERB[verb as AccountVerb];
  check('account', given, known, operands, verb === 'list' ? 0 : 1, 'EMAIL');
  return {
    name: 'account',
    verb: verb as AccountVerb,
    email: operands[0] ?? '',
    isAdmin: options.admin ?? false,
    passwordFile: options['password-file'],
    isConfirmed: options.yes ?? false,
    json: options.json ?? false,
  };
}

function fenceCommand(given: readonly string[], operands: readonly string[], isConfirmed: boolean): Command {
  const [verb, ...others] = operands;
  if (verb !== 'lift' && verb !== 'refuse-all') throw new WrongUse('lift or refuse-all?', 'fence');
  check('fence', given, ['yes'], others, 0);
  return { name: verb === 'lift' ? 'fence-lift' : 'fence-refuse', isConfirmed };
}

function topicOf(name: string): Topic {
  if (!Object.hasOwn(HELP, name)) throw new WrongUse(`there is no command ${name}`);
  return name as Topic;
}

/** Commands for everybody are a program of their own, which bin/hushbox starts when the command comes first. */
function commandOf(name: string): OperatorCommand {
  const topic = topicOf(name);
  if (Object.hasOwn(HELP_FOR_USERS, topic)) throw new WrongUse('options follow the command', topic);
  return topic as OperatorCommand;
}

function check(
  topic: Topic,
  given: readonly string[],
  known: readonly string[],
  operands: readonly string[],
  operandCount: number,
  operand = 'FILE',
): void {
  const other = given.find((name) => !known.includes(name));
  if (other) throw new WrongUse(`this command has no option --${other}`, topic);
  if (operands.length > operandCount) throw new WrongUse('too many arguments', topic);
  if (operands.length < operandCount || operands.includes('')) throw new WrongUse(`which ${operand}?`, topic);
}
