/** The AWS query protocol: forms in, XML (or, where asked for, JSON) out. */
import type { AwsError, AwsRequest, AwsResponse, QueryService, XmlValue } from './service.ts';

/** Every form field as sent, body and query together. */
export const readForm = (request: AwsRequest): URLSearchParams => {
  const form = new URLSearchParams(request.query);
  const type = request.headers['content-type'] ?? '';
  if (type.startsWith('application/x-www-form-urlencoded')) {
    for (const [name, value] of new URLSearchParams(request.body.toString('utf8'))) form.append(name, value);
  }
  return form;
};

type Branch = Map<string, Branch | string>;

const plant = (root: Branch, path: string[], value: string): void => {
  let branch = root;
  for (const part of path.slice(0, -1)) {
    const next = branch.get(part);
    const child: Branch = next instanceof Map ? next : new Map();
    branch.set(part, child);
    branch = child;
  }
  branch.set(path.at(-1) ?? '', value);
};

const isList = (branch: Branch): boolean => branch.size > 0 && [...branch.keys()].every((key) => /^\d{1,4}$/.test(key));

const plain = (branch: Branch | string): unknown => {
  if (typeof branch === 'string') return branch;
  if (isList(branch)) {
    return [...branch].sort(([left], [right]) => Number(left) - Number(right)).map(([, value]) => plain(value));
  }
  return Object.fromEntries([...branch].map(([key, value]) => [key, plain(value)]));
};

/** Flat names to nested values: `Tags.member.1.Key` becomes `Tags[0].Key`; `Action` and `Version` are left out. */
export const readInput = (form: URLSearchParams): Record<string, unknown> => {
  const root: Branch = new Map();
  for (const [name, value] of form) {
    if (name === 'Action' || name === 'Version' || name.startsWith('X-Amz-')) continue;
    plant(
      root,
      name.split('.').filter((part) => part !== 'member'),
      value,
    );
  }
  return Object.fromEntries([...root].map(([key, value]) => [key, plain(value)]));
};

const escapeXml = (text: string): string =>
  text.replaceAll(/[&<>"'\r]/g, (char) => `&#${char.charCodeAt(0).toString(10)};`);

const seconds = (date: Date): string => date.toISOString().replace(/\.\d{3}Z$/, 'Z');

const toXml = (value: XmlValue, item: string): string => {
  if (value === undefined) return '';
  if (value instanceof Date) return seconds(value);
  if (Array.isArray(value)) return value.map((one) => `<${item}>${toXml(one, item)}</${item}>`).join('');
  if (typeof value !== 'object') return escapeXml(String(value));
  return Object.entries(value)
    .filter(([, one]) => one !== undefined)
    .map(([name, one]) => `<${name}>${toXml(one, item)}</${name}>`)
    .join('');
};

type AnswerContext = { service: QueryService; operation: string; requestId: string; request: AwsRequest };

const wantsJson = (request: AwsRequest): boolean => request.headers['accept'] === 'application/json';

const jsonHeaders = (requestId: string) => ({ 'content-type': 'application/json', 'x-amzn-requestid': requestId });
const xmlHeaders = (requestId: string) => ({ 'content-type': 'text/xml', 'x-amzn-requestid': requestId });

/** A result in the service's envelope; JSON for `accept: application/json` (aws-facts 2.2 no. 6), never for EC2. */
export const queryAnswer = (result: { [name: string]: XmlValue }, context: AnswerContext): AwsResponse => {
  const { service, operation, requestId } = context;
  if (service.dialect === 'ec2') {
    const inside = `<requestId>${requestId}</requestId>${toXml(result, 'item')}`;
    const body = `<?xml version="1.0" encoding="UTF-8"?>\n<${operation}Response xmlns="${service.namespace}">${inside}</${operation}Response>`;
    return { status: 200, headers: xmlHeaders(requestId), body };
  }
  // Operations without output have no Result element.
  const hasResult = Object.keys(result).length > 0;
  if (wantsJson(context.request)) {
    const answer = {
      ...(hasResult ? { [`${operation}Result`]: result } : {}),
      ResponseMetadata: { RequestId: requestId },
    };
    return {
      status: 200,
      headers: jsonHeaders(requestId),
      body: JSON.stringify({ [`${operation}Response`]: answer }),
    };
  }
  const resultXml = hasResult ? `<${operation}Result>${toXml(result, 'member')}</${operation}Result>` : '';
  const metadata = `<ResponseMetadata><RequestId>${requestId}</RequestId></ResponseMetadata>`;
  return {
    status: 200,
    headers: xmlHeaders(requestId),
    body: `<${operation}Response xmlns="${service.namespace}">${resultXml}${metadata}</${operation}Response>`,
  };
};

/** An error in the service's own shape. */
export const queryError = (error: AwsError, context: Omit<AnswerContext, 'operation'>): AwsResponse => {
  const { service, requestId } = context;
  const { code, message, status } = error;
  const type = status >= 500 ? 'Receiver' : 'Sender';
  if (service.dialect === 'ec2') {
    const inside = toXml({ Errors: { Error: { Code: code, Message: message } }, RequestID: requestId }, 'item');
    return {
      status,
      headers: xmlHeaders(requestId),
      body: `<?xml version="1.0" encoding="UTF-8"?>\n<Response>${inside}</Response>`,
    };
  }
  if (wantsJson(context.request)) {
    const body = JSON.stringify({ Error: { Code: code, Message: message, Type: type }, RequestId: requestId });
    return { status, headers: jsonHeaders(requestId), body };
  }
  const inside = toXml({ Error: { Type: type, Code: code, Message: message }, RequestId: requestId }, 'member');
  return {
    status,
    headers: xmlHeaders(requestId),
    body: `<ErrorResponse xmlns="${service.namespace}">${inside}</ErrorResponse>`,
  };
};
