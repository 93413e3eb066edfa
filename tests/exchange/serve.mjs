// Serves a folder on this machine. Usage: node serve.mjs FOLDER; it prints the port.
import {createServer} from 'node:http';
import {readFile} from 'node:fs';
import {extname, join, normalize} from 'node:path';

const types = {'.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.wasm': 'application/wasm'};
const server = createServer((request, response) => {
  const path = normalize(new URL(request.url, 'http://127.0.0.1').pathname);
  readFile(join(process.argv[2], path), (error, data) => {
    response.writeHead(error ? 404 : 200, {'Content-Type': types[extname(path)] ?? 'application/octet-stream'});
    response.end(error ? '' : data);
  });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
