// The server cannot answer right now. The page's own refresh loads nothing again where the address has a part after the #.

import './page.js';

const AGAIN_MS = 5_000;

if (location.hash !== '') setTimeout(() => location.reload(), AGAIN_MS);
