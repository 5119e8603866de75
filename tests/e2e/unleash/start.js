// One Unleash node.  Owns: starting the package that lies beside it.  Refuses: to migrate (the
// package would do it by itself at every start).
//
//   node start.js [--port 4242] [--host 127.0.0.1] [--database postgres://...]
//   node start.js version            prints "Version: 5.6.0"
'use strict';
const { version, parse, options } = require('./settings');

// Every answer says which release gave it: /health alone is the same text in all of them.
function stamp(app) {
    app.use((request, response, next) => {
        response.set('X-Unleash-Version', version);
        next();
    });
}

// The package waits a minute for a database that refuses it, and then hides the reason.
async function reachDatabase(settings) {
    const { createConfig } = require('unleash-server/dist/lib/create-config');
    const client = new (require('pg').Client)(createConfig(settings).db);
    await client.connect();
    await client.end();
}

async function main() {
    const { words, named } = parse(process.argv.slice(2), ['port', 'host', 'database']);
    if (words[0] === 'version') {
        console.log(`Version: ${version}`);
        return;
    }
    if (words.length > 0) {
        throw new Error(`unknown word: ${words[0]}`);
    }
    const port = Number(named.port || process.env.HTTP_PORT || process.env.PORT || 4242);
    const host = named.host || process.env.HTTP_HOST || '127.0.0.1';
    await reachDatabase(options(named));
    await require('unleash-server').start({
        ...options(named),
        server: { port, host },
        preHook: stamp,
    });
    console.log(`unleash ${version} listens on ${host}:${port}`);
}

main().catch((error) => {
    console.error(`unleash ${version} did not start: ${error.message || error}`);
    process.exit(1);
});
