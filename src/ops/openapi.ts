import { type ApiPart, errorAnswers, jsonAnswer, orPage } from '../http/openapi.ts';

const status = (value: string): ApiPart['schemas'][string] => ({
  type: 'object',
  required: ['status'],
  properties: { status: { const: value } },
});

/** The paths of operation. */
export function describeOperation(): ApiPart {
  return {
    tag: { name: 'operation', description: 'For load balancers, supervisors and tools.' },
    paths: {
      '/health/live': {
        get: {
          operationId: 'isLive',
          tags: ['operation'],
          summary: 'Whether the process answers',
          responses: { 200: jsonAnswer('It does.', 'Live', { status: 'live' }), ...errorAnswers([]) },
        },
      },
      '/health/ready': {
        get: {
          operationId: 'isReady',
          tags: ['operation'],
          summary: 'Whether requests should come here',
          description: 'They should while the storage answers and the process is not about to end.',
          responses: {
            200: jsonAnswer('They should.', 'Ready', { status: 'ready' }),
            ...errorAnswers(['DRAINING', 'STORAGE_UNAVAILABLE']),
          },
        },
      },
      '/status': {
        get: {
          operationId: 'getStatus',
          tags: ['operation'],
          summary: 'Since when the service runs, and how much it has answered',
          description:
            'Requests are those that all workers have answered since the program started, up to a tenth of a second ago, refused ones and those of workers that have ended included; the one that asks is not among them yet. A worker that was killed takes along what it answered in its last tenth of a second. A browser (`Accept: text/html`) gets a page that refreshes itself.',
          responses: {
            ...errorAnswers(['TOTALS_UNAVAILABLE'], { asPage: ['TOTALS_UNAVAILABLE'] }),
            200: orPage(
              jsonAnswer('How it is doing.', 'Status', {
                started_at: '2026-11-21T00:00:00.000Z',
                uptime_seconds: 12_345.678,
                requests: 67_890,
              }),
            ),
          },
        },
      },
      '/openapi.json': {
        get: {
          operationId: 'getDocument',
          tags: ['operation'],
          summary: 'This document, with the limits of this server',
          responses: {
            200: jsonAnswer('An OpenAPI 3.1 document.', 'Document', { openapi: '3.1.1' }),
            ...errorAnswers([]),
          },
        },
      },
    },
    schemas: {
      Live: status('live'),
      Status: {
        type: 'object',
        required: ['started_at', 'uptime_seconds', 'requests'],
        properties: {
          started_at: { type: 'string', format: 'date-time' },
          uptime_seconds: { type: 'number', minimum: 0 },
          requests: { type: 'integer', minimum: 0 },
        },
      },
      Ready: status('ready'),
      Document: { type: 'object', required: ['openapi'], properties: { openapi: { type: 'string' } } },
    },
  };
}
