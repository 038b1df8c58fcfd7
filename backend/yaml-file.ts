/** A YAML file parsed by a schema; what is wrong is told with file, line and column. */
import { type Document, isNode, LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';

/** One thing that is wrong in a file. Line and column count from 1. */
export type FileProblem = { file: string; line: number; column: number; message: string };

/** A file that cannot be used. The message lists every problem, one a line, as `file:line:column message`. */
export class FileError extends Error {
  readonly problems: FileProblem[];

  constructor(problems: FileProblem[]) {
    super(problems.map((p) => `${p.file}:${p.line}:${p.column} ${p.message}`).join('\n'));
    this.name = 'FileError';
    this.problems = problems;
  }
}

/** Where the node at a path stands; a missing node is where its nearest parent stands. Characters from the start. */
const offsetOf = (document: Document, path: readonly PropertyKey[]): number => {
  for (let length = path.length; length >= 0; length -= 1) {
    const node: unknown = length === 0 ? document.contents : document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) return node.range[0];
  }
  return 0;
};

/** @param file its name, for messages only. @throws FileError with every problem found. */
export const parseYamlFile = <S extends z.ZodType>(schema: S, text: string, file: string): z.output<S> => {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  const at = (offset: number, message: string): FileProblem => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(1, line), column: Math.max(1, col), message };
  };
  if (document.errors.length > 0) {
    throw new FileError(document.errors.map((error) => at(error.pos[0], error.message)));
  }
  const parsed = schema.safeParse(document.toJS());
  if (parsed.success) return parsed.data;
  throw new FileError(
    parsed.error.issues.map((issue) => {
      const where = issue.path.length === 0 ? '' : `${issue.path.join('.')}: `;
      return at(offsetOf(document, issue.path), `${where}${issue.message}`);
    }),
  );
};
