import type { CommandName } from './arguments.ts';

/** The list of commands, for the help of all of them. */
export const LIST = `  send [FILE…]           send text from stdin, or files: prints a link that opens once
  open LINK              read a secret: text to stdout, files into a folder
  exec … -- COMMAND      run COMMAND with secrets in its environment
  look LINK              see what a link leads to, and use nothing up
  receipt KEY            see what became of a secret
  burn KEY               burn a secret, or withdraw a request, before it is read
  request                ask somebody for a secret: prints the link to send them
  answer LINK [FILE…]    answer such a request
  completion SHELL       print completion for bash, zsh or fish`;

export const USAGE = `Usage: hushbox COMMAND

${LIST}
  help COMMAND           show the options of a command, with examples
  --version              show the version

Examples:
  echo 'some secret' | hushbox send
  hushbox open -

Exit status: 0 done, 1 failed, 2 wrong use or spoilt link, 3 gone or unknown, 4 phrase needed or wrong, or no tries
left, 5 server unreachable, busy or full, 6 not answered yet.
`;

const COMMON = `  --json                 print the result as JSON, and failures too`;
const SERVER = `  --server URL           the server (or HUSHBOX_URL; default http://127.0.0.1:8000)
  --insecure             allow http: to other machines: anyone on the network path can read the traffic`;
const LINKED = `  --insecure             allow a link with http: anyone on the network path can read the traffic`;
const PHRASE = `A phrase is asked for on the terminal, or read from the file that HUSHBOX_PHRASE_FILE names.`;

export const HELP = {
  send: `Usage: hushbox send [FILE…] [--phrase] [--ttl 3d4h5m] [--receipt] [--notify URL] [--copies N] [--plain]

Seals text from stdin, or files, on this machine, and prints a link that opens once. One line end at the end of stdin is
dropped. With - among the files, text from stdin goes with them. HUSHBOX_TOKEN is the server's CREATE_TOKEN.
${PHRASE}

  --phrase               ask for a phrase, which is then needed to open
  --ttl 3d4h5m           how long it waits: days, hours, minutes (default: as long as the server allows)
  --receipt              print a receipt key on stderr, which shows its state and can burn it
  --notify URL           let the server call URL when it is read, burned or expired
  --copies N             print N links, each for one reader
  --plain                let the server encrypt: the server sees the text. For text only
${SERVER}
${COMMON}

Examples:
  echo 'some secret' | hushbox send
  hushbox send report.pdf --ttl 1d --receipt
  pass show db | hushbox send --copies 3
`,
  open: `Usage: hushbox open LINK|- [--out PATH]

Reads a secret: the one and only time. Text goes to stdout, files into a folder. - reads the link from stdin, where
others cannot see it. On a terminal, control characters are shown as symbols. What cannot be written is kept in a new
file.
${PHRASE}

  --out PATH             the folder for files (default: here); - writes a single file to stdout
${LINKED}
${COMMON}

Examples:
  hushbox open -
  hushbox open 'https://secrets.example.com/secrets/KEY#PART' --out downloads
`,
  exec: `Usage: hushbox exec --env NAME=LINK… -- COMMAND …

Runs COMMAND with secrets in its environment, and prints them nowhere. All links are looked at, and COMMAND is found,
before anything is read. Signals are passed on, and so is the exit status (128 + N for a signal; 127: no such command).
${PHRASE}

  --env NAME=LINK        put the secret into the variable NAME; may be given several times
  --env NAME             the link is in the variable NAME, which is replaced
${LINKED}
${COMMON}

Example:
  DB_PASSWORD='https://secrets.example.com/secrets/KEY#PART' hushbox exec --env DB_PASSWORD -- ./migrate
`,
  look: `Usage: hushbox look LINK|-

Says what a link leads to: whether it waits, until when, whether it needs a phrase. Nothing is used up.

${LINKED}
${COMMON}

Example:
  hushbox look -
`,
  receipt: `Usage: hushbox receipt KEY|LINK|-

Says what became of a secret: waiting, read, burned or expired.

${SERVER}
${COMMON}

Example:
  hushbox receipt receipt_KEY --json
`,
  burn: `Usage: hushbox burn KEY|LINK|-

Burns a secret that still waits, by its receipt key. With the link to keep of a request that is not answered, withdraws
that.

${SERVER}
${COMMON}

Example:
  hushbox burn receipt_KEY
`,
  request: `Usage: hushbox request [--note TEXT] [--ttl 3d4h5m] [--notify URL] [--wait [--out PATH]]

Asks somebody for a secret. The link to send them is on stdout; the link to keep, which alone opens the answer, is on
stderr. HUSHBOX_TOKEN is the server's CREATE_TOKEN.

  --note TEXT            what is asked for; the server can read it
  --ttl 3d4h5m           how long it waits (default: as long as the server allows)
  --notify URL           let the server call URL when it is answered, and when the answer is read
  --wait                 wait for the answer, and open it
  --out PATH             with --wait: the folder for files (default: here)
${SERVER}
${COMMON}

Example:
  hushbox request --note 'the key of the build server' --wait
`,
  answer: `Usage: hushbox answer LINK|- [FILE…] [--receipt]

Answers a request with text from stdin, or with files. Only whoever made the request can open the answer.

  --receipt              print a receipt key on stderr, which shows its state and can burn it
${LINKED}
${COMMON}

Example:
  hushbox answer 'https://secrets.example.com/requests/KEY#PART' key.pem
`,
  completion: `Usage: hushbox completion bash|zsh|fish

Prints what makes the shell complete commands and options.

Examples:
  hushbox completion bash >~/.local/share/bash-completion/completions/hushbox
  hushbox completion zsh >"\${fpath[1]}/_hushbox"
  hushbox completion fish >~/.config/fish/completions/hushbox.fish
`,
} as const satisfies Readonly<Record<CommandName | 'completion', string>>;
