/**
 * Session documents: those of the world are in every region of an account, and whoever may can change, replace or delete one in one of
 * them. Only the default version counts, for StartSession as for GetDocument (aws-facts 8.3).
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { type Authorise, AwsError, type Caller, type JsonService, type SignedRequest } from '../service.ts';
import type { World, WorldSessionDocument } from '../world.ts';
import { epochSeconds, type Place, parseInput, placeOf } from './input.ts';

/** A name, or the ARN of one. */
const documentName = z.string().regex(/^[a-zA-Z0-9_\-.:/]{3,256}$/);
const version = z.string().regex(/^(\$LATEST|\$DEFAULT|[1-9][0-9]*)$/);
const content = z.string().min(1).max(65_536);
const readInput = z.object({ Name: documentName, DocumentVersion: version.default('$DEFAULT') });
const updateInput = z.object({ Name: documentName, Content: content, DocumentVersion: version.default('$LATEST') });
const defaultInput = z.object({ Name: documentName, DocumentVersion: z.string().regex(/^[1-9][0-9]*$/) });
const createInput = z.object({
  Name: z.string().regex(/^[a-zA-Z0-9_\-.]{3,128}$/),
  Content: content,
  DocumentType: z.literal('Session'),
});
const deleteInput = z.object({ Name: documentName });

const sessionContent = z.object({
  description: z.string().default(''),
  sessionType: z.literal('Standard_Stream'),
  inputs: z.object({ maxSessionDuration: z.coerce.number().int().min(1).max(1440).catch(1440) }),
});

/** The JSON of a session document (aws-facts 8.3), as deploy/curfew-account.yml makes it. */
const contentOf = (document: WorldSessionDocument): string =>
  JSON.stringify({
    schemaVersion: '1.0',
    description: document.description,
    sessionType: 'Standard_Stream',
    inputs: {
      s3BucketName: '',
      s3KeyPrefix: '',
      s3EncryptionEnabled: false,
      cloudWatchLogGroupName: '',
      cloudWatchEncryptionEnabled: false,
      kmsKeyId: '',
      runAsEnabled: document.runAsUser !== null,
      runAsDefaultUser: document.runAsUser ?? '',
      idleSessionTimeout: String(document.idleMinutes),
      maxSessionDuration: String(document.maxSessionMinutes),
    },
  });

/** @throws AwsError InvalidDocumentContent for what is no session document. */
const readContent = (text: string): z.output<typeof sessionContent> => {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  const read = sessionContent.safeParse(value);
  if (!read.success) throw new AwsError('InvalidDocumentContent', 'The content for the document is not valid.');
  return read.data;
};

/** Contents, the first one version 1. */
type Versions = { contents: string[]; defaultAt: number };

export type SessionDocuments = {
  /** The default version. @throws AwsError InvalidDocument when there is no such document here. */
  at(place: Place, name: string): { name: string; maxSessionMinutes: number };
  operations: JsonService['operations'];
};

export const documentArn = ({ accountId, region }: Place, name: string): string =>
  `arn:aws:ssm:${region}:${accountId}:document/${name}`;

