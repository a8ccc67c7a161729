// Prints the capabilities that vscode-languageclient sends in `initialize`, as JSON:
//
//     npm install --ignore-scripts vscode-languageclient@10.1.2
//     node record_vscode.cjs ./node_modules/vscode-languageclient > vscode.json
//
// They do not depend on the editor, so all that this client asks of VS Code is answered by something that takes any
// name and any call.
'use strict';
const Module = require('node:module');
const path = require('node:path');

function anything() {
  const itself = new Proxy(function () {}, {
    get: (target, name) => (name === Symbol.toPrimitive ? () => 0 : name in target ? target[name] : anything()),
    set: () => true,
    apply: () => anything(),
    // A class of the client's own that extends it stays what it is.
    construct: (target, given, made) => (made === itself ? anything() : Reflect.construct(target, given, made)),
  });
  return itself;
}

const vscode = new Proxy({ version: '1.100.0' }, { get: (known, name) => known[name] ?? anything() });
const load = Module._load;
Module._load = (request, ...rest) => (request === 'vscode' ? vscode : load(request, ...rest));

const { LanguageClient } = require(path.resolve(process.argv[2], 'lib', 'node', 'main.js'));
const client = new LanguageClient('tenken', 'Tenken', { command: 'tenken-lsp' }, { documentSelector: [{ scheme: 'file' }] });
process.stdout.write(JSON.stringify(client.computeClientCapabilities(), null, 1) + '\n');
process.exit(0);
