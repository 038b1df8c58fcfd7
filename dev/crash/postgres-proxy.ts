/**
 * A proxy in front of Postgres that knows just enough of its protocol to see each statement go and its answer come
 * ("Frontend/Backend Protocol" in the PostgreSQL manual): messages of one type byte and four bytes of length.
 */
import net from 'node:net';
import type { Gate, Traffic, Watcher } from './traffic.ts';

const sslRequest = 80_877_103;
const startup = 196_608;

type Message = { type: string; bytes: Buffer };

/** Cuts a stream into whole messages. `typed` is asked for each: the first ones of a client have no type byte. */
const splitter = (typed: () => boolean, onMessage: (message: Message) => void) => {
  let waiting = Buffer.alloc(0);
  return (chunk: Buffer): void => {
    waiting = Buffer.concat([waiting, chunk]);
    for (;;) {
      const head = typed() ? 1 : 0;
      if (waiting.length < head + 4) return;
      const length = head + waiting.readInt32BE(head);
      if (waiting.length < length) return;
      const bytes = waiting.subarray(0, length);
      waiting = waiting.subarray(length);
      onMessage({ type: head === 0 ? '' : String.fromCharCode(bytes[0] ?? 0), bytes });
    }
  };
};

/** The text up to its end mark, from this byte on. */
const textAt = (bytes: Buffer, at: number): string => bytes.toString('utf8', at, bytes.indexOf(0, at));

const applicationName = (bytes: Buffer): string => {
  const words = bytes.toString('utf8', 8).split('\0');
  const at = words.indexOf('application_name');
  return at === -1 ? 'postgres' : (words[at + 1] ?? 'postgres');
};

/** The statement that a message brings, if it brings one: Query, or Parse with its name first. */
const statementOf = ({ type, bytes }: Message): string | null => {
  if (type === 'Q') return textAt(bytes, 5);
  if (type === 'P') return textAt(bytes, bytes.indexOf(0, 5) + 1);
  return null;
};

/** Lists of values are as long as there are values: that must not make another statement of it. */
const plainSql = (sql: string): string =>
  sql
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/\$\d+/g, '$')
    .replaceAll(/\$(?:, \$)+/g, '$…')
    .replaceAll(/\(\$…?\)(?:, \(\$…?\))+/g, '($…)…')
    .trim();

const trafficOf = (from: string, sql: string): Traffic => {
  const what = plainSql(sql);
  return { from, what, changes: !/^(?:select|begin|start|set|show|rollback|listen)\b/i.test(what) };
};

/** What Postgres says of a statement that was done. */
const nothingChanged = /^(?:UPDATE|DELETE|INSERT 0) 0$/;

const join = (client: net.Socket, server: net.Socket, gate: Gate): void => {
  let from: string | null = null;
  /** Parse, Bind and their like, kept until the Sync that has them done. */
  let gathered: Buffer[] = [];
  let sql = '';
  let running: Traffic | null = null;
  let answer: Buffer[] = [];

  const send = (last: Message): void => {
    const traffic = trafficOf(from ?? 'postgres', sql);
    const whole = [...gathered, last.bytes];
    gathered = [];
    sql = '';
    if (!gate(traffic, 'before')) return;
    running = traffic;
    server.write(Buffer.concat(whole));
  };
  const fromClient = splitter(
    () => from !== null,
    (message) => {
      if (message.type === '') {
        const code = message.bytes.readInt32BE(4);
        if (code === sslRequest) {
          client.write('N');
          return;
        }
        if (code === startup) from = applicationName(message.bytes);
        server.write(message.bytes);
        return;
      }
      sql = statementOf(message) ?? sql;
      if (message.type === 'Q' || message.type === 'S') send(message);
      else if (sql === '') server.write(message.bytes);
      else gathered.push(message.bytes);
    },
  );
  const fromServer = splitter(
    () => true,
    (message) => {
      if (running === null) {
        client.write(message.bytes);
        return;
      }
      answer.push(message.bytes);
      if (message.type === 'C' && nothingChanged.test(textAt(message.bytes, 5))) running.changedNothing = true;
      if (message.type !== 'Z') return;
      const done = running;
      const whole = Buffer.concat(answer);
      running = null;
      answer = [];
      if (gate(done, 'after')) client.write(whole);
    },
  );
  client.on('data', fromClient);
  server.on('data', fromServer);
};

/** @param url of a cluster on a unix socket, as dev/postgres gives it: `postgres://user@localhost/name?host=<folder>`. */
export const startPostgresProxy = async (url: string, gate: Gate): Promise<Watcher> => {
  const target = new URL(url);
  const folder = target.searchParams.get('host');
  if (folder === null) throw new Error('The proxy expects Postgres on a unix socket.');
  const open = new Set<net.Socket>();
  const kept = (socket: net.Socket, other: () => net.Socket): void => {
    open.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      open.delete(socket);
      other().destroy();
    });
  };
  const proxy = net.createServer((client) => {
    const server = net.connect(`${folder}/.s.PGSQL.5432`);
    kept(client, () => server);
    kept(server, () => client);
    join(client, server, gate);
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const address = proxy.address();
  if (address === null || typeof address === 'string') throw new Error('The proxy has no port.');
  const cut = (): void => {
    for (const socket of open) socket.destroy();
  };
  return {
    url: `postgres://${target.username}@127.0.0.1:${address.port}${target.pathname}`,
    cut,
    close: () =>
      new Promise((resolve) => {
        proxy.close(() => resolve());
        cut();
      }),
  };
};