export const createSessionDocuments = (options: {
  world: World;
  authorise: Authorise;
  now: () => Date;
}): SessionDocuments => {
  const { world, authorise, now } = options;
  const startedAt = now();
  /** By ARN, what somebody changed here; null: deleted. The others are as the world has them. */
  const changed = new Map<string, Versions | null>();

  const find = (place: Place, name: string): Versions | null => {
    const here = changed.get(documentArn(place, name));
    if (here !== undefined) return here;
    const account = world.accounts.find((one) => one.id === place.accountId);
    const document = account?.sessionDocuments.find((one) => one.name === name);
    return document === undefined ? null : { contents: [contentOf(document)], defaultAt: 0 };
  };
  const versionsOf = (place: Place, name: string): Versions => {
    const found = find(place, name);
    if (found === null) throw new AwsError('InvalidDocument', `Document with name ${name} does not exist.`);
    return found;
  };
  const pick = ({ contents, defaultAt }: Versions, wanted: string): { content: string; at: number } => {
    const named = wanted === '$LATEST' ? contents.length - 1 : Number(wanted) - 1;
    const at = wanted === '$DEFAULT' ? defaultAt : named;
    const text = contents[at];
    if (text === undefined) throw new AwsError('InvalidDocumentVersion', 'The document version is not valid.');
    return { content: text, at };
  };

  /** Authorised before it is known whether there is one. */
  const enter = (given: string, caller: Caller, request: SignedRequest): { place: Place; name: string } => {
    const place = placeOf(caller, request);
    const here = documentArn(place, '');
    const name = given.startsWith(here) ? given.slice(here.length) : given;
    authorise(caller, { action: `ssm:${request.operation}`, resources: [{ arn: documentArn(place, name) }] });
    return { place, name };
  };

  const described = (place: Place, name: string, shown: Versions) => {
    const { content: text, at } = pick(shown, '$DEFAULT');
    return {
      Name: name,
      Description: readContent(text).description,
      Hash: createHash('sha256').update(text).digest('hex'),
      HashType: 'Sha256',
      Owner: place.accountId,
      CreatedDate: epochSeconds(startedAt),
      Status: 'Active',
      DocumentVersion: String(at + 1),
      LatestVersion: String(shown.contents.length),
      DefaultVersion: String(shown.defaultAt + 1),
      DocumentType: 'Session',
      DocumentFormat: 'JSON',
      SchemaVersion: '1.0',
      PlatformTypes: ['Linux', 'MacOS', 'Windows'],
    };
  };

  return {
    at(place, name) {
      const { inputs } = readContent(pick(versionsOf(place, name), '$DEFAULT').content);
      return { name, maxSessionMinutes: inputs.maxSessionDuration };
    },
    operations: {
      GetDocument: (input, caller, request) => {
        const { Name, DocumentVersion } = parseInput(readInput, input);
        const { place, name } = enter(Name, caller, request);
        const { content: Content, at } = pick(versionsOf(place, name), DocumentVersion);
        return {
          Name: name,
          Content,
          DocumentVersion: String(at + 1),
          DocumentType: 'Session',
          DocumentFormat: 'JSON',
          Status: 'Active',
          CreatedDate: epochSeconds(startedAt),
        };
      },
      DescribeDocument: (input, caller, request) => {
        const { place, name } = enter(parseInput(deleteInput, input).Name, caller, request);
        return { Document: described(place, name, versionsOf(place, name)) };
      },
      CreateDocument: (input, caller, request) => {
        const { Name, Content } = parseInput(createInput, input);
        const { place, name } = enter(Name, caller, request);
        readContent(Content);
        if (find(place, name) !== null) {
          throw new AwsError('DocumentAlreadyExists', 'The specified document already exists.');
        }
        const made = { contents: [Content], defaultAt: 0 };
        changed.set(documentArn(place, name), made);
        return { DocumentDescription: described(place, name, made) };
      },
      // A new version, which nothing uses until it is made the default one.
      UpdateDocument: (input, caller, request) => {
        const { Name, Content, DocumentVersion } = parseInput(updateInput, input);
        const { place, name } = enter(Name, caller, request);
        const { contents, defaultAt } = versionsOf(place, name);
        readContent(Content);
        if (pick({ contents, defaultAt }, DocumentVersion).at !== contents.length - 1) {
          throw new AwsError('InvalidDocumentVersion', 'Only the latest version can be updated.');
        }
        if (contents.includes(Content)) {
          throw new AwsError('DuplicateDocumentContent', 'The content is that of another version.');
        }
        const made = { contents: [...contents, Content], defaultAt };
        changed.set(documentArn(place, name), made);
        const DocumentVersionMade = String(made.contents.length);
        return { DocumentDescription: { ...described(place, name, made), DocumentVersion: DocumentVersionMade } };
      },
      UpdateDocumentDefaultVersion: (input, caller, request) => {
        const { Name, DocumentVersion } = parseInput(defaultInput, input);
        const { place, name } = enter(Name, caller, request);
        const { contents, defaultAt } = versionsOf(place, name);
        const { at } = pick({ contents, defaultAt }, DocumentVersion);
        changed.set(documentArn(place, name), { contents, defaultAt: at });
        return { Description: { Name: name, DefaultVersion: DocumentVersion } };
      },
      DeleteDocument: (input, caller, request) => {
        const { place, name } = enter(parseInput(deleteInput, input).Name, caller, request);
        versionsOf(place, name);
        changed.set(documentArn(place, name), null);
        return {};
      },
    },
  };
};
