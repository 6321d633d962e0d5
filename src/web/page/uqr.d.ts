/** The package, as the service serves it beside our own files: see package-files.ts. */
export { encode } from 'uqr';
