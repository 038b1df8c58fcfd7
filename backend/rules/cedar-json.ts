/** Walking Cedar's JSON form of a policy, which its package types too loosely to walk. */
export type Node = Readonly<Record<string, unknown>>;

export const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** What an operator such as `getTag` or `.` is applied to in this node; null when the node is another operator. */
export const operand = (node: Node, operator: string): Node | null => {
  const found = node[operator];
  return isNode(found) ? found : null;
};
