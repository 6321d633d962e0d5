/** The current instant in milliseconds since the epoch. Passed in, so that tests can move it. */
export type Clock = () => number;
