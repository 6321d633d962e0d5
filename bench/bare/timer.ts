/** Does nothing but wake up once a second: what any idle Node process costs that looks at the time. */
setInterval(() => {}, 1_000);
process.stdout.write('ready on nothing\n');
