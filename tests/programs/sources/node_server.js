// node_server.js HTTP TCP UDP UNIXPATH: an HTTP server and echoes. With CLUSTER=N, N workers share the HTTP port.
'use strict';
const cluster = require('cluster');
const dgram = require('dgram');
const fs = require('fs');
const http = require('http');
const net = require('net');

const [httpPort, tcpPort, udpPort, path] = process.argv.slice(2);
const workers = Number(process.env.CLUSTER || 0);

function serveHttp() {
  http.createServer((request, response) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => response.end(`${request.method} ${request.url} ${Buffer.concat(chunks).length}\n`));
  }).listen(Number(httpPort), '127.0.0.1');
}

function serveEchoes() {
  net.createServer((socket) => socket.pipe(socket)).listen(Number(tcpPort), '127.0.0.1');
  net.createServer((socket) => socket.pipe(socket)).listen(path);
  const udp = dgram.createSocket('udp4');
  udp.on('message', (message, from) => udp.send(message, from.port, from.address));
  udp.bind(Number(udpPort), '127.0.0.1');
}

if (workers && cluster.isPrimary) {
  let listening = 0;
  for (let i = 0; i < workers; i++) cluster.fork();
  // The port listens with the first worker; the file says that all of them do.
  cluster.on('listening', () => { if (++listening === workers) fs.writeFileSync(path, ''); });
  process.on('SIGTERM', () => {
    for (const worker of Object.values(cluster.workers)) worker.process.kill('SIGTERM');
    process.exit(0);
  });
} else {
  serveHttp();
  if (!workers) serveEchoes();
  process.on('SIGTERM', () => process.exit(0));
}
