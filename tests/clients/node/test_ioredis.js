// SPDX-License-Identifier: BSD-3-Clause
// ioredis against a server, as a new user would try it:
//
//     npm install ioredis && node test_ioredis.js SERVER
//
// Starts the server itself; the last line is `N passed, N failed`.

'use strict';

const assert = require('assert');
const child_process = require('child_process');
const fs = require('fs');
const net = require('net');
const os = require('os');
const path = require('path');
const Redis = require('ioredis');

function freePort() {
  return new Promise((resolve) => {
    const probe = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// A server process with a port and a directory of its own.
class Server {
  constructor(program, port) {
    this.program = program;
    this.port = port;
    this.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'starling-ioredis.'));
  }

  async start() {
    this.process = child_process.spawn(
      this.program,
      ['--port', String(this.port), '--dir', this.dir, '--save', '', '--appendonly', 'yes'],
      { stdio: 'ignore' });
    for (let tries = 0; tries < 400; tries++) {
      const up = await new Promise((resolve) => {
        const socket = net.connect(this.port, '127.0.0.1', () => socket.write('PING\r\n'));
        socket.on('data', (data) => { socket.destroy(); resolve(String(data).startsWith('+PONG')); });
        socket.on('error', () => resolve(false));
      });
      if (up) return;
      await pause(50);
    }
    throw new Error('the server does not answer');
  }

  async stop(signal = 'SIGTERM') {
    const ended = new Promise((resolve) => this.process.on('exit', resolve));
    this.process.kill(signal);
    await ended;
  }

  client(options = {}) {
    const client = new Redis({ port: this.port, host: '127.0.0.1', ...options });
    client.on('error', () => {});
    return client;
  }
}

const tests = {
  async strings(server, r) {
    assert.strictEqual(await r.set('k', 'v'), 'OK');
    assert.strictEqual(await r.get('k'), 'v');
    assert.strictEqual(await r.get('none'), null);
    assert.strictEqual(await r.set('k', 'w', 'NX'), null);
    assert.strictEqual(await r.set('k', 'w', 'EX', 100, 'XX'), 'OK');
    assert.ok(await r.ttl('k') > 90);
    assert.strictEqual(await r.mset({ a: 1, b: 2 }), 'OK');
    assert.deepStrictEqual(await r.mget('a', 'b', 'none'), ['1', '2', null]);
    assert.strictEqual(await r.incrby('n', 5), 5);
    assert.strictEqual(await r.incrbyfloat('f', 1.5), '1.5');
    assert.strictEqual(await r.append('k', 'xyz'), 4);
    assert.strictEqual(await r.getrange('k', 1, 2), 'xy');
    await assert.rejects(r.incr('f'), /ERR value is not an integer/);
  },

  async buffers(server, r) {
    const value = Buffer.from(Array.from({ length: 100000 }, (_, i) => i % 256));
    await r.set(Buffer.from([0, 255, 13, 10]), value);
    assert.ok((await r.getBuffer(Buffer.from([0, 255, 13, 10]))).equals(value));
  },

  async 'keys and scan streams'(server, r) {
    const pipeline = r.pipeline();
    for (let i = 0; i < 1000; i++) pipeline.set(`key:${i}`, i);
    await pipeline.exec();
    const seen = new Set();
    for await (const keys of r.scanStream({ match: 'key:*', count: 50 })) {
      keys.forEach((key) => seen.add(key));
    }
    assert.strictEqual(seen.size, 1000);
    assert.strictEqual(await r.del('key:1', 'key:2', 'none'), 2);
    assert.strictEqual(await r.dbsize(), 998);
  },

  async 'pipelines and transactions'(server, r) {
    const pipeline = r.pipeline();
    for (let i = 0; i < 10000; i++) pipeline.incr('n');
    const replies = await pipeline.exec();
    assert.deepStrictEqual(replies[9999], [null, 10000]);
    assert.deepStrictEqual(await r.multi().set('a', 1).incr('a').get('a').exec(),
      [[null, 'OK'], [null, 2], [null, '2']]);
    await r.watch('a');
    const other = server.client();
    await other.set('a', 9);
    assert.strictEqual(await r.multi().set('a', 1).exec(), null);
    other.disconnect();
  },

  async 'many commands at once'(server) {
    const clients = Array.from({ length: 20 }, () => server.client());
    await Promise.all(clients.map((c, i) => Promise.all(
      Array.from({ length: 500 }, async (_, n) => {
        await c.set(`c:${i}:${n}`, n);
        assert.strictEqual(await c.get(`c:${i}:${n}`), String(n));
      }))));
    clients.forEach((c) => c.disconnect());
  },

  async 'server commands'(server, r) {
    assert.match(await r.info(), /redis_mode:standalone/);
    assert.deepStrictEqual(await r.config('GET', 'maxmemory'), ['maxmemory', '0']);
    assert.strictEqual(await r.client('SETNAME', 'me'), 'OK');
    assert.strictEqual(await r.client('GETNAME'), 'me');
    assert.ok((await r.command('COUNT')) > 50);
    await assert.rejects(r.call('NOSUCH'), /ERR unknown command/);
  },

  async 'database and name of the connection'(server) {
    const c = server.client({ db: 3, connectionName: 'named' });
    await c.set('k', 1);
    assert.match(await c.client('INFO'), / name=named .* db=3 /);
    c.disconnect();
  },

  async collections(server, r) {
    assert.strictEqual(await r.hset('h', { a: 1, b: 'x' }), 2);
    assert.deepStrictEqual(await r.hgetall('h'), { a: '1', b: 'x' });
    assert.deepStrictEqual(await r.hmget('h', 'a', 'none'), ['1', null]);
    assert.strictEqual(await r.hincrby('h', 'a', 4), 5);
    assert.strictEqual(await r.sadd('s', 'a', 'b', 'c'), 3);
    assert.strictEqual(await r.sadd('t', 'b', 'c', 'd'), 3);
    assert.deepStrictEqual((await r.sinter('s', 't')).sort(), ['b', 'c']);
    assert.deepStrictEqual(await r.smismember('s', 'a', 'x'), [1, 0]);
    assert.strictEqual(await r.zadd('z', 1, 'a', 2.5, 'b', '+inf', 'c'), 3);
    assert.deepStrictEqual(await r.zrange('z', 0, -1, 'WITHSCORES'),
      ['a', '1', 'b', '2.5', 'c', 'inf']);
    assert.deepStrictEqual(await r.zrange('z', '(1', 3, 'BYSCORE'), ['b']);
    assert.deepStrictEqual(await r.zmpop(1, 'z', 'MAX'), ['z', [['c', 'inf']]]);
    assert.strictEqual(await r.rpush('l', 3, 1, 2), 3);
    assert.deepStrictEqual(await r.sort('l', 'DESC', 'LIMIT', 0, 2), ['3', '2']);
    assert.deepStrictEqual(await r.lpop('l', 5), ['3', '1', '2']);
    assert.strictEqual(await r.lpop('l', 5), null);
    assert.strictEqual(await r.geoadd('g', 13.361389, 38.115556, 'Palermo', 15.087269, 37.502669,
      'Catania'), 2);
    assert.strictEqual(await r.geodist('g', 'Palermo', 'Catania', 'km'), '166.2742');
    for (const [stream, size] of [[r.hscanStream('h'), 4], [r.sscanStream('s'), 3],
      [r.zscanStream('z'), 4]]) {
      const found = [];
      for await (const some of stream) found.push(...some);
      assert.strictEqual(found.length, size);
    }
  },

  async monitor(server, r) {
    const monitor = await server.client().monitor();
    const seen = new Promise((resolve) => monitor.on('monitor', (time, args) => {
      if (args[0] === 'get' && args[1] === 'watched') resolve();
    }));
    await r.get('watched');
    await seen;
    monitor.disconnect();
  },

  async 'pub/sub'(server, r) {
    const subscriber = server.client();
    const seen = [];
    const all = new Promise((resolve) => {
      subscriber.on('message', (channel, message) => {
        seen.push(message);
        if (message === 'last') resolve();
      });
    });
    const byPattern = new Promise((resolve) => {
      subscriber.on('pmessage', (pattern, channel, message) => {
        if (message === 'last') resolve([pattern, channel]);
      });
    });
    assert.strictEqual(await subscriber.subscribe('news', 'other'), 2);
    assert.strictEqual(await subscriber.psubscribe('n*'), 3);
    assert.strictEqual(await r.publish('news', 'first'), 2);
    assert.strictEqual(await r.publish('other', 'second'), 1);
    assert.strictEqual(await r.publish('news', 'last'), 2);
    await all;
    assert.deepStrictEqual(await byPattern, ['n*', 'news']);
    assert.deepStrictEqual(seen, ['first', 'second', 'last']);
    assert.deepStrictEqual((await r.pubsub('CHANNELS')).sort(), ['news', 'other']);
    assert.strictEqual(await subscriber.unsubscribe('news', 'other'), 1);
    assert.strictEqual(await subscriber.punsubscribe('n*'), 0);
    assert.strictEqual(await subscriber.get('k'), null);
    subscriber.disconnect();
  },

  async 'subscriptions come back after a reconnect'(server, r) {
    const subscriber = server.client();
    await subscriber.subscribe('news');
    const heard = new Promise((resolve) => subscriber.on('message', (c, m) => resolve(m)));
    const back = new Promise((resolve) => subscriber.once('ready', resolve));
    await r.client('KILL', 'TYPE', 'pubsub');
    await back;
    while ((await r.publish('news', 'again')) === 0) await pause(20);
    assert.strictEqual(await heard, 'again');
    subscriber.disconnect();
  },

  async 'events about keys'(server, r) {
    await r.config('SET', 'notify-keyspace-events', 'Kx$');
    const subscriber = server.client();
    await subscriber.psubscribe('__keyspace@0__:*');
    const seen = [];
    const expired = new Promise((resolve) => {
      subscriber.on('pmessage', (pattern, channel, event) => {
        seen.push(`${channel} ${event}`);
        if (event === 'expired') resolve();
      });
    });
    await r.set('k', 'v', 'PX', 30);
    await expired;
    assert.deepStrictEqual(seen, ['__keyspace@0__:k set', '__keyspace@0__:k expired']);
    await r.config('SET', 'notify-keyspace-events', '');
    subscriber.disconnect();
  },

  async 'reconnects to a server that was killed'(server, r) {
    await r.set('survives', 'yes');
    await server.stop('SIGKILL');
    const reply = r.get('survives');
    await server.start();
    assert.strictEqual(await reply, 'yes');
  },
};

async function main() {
  if (process.argv.length !== 3) {
    console.error('usage: node test_ioredis.js SERVER');
    process.exit(2);
  }
  const server = new Server(process.argv[2], await freePort());
  let passed = 0;
  let failed = 0;
  await server.start();
  try {
    for (const [name, test] of Object.entries(tests)) {
      const client = server.client();
      try {
        await client.flushall();
        await test(server, client);
        passed++;
      } catch (error) {
        failed++;
        console.log(`FAILED ${name}: ${error.stack}`);
      }
      client.disconnect();
    }
  } finally {
    await server.stop();
    fs.rmSync(server.dir, { recursive: true, force: true });
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed > 0 ? 1 : 0);
}

main();
