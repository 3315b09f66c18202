// AsyncAPI's own parser on a document from standard input. Prints its diagnostics and what it read, as JSON.
import { text } from 'node:stream/consumers';
import { Parser } from '@asyncapi/parser';

const { document, diagnostics } = await new Parser().parse(await text(process.stdin));
const messages = document?.operations().all().flatMap((operation) => operation.messages().all()) ?? [];
console.log(
  JSON.stringify({
    diagnostics: diagnostics.map(({ code, message, severity, path }) => ({ code, message, severity, path })),
    messages: messages.map((message) => message.name()),
  }),
);
