// node_client.js get URL | talk HTTP TCP UDP UNIXPATH CLOSED: speaks to node_server.js in every way node has.
'use strict';
const dgram = require('dgram');
const http = require('http');
const net = require('net');

function get(url, agent) {
  return new Promise((resolve, reject) => {
    http.get(url, { agent }, (response) => {
      let body = '';
      response.on('data', (chunk) => { body += chunk; });
      response.on('end', () => resolve(`${response.statusCode} ${body.trim()}`));
    }).on('error', reject);
  });
}

function echo(where, size) {
  return new Promise((resolve, reject) => {
    const sent = Buffer.alloc(size, 'node');
    const received = [];
    const socket = net.connect(where, () => socket.end(sent));
    socket.on('data', (chunk) => received.push(chunk));
    socket.on('end', () => resolve(sent.equals(Buffer.concat(received))));
    socket.on('error', reject);
  });
}

function datagram(port) {
  return new Promise((resolve, reject) => {
    const socket = dgram.createSocket('udp4');
    socket.on('message', (message, from) => {
      socket.close();
      resolve(`${message} from the one asked: ${from.port === port}`);
    });
    socket.on('error', reject);
    socket.send('datagram', port, '127.0.0.1');
  });
}

async function talk(httpPort, tcpPort, udpPort, path, closed) {
  const base = `http://127.0.0.1:${httpPort}`;
  console.log('http.get', await get(`${base}/one`));
  const agent = new http.Agent({ keepAlive: true, maxSockets: 2 });
  console.log('kept', await Promise.all([1, 2, 3, 4, 5, 6].map((n) => get(`${base}/${n}`, agent))));
  agent.destroy();
  const posted = await fetch(`${base}/post`, { method: 'POST', body: 'x'.repeat(100000) });
  console.log('fetch', posted.status, (await posted.text()).trim());
  console.log('by name', await get(`http://localhost:${httpPort}/name`));
  if (!path) return;
  console.log('net', await echo({ port: tcpPort, host: '127.0.0.1' }, 300000));
  console.log('unix', await echo({ path }, 300000));
  console.log('dgram', await datagram(udpPort));
  await echo({ port: closed, host: '127.0.0.1' }, 1).catch((error) => console.log(error.code, error.syscall));
}

async function main([what, ...rest]) {
  if (what === 'get') console.log(await get(rest[0]));
  else await talk(...rest.map((text) => (/^\d+$/.test(text) ? Number(text) : text)));
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error.message);
  process.exit(1);
});
