import { type ApiPart, errorAnswers, textAnswer } from '../http/openapi.ts';

/** The page to create a secret; the one that opens a link is an answer of `/secrets/{key}`. */
export function describePages(): ApiPart {
  return {
    tag: { name: 'pages', description: 'For browsers. What the pages load is no interface, and not listed.' },
    paths: {
      '/': {
        get: {
          operationId: 'getCreatePage',
          tags: ['pages'],
          summary: 'The page to create a secret',
          responses: { 200: textAnswer('The page.', 'text/html'), ...errorAnswers([]) },
        },
      },
    },
    schemas: {},
  };
}
