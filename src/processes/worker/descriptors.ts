/** What a worker may need beside its connections: files of the storage, threads, the log, a pool of MongoDB's connections. */
const RESERVED = 96;
/** Memory sets this limit, where descriptors are plentiful: an idle connection takes about 20 KB. */
const MAX_CONNECTIONS = 8_192;
const MIN_CONNECTIONS = 16;
/** For monitoring, of the internal listener. */
const MAX_INTERNAL = 64;

export type ConnectionLimits = { public: number; internal: number };

/**
 * How many connections a worker may accept, so that it never runs out of descriptors: half of what is not reserved,
 * because a proxied request needs a second connection.
 * @param descriptors that the process may have open.
 */
export function connectionLimits(descriptors: number): ConnectionLimits {
  const half = Math.max(MIN_CONNECTIONS, Math.floor((descriptors - RESERVED) / 2));
  const internal = Math.min(MAX_INTERNAL, Math.ceil(half / 8));
  return { public: Math.min(MAX_CONNECTIONS, half - internal), internal };
}

/** The soft limit on open files; infinite where the system has none. */
export function readDescriptorLimit(): number {
  const { report } = process;
  Object.assign(report, { excludeNetwork: true, excludeEnv: true }); // else it looks names up
  const { userLimits } = report.getReport() as { userLimits?: { open_files?: { soft?: unknown } } };
  const soft = userLimits?.open_files?.soft;
  return typeof soft === 'number' ? soft : Number.POSITIVE_INFINITY;
}
