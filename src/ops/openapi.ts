import { type ApiPart, errorAnswers, jsonAnswer } from '../http/openapi.ts';

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
      Ready: status('ready'),
      Document: { type: 'object', required: ['openapi'], properties: { openapi: { type: 'string' } } },
    },
  };
}
